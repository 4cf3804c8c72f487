"""What a reload throws out of the interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.modules import purged_by
from sluice_tools.install.copies import put

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


def test_a_reload_of_ours_deletes_nothing_but_our_own(tmp_path: Path) -> None:
    put(tmp_path, None)
    loaded = {*LOADED, *sys.stdlib_module_names, *sys.modules, "mgp", "_mgp", "confluent_kafka", "requests"}
    gone = set(purged_by(tmp_path / "streams.py", sorted(loaded)))
    # The command's package begins like ours; no server has loaded it.
    ours = {name for name in loaded if name == "streams" or name.startswith("sluice")}
    assert {"streams", "sluice"} <= ours
    assert gone == ours
