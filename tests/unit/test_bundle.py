"""A script is a real module, and a folder or a zip file is a script with the modules that it imports."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from sluice.errors import ScriptError, TransformError
from sluice.host.settings import Settings
from sluice.scripting import bundle, fetching
from sluice.scripting.fetching import NotFetched
from sluice.scripting.process import TransformProcess
from sluice.values.model import Transform
from tests.hosts.script_server import ScriptServer
from tests.unit.test_transform_process import batch, transform

SETTINGS = Settings(script_timeout=60.0, transform_timeout=30.0)

MODULES = {
    "transform.py": "import helpers\nfrom shop.orders import order\n\n\ndef stream(batch):\n"
    "    return [order(helpers.decoded(value)) for value in batch]\n",
    "helpers.py": "def decoded(value):\n    return value.decode()\n",
    "shop/__init__.py": "",
    "shop/orders.py": "from . import names\n\n\ndef order(text):\n    return (names.QUERY, {'id': text})\n",
    "shop/names.py": "QUERY = 'CREATE (:Order {id: $id})'\n",
}


def fetch(uri: str, max_bytes: int = 1 << 20) -> str:
    return fetching.fetch(uri, str(SETTINGS.transform_allow), max_bytes)


def refusal(uri: str, max_bytes: int = 1 << 20) -> str | None:
    with pytest.raises(NotFetched) as caught:
        fetch(uri, max_bytes)
    return caught.value.reason


def zipped(modules: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in modules.items():
            archive.writestr(path, text)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, text in MODULES.items():
        place = tmp_path / "shop.d" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return tmp_path / "shop.d"


def queries(source: str, uri: str, *payloads: bytes) -> list:
    with TransformProcess(Transform(uri, source, ""), SETTINGS) as process:
        return process.rows(batch(*payloads))


REAL = """
from __future__ import annotations

import pickle
import typing
from dataclasses import dataclass, field


@dataclass
class Person:
    name: str
    friends: list[Person] = field(default_factory=list)


def stream(batch):
    people = [pickle.loads(pickle.dumps(Person(value.decode()))) for value in batch]
    hints = typing.get_type_hints(Person)
    return [("CREATE (:Person {name: $name})", {"name": person.name, "hints": sorted(hints)}) for person in people]
"""


def test_a_script_is_a_real_module():
    rows = queries(REAL, "/srv/people.py", b"Ada")
    assert rows == [("CREATE (:Person {name: $name})", {"name": "Ada", "hints": ["friends", "name"]})]


def test_a_script_is_in_nobodys_way():
    """It may import a module that has its file's name, or the name of its function."""
    source = "import json as transform, avro_is_not_there\ndef stream(batch): return []"
    with pytest.raises(ScriptError, match="No module named 'avro_is_not_there' \\(line 1\\)"):
        queries(source, "/srv/avro_is_not_there.py")


def test_a_folder_and_a_zip_file_are_the_same_script(folder: Path, script_server: ScriptServer, tmp_path: Path):
    (folder / "notes.txt").write_text("passed over")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.py").write_text("passed over")
    of_folder = fetch(f"{folder}/")
    assert bundle.modules_of(of_folder) == MODULES
    archive = tmp_path / "shop.zip"
    archive.write_bytes(zipped({**MODULES, "notes.txt": "passed over"}))
    assert fetch(str(archive)) == fetch(f"file://{archive}") == of_folder
    assert fetch(f"file://{folder}/") == of_folder
    inside = zipped({f"shop-1.0/{path}": text for path, text in MODULES.items()})
    assert fetch(script_server.serve("/shop.zip", inside)) == of_folder


def test_its_modules_import_each_other(folder: Path):
    assert queries(fetch(f"{folder}/"), f"{folder}/", b"1", b"2") == [
        ("CREATE (:Order {id: $id})", {"id": "1"}),
        ("CREATE (:Order {id: $id})", {"id": "2"}),
    ]


def test_an_error_names_the_module_and_its_line(folder: Path):
    with pytest.raises(TransformError) as caught:
        queries(fetch(f"{folder}/"), f"{folder}/", b"\xff")
    assert str(caught.value).endswith("can't decode byte 0xff in position 0: invalid start byte (helpers.py, line 2)")
    (folder / "helpers.py").write_text("def decoded(value):\n    return (\n")
    with pytest.raises(ScriptError) as wrong:
        queries(fetch(f"{folder}/"), f"{folder}/", b"1")
    assert str(wrong.value) == f"bad transform {folder}/: SyntaxError: '(' was never closed (helpers.py, line 2)"


def test_a_single_script_begins_with_its_own_line():
    with pytest.raises(ScriptError) as caught:
        TransformProcess(transform("x = 1\nx = (\n"), SETTINGS)
    assert str(caught.value) == "bad transform /srv/t.py: SyntaxError: '(' was never closed (line 2)"


def test_what_is_no_such_folder_is_refused(folder: Path, tmp_path: Path):
    no_script = "it has no transform.py, which has to define the transform"
    assert refusal(f"{tmp_path}/") == no_script
    assert refusal(f"{tmp_path}/nowhere/") == no_script
    assert refusal(f"{folder}/", 100) == "it is larger than 100 bytes"
    assert (refusal(str(folder)) or "").startswith("the name of a script's file has to end with .py or .zip")
    (folder / "helpers.py").unlink()
    (folder / "helpers.py").symlink_to("/etc/passwd")
    assert (refusal(f"{folder}/") or "").startswith("it is a link to a file whose name does not end with")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(zipped({"other.py": ""}), "it has no transform.py, which", id="no script"),
        pytest.param(zipped(MODULES)[:100], "it is not a zip file that can be read: ", id="cut off"),
        pytest.param(
            zipped({"transform.py": "#" * (1 << 22)}),
            f"it is larger than {1 << 20} bytes",
            id="small, and large when unpacked",
        ),
        pytest.param(
            zipped({"transform.py": "", **{f"m{number}.py": "" for number in range(bundle.MAX_MODULES)}}),
            "it has 1001 modules; 1000 is the maximum",
            id="many modules",
        ),
    ],
)
def test_a_zip_file_that_is_no_script_is_refused(content: bytes, reason: str, tmp_path: Path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(content)
    assert (refusal(str(archive)) or "").startswith(reason)


def test_a_text_that_begins_like_modules_and_is_none_is_refused():
    with pytest.raises(ScriptError, match="its modules cannot be told apart"):
        queries(bundle.HEADER + "[1]", "/srv/x/", b"1")
