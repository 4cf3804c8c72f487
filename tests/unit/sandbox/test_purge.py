"""What a reload throws out of the interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.modules import purged_by

LOADED = [
    "streams",
    "streamsx",
    "re",
    "requests",
    "os",
    "os.path",
    "sys",
    "sluice",
    "sluice.bolt",
    "json",
    "mgp",
    "_mgp",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in {
        "streams.py": "import mgp\nimport sluice.service\nimport sys\n",
        "sluice/service.py": "import os\n",
        "my_streams/deep/part.py": "def f():\n    from re import compile\n",
        "my_streams/broken.py": "import (\n",
        "my_streams/relative.py": "from . import json\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def test_every_module_whose_name_begins_like_an_imported_one_goes(folder: Path) -> None:
    gone = set(purged_by(folder / "streams.py", LOADED))

    assert gone >= {"streams", "mgp", "sluice", "sluice.bolt"}
    assert "_mgp" not in gone


def test_folders_that_contain_the_name_are_searched(folder: Path) -> None:
    assert {"re", "requests"} <= set(purged_by(folder / "streams.py", LOADED))


def test_folders_that_do_not_contain_the_name_are_left_alone(folder: Path) -> None:
    assert "os" not in purged_by(folder / "streams.py", LOADED)


def test_relative_imports_and_what_is_spared_stay(folder: Path) -> None:
    assert {"sys", "json"}.isdisjoint(purged_by(folder / "streams.py", LOADED))
