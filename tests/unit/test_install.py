"""`sluice install` and `sluice uninstall`, in folders of our own."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import sluice
from sandbox.modules import purged_by
from sluice.host import server_flags
from sluice_tools.cli import app
from sluice_tools.install import copies, places

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80", "NO_COLOR": "1"})


def install(folder: Path, *more: str) -> Result:
    """With this very Python as the server's, which has what is needed."""
    return run("install", "--modules-dir", folder, "--python", sys.executable, *more)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: mode and content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mode & 0o777, path.read_bytes()) for path in files}


def manifest(folder: Path) -> dict:
    found: dict = json.loads((folder / copies.MANIFEST).read_text())
    return found


def pretend(folder: Path, version: str) -> None:
    """What is installed was put there by another version."""
    (folder / copies.MANIFEST).write_text(json.dumps({**manifest(folder), "version": version}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A server's folder, with somebody else's module in it."""
    folder = tmp_path / "query_modules"
    folder.mkdir()
    (folder / "other.py").write_text("import mgp\n")
    return folder


def test_the_modules_are_put_there_for_everybody_to_read(folder: Path):
    before = os.umask(0o077)
    try:
        result = install(folder)
    finally:
        os.umask(before)
    assert result.exit_code == 0, result.output
    assert f"sluice {sluice.__version__} is in {folder}" in result.stdout
    assert "CALL mg.load_all();" in result.stdout
    assert (folder / "streams.py").read_bytes() == (REPOSITORY / "query_modules" / "streams.py").read_bytes()
    assert (folder / "sluice" / "example_scripts" / "edges.py").exists()
    modes = {name: mode for name, (mode, _) in tree(folder).items() if name != "other.py"}
    assert set(modes.values()) == {0o644}
    assert {path.stat().st_mode & 0o777 for path in (folder / "sluice").rglob("*") if path.is_dir()} == {0o755}


LIKELY_MODULES = """
    stream kafka consumer events messages ingest loader transform transforms transformer transformation transformations
    metric metrics graph graphs graph_util query queries utils util utility util_module helpers module my_module common
    model models service worker workers job jobs process rag vision search embeddings llm llm_util pagerank node nodes
    path paths map label labels merge meta meta_util create convert collections date text math json_util csv_utils algo
    export_util import_util migrate periodic refactor schema set_property set_cover temporal do neighbors cycles tsp vrp
    distance_calculator knn kmeans leiden nxalg union_find uuid_generator xml_module community_detection test tests
    doctor shim install
"""
"Names of query modules that Memgraph brings along, and of those that users write."


def test_reloading_a_module_of_the_user_purges_nothing_of_ours(folder: Path):
    install(folder)
    ours = {"sluice", "sluice.errors", "threading", "logging", "json", "confluent_kafka"}
    assert "sluice" in purged_by(folder / "streams.py", ours)
    for name in LIKELY_MODULES.split():
        (folder / f"{name}.py").write_text("import mgp\n")
        assert not purged_by(folder / f"{name}.py", ours), name


def test_what_a_reload_would_tear_apart_is_not_there(folder: Path):
    install(folder)
    assert not list(folder.rglob("__pycache__"))
    assert sorted(path.name for path in folder.iterdir()) == ["other.py", "sluice", "streams.py"]


def test_the_second_time_nothing_is_changed(folder: Path):
    install(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = install(folder)
    assert (result.exit_code, "nothing was changed" in result.stdout) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("harm", ["sluice/supervising/worker.py", "streams.py", "sluice/bolt/client.py"])
def test_what_was_damaged_is_repaired(folder: Path, harm: str):
    install(folder)
    before = tree(folder)
    (folder / harm).unlink()
    assert install(folder).exit_code == 0
    assert tree(folder) == before


def test_an_upgrade_keeps_what_was_added_or_changed(folder: Path):
    install(folder)
    pretend(folder, "0.0.1")
    (folder / "sluice" / "example_scripts" / "mine.py").write_text("mine")
    (folder / "sluice" / "example_scripts" / "edges.py").write_text("changed")
    result = install(folder)
    assert (result.exit_code, "in place of 0.0.1" in result.stdout) == (0, True)
    assert manifest(folder)["version"] == sluice.__version__
    assert (folder / "sluice" / "example_scripts" / "mine.py").read_text() == "mine"
    assert (folder / "sluice" / "example_scripts" / "edges.py.orig").read_text() == "changed"
    assert "def stream" in (folder / "sluice" / "example_scripts" / "edges.py").read_text()


def test_a_newer_version_is_left_alone_unless_forced(folder: Path):
    install(folder)
    pretend(folder, "99.0")
    before = tree(folder)
    result = install(folder)
    assert result.exit_code == 1
    assert "has sluice 99.0, which is newer than" in result.stderr
    assert tree(folder) == before
    assert install(folder, "--force").exit_code == 0
    assert manifest(folder)["version"] == sluice.__version__


def test_what_was_copied_by_hand_is_taken_over(folder: Path):
    install(folder)
    (folder / copies.MANIFEST).unlink()
    assert "copied there by hand" in run("uninstall", "--modules-dir", folder).stderr
    assert install(folder).exit_code == 0
    assert manifest(folder)["version"] == sluice.__version__


@pytest.mark.parametrize(
    ("name", "text"),
    [("streams.py", "import mgp\n"), ("sluice/__init__.py", ""), ("sluice/INSTALLED.json", "{")],
)
def test_what_is_not_ours_is_not_touched(folder: Path, name: str, text: str):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    before = tree(folder)
    for result in (install(folder, "--force"), run("uninstall", "--modules-dir", folder)):
        assert result.exit_code == 1
        assert str(folder / name.partition("/")[0]) in result.stderr
        assert "move" in result.stderr
    assert tree(folder) == before


def test_uninstall_removes_what_was_put_there_and_nothing_else(folder: Path):
    before = tree(folder)
    install(folder)
    for compiled in ("__pycache__/streams.cpython-311.pyc", "sluice/bolt/__pycache__/client.cpython-311.pyc"):
        (folder / compiled).parent.mkdir(exist_ok=True)
        (folder / compiled).write_bytes(b"")
    result = run("uninstall", "--modules-dir", folder)
    assert (result.exit_code, "restart the server" in result.stdout) == (0, True)
    assert tree(folder) == before
    assert [path.name for path in folder.iterdir()] == ["other.py"]
    assert "nothing was changed" in run("uninstall", "--modules-dir", folder).stdout


def test_uninstall_keeps_what_was_added_or_changed(folder: Path):
    install(folder)
    (folder / "streams.py").write_text("sluice.supervising.process: changed")
    (folder / "sluice" / "example_scripts" / "mine.py").write_text("mine")
    result = run("uninstall", "--modules-dir", folder)
    assert set(tree(folder)) == {"other.py", "streams.py", "sluice/example_scripts/mine.py"}
    assert f"kept, since it was added or changed: {folder / 'streams.py'}" in result.stdout
    assert "mine.py" in result.stdout


def test_the_package_is_whole_at_every_moment(folder: Path):
    install(folder)
    seen, done = [], threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append((folder / "sluice" / "supervising" / "worker.py").exists() and (folder / "streams.py").exists())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(10):
            copies.put(folder, copies.installed(folder))
    finally:
        done.set()
        watcher.join()
    assert len(seen) > 10
    assert all(seen)


def test_what_a_killed_run_left_behind_is_cleared(folder: Path):
    (folder / f"{copies.STAGING}abc" / "sluice").mkdir(parents=True)
    install(folder)
    assert not list(folder.glob(".*"))


def test_without_a_folder_it_says_what_to_give(tmp_path: Path):
    result = run("install", "--modules-dir", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "--modules-dir DIR" in result.stderr


def test_the_folder_is_found_in_the_servers_configuration(folder: Path, tmp_path: Path, monkeypatch):
    configuration = tmp_path / "memgraph.conf"
    configuration.write_text(f"# comment\n--bolt-port=7687\n--query-modules-directory={folder},/elsewhere\n")
    monkeypatch.setattr(server_flags, "CONFIGURATION_FILE", configuration)
    assert places.modules_directory(None) == folder
    assert places.modules_directory(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("linked", "expected"),
    [
        pytest.param("\tlibpython3.11.so.1.0 => /usr/lib/libpython3.11.so.1.0 (0x7f)", (3, 11), id="of a version"),
        pytest.param("\tlibpython3.so => {folder}/libpython3.so (0x7f)", (3, 12), id="a link to a version"),
        pytest.param("\tlibc.so.6 => /lib/libc.so.6 (0x7f)", None, id="none"),
        pytest.param("\tnot a dynamic executable", None, id="a script"),
    ],
)
def test_the_servers_python_is_seen_in_what_it_is_linked_to(tmp_path: Path, monkeypatch, linked, expected):
    (tmp_path / "libpython3.so").symlink_to("libpython3.12.so.1.0")
    ldd = tmp_path / "ldd"
    ldd.write_text(f"#!/bin/sh\ncat <<'END'\n{linked.format(folder=tmp_path)}\nEND\n")
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert places.linked_python(tmp_path / "memgraph") == expected
    assert places.linked_python(None) is None


def interpreter(**changed: Any) -> places.ServerPython:
    fit: dict[str, Any] = {
        "path": "/usr/bin/python3.12",
        "version": (3, 12),
        "confluent_kafka": "2.16.1",
        "trouble": "",
        "requests": "2.34.2",
        "requests_trouble": "",
        "signer": "1.0.2",
        "managed": True,
        "has_pip": True,
        "sluice": None,
        "sluice_file": "",
    }
    return places.ServerPython(**{**fit, **changed})


PIP = "/usr/bin/python3.12 -m pip install --break-system-packages 'confluent-kafka>=2.4' 'requests>=2.31'"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param({}, [], id="fit"),
        pytest.param({"sluice": "1.0"}, [], id="has the same package"),
        pytest.param({"version": (3, 9)}, ["is 3.9", "needs 3.10 or newer"], id="too old"),
        pytest.param({"confluent_kafka": None, "trouble": "No module"}, ["No module", PIP], id="no client of Kafka"),
        pytest.param({"confluent_kafka": "2.3.9"}, ["2.3.9, which is too old", PIP], id="an old client of Kafka"),
        pytest.param(
            {"requests": None, "requests_trouble": "No module"},
            ["requests cannot be imported", "No module", PIP],
            id="no requests",
        ),
        pytest.param({"requests": "2.30"}, ["has requests 2.30, which is too old", PIP], id="old requests"),
        pytest.param(
            {"confluent_kafka": None, "managed": False}, [PIP.replace(" --break-system-packages", "")], id="not managed"
        ),
        pytest.param(
            {"confluent_kafka": None, "has_pip": False}, ["apt-get install python3-pip", f"then {PIP}"], id="no pip"
        ),
        pytest.param(
            {"sluice": "0.9"}, ["has sluice 0.9 of its own", "pip uninstall memgraph-sluice"], id="another one"
        ),
    ],
)
def test_a_python_that_does_not_fit_is_named_with_the_remedy(found: dict, words: list[str]):
    refusal = interpreter(**found).refusal("1.0")
    assert bool(refusal) == bool(words)
    assert all(word in (refusal or "") for word in words)


def test_into_a_python_that_lacks_something_nothing_is_put_unless_forced(folder: Path, tmp_path: Path):
    poor = tmp_path / "python"
    poor.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    poor.chmod(0o755)
    result = run("install", "--modules-dir", folder, "--python", poor)
    assert result.exit_code == 1
    assert f"{poor} -m pip install" in result.stderr
    assert not (folder / "streams.py").exists()
    forced = run("install", "--modules-dir", folder, "--python", poor, "--force")
    assert (forced.exit_code, "Mind: confluent-kafka cannot be imported" in forced.stdout) == (0, True)


EXTRA_PIP = (
    "/usr/bin/python3.12 -m pip install --break-system-packages 'aws-msk-iam-sasl-signer-python>=1.0.1' "
    "'confluent-kafka>=2.13'"
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            {}, "For msk-iam it has aws-msk-iam-sasl-signer-python 1.0.2 and confluent-kafka 2.16.1", id="all is there"
        ),
        pytest.param(
            {"signer": None},
            "For msk-iam it lacks aws-msk-iam-sasl-signer-python>=1.0.1 (not there). Install it: " + EXTRA_PIP,
            id="no signer",
        ),
        pytest.param(
            {"signer": "1.0.0", "confluent_kafka": "2.12.2"},
            "For msk-iam it lacks aws-msk-iam-sasl-signer-python>=1.0.1 (there is 1.0.0) and confluent-kafka>=2.13 "
            "(there is 2.12.2). Install it: " + EXTRA_PIP,
            id="both too old",
        ),
    ],
)
def test_what_an_extra_needs_is_said_with_whether_it_is_there(found: dict, expected: str):
    assert interpreter(**found).has(places.Extra.MSK_IAM) == expected


def test_an_extra_is_spoken_of_whether_or_not_anything_is_installed(folder: Path, monkeypatch):
    for _ in range(2):
        result = install(folder, "--extra", "msk-iam")
        said = " ".join(result.stdout.split())
        assert (result.exit_code, "For msk-iam it has aws-msk-iam-sasl-signer-python 1." in said) == (0, True), said
    monkeypatch.setattr("sluice_tools.install.command.find_interpreter", lambda *_: None)
    said = " ".join(run("install", "--modules-dir", folder, "--extra", "msk-iam").stdout.split())
    assert "For msk-iam the server's Python needs aws-msk-iam-sasl-signer-python>=1.0.1 and confluent-kafka" in said
    assert run("install", "--modules-dir", folder, "--extra", "other").exit_code == 2


@pytest.mark.parametrize(("program", "words"), [("/nowhere/python", "cannot be run"), ("/bin/true", "is no Python")])
def test_what_is_no_python_is_refused(folder: Path, program: str, words: str):
    result = run("install", "--modules-dir", folder, "--python", program)
    assert (result.exit_code, words in result.stderr) == (1, True)


def test_without_a_server_on_the_machine_it_says_what_was_not_checked(folder: Path, monkeypatch):
    monkeypatch.setattr(places, "find_interpreter", lambda *_: None)
    monkeypatch.setattr("sluice_tools.install.command.find_interpreter", lambda *_: None)
    result = run("install", "--modules-dir", folder)
    assert (result.exit_code, "No server's program was found" in result.stdout) == (0, True)


def test_what_is_asked_of_the_servers_python_is_what_the_package_requires():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    required = re.findall(r'^    "(\S+)",$', text[text.index("dependencies = [") :], re.MULTILINE)
    assert required[: len(places.PACKAGES)] == list(places.PACKAGES)
    oldest = (places.OLDEST_CONFLUENT_KAFKA, places.OLDEST_REQUESTS)
    assert [package.partition(">=")[2] for package in places.PACKAGES] == list(map(places.dotted, oldest))
    for extra, packages in places.EXTRAS.items():
        assert f"{extra.value} = {json.dumps(packages)}" in text
    assert f'requires-python = ">={places.dotted(places.OLDEST_PYTHON)}"' in text


@pytest.mark.parametrize(
    ("version", "expected"), [("2.16.1", (2, 16, 1)), ("1.0rc2", (1, 0)), ("0.1.0.dev3", (0, 1, 0)), ("x", ())]
)
def test_versions_are_compared_by_their_numbers(version: str, expected: tuple[int, ...]):
    assert places.numbers(version) == expected
