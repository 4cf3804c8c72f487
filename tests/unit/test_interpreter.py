"""Candidates for the interpreter of transforms are tried, and the first that works is taken."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import pytest

from sluice.errors import SettingError, TransformError, one_line
from sluice.host.settings import Settings
from sluice.scripting import interpreter
from sluice.scripting.environment import is_standard_library, joined_path, server_packages
from sluice.scripting.interpreter import find_interpreter, forget_interpreter
from sluice.scripting.process import TransformProcess
from tests.eventually import eventually
from tests.unit.test_transform_process import batch, packed, transform

BASE: str = getattr(sys, "_base_executable")  # noqa: B009 - unknown to type checkers
NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def nothing_found_yet(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interpreter, "_found", {})


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As inside a server whose Python has no `bin` of its own; gives a function that puts programs on its PATH."""
    monkeypatch.setattr(sys, "executable", "/usr/lib/memgraph/memgraph")
    monkeypatch.setattr(sys, "base_exec_prefix", str(tmp_path / "nowhere"))
    executable = interpreter._executable
    outside = ("/usr/bin/", "/bin/")
    monkeypatch.setattr(interpreter, "_executable", lambda path: not path.startswith(outside) and executable(path))
    folders: list[Path] = []

    def put(script: str, name: str = NAME) -> str:
        folder = tmp_path / f"folder{len(folders)}"
        folder.mkdir()
        folders.append(folder)
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
        return program(folder / name, script)

    monkeypatch.setenv("PATH", str(tmp_path))
    return put


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


SHIM = f'echo "pyenv: {NAME}: command not found" >&2; echo; echo "  see pyenv help global" >&2; exit 127'
WORKS = f'exec {sys.executable} "$@"'


def test_a_launcher_that_cannot_start_that_version_is_passed_over(on_path):
    on_path(SHIM)
    on_path(WORKS)
    found = find_interpreter(Settings())
    assert (found.version, found.is_ours) == (sys.version_info[:3], True)
    assert os.path.realpath(found.path) == os.path.realpath(BASE)


def test_where_none_works_each_is_named_with_its_status_and_its_last_line(on_path):
    shim = on_path(SHIM)
    silent = on_path("kill -9 $$")
    old = on_path("echo nonsense; exit 0", "python3")
    with pytest.raises(SettingError) as caught:
        find_interpreter(Settings())
    assert str(caught.value) == one_line(
        "no interpreter was found that can run transforms, set SLUICE_PYTHON to one, 3.10 or newer: "
        f"{shim} ended with exit status 127, its last line: see pyenv help global; {silent} was ended by signal 9; "
        f"{old} ended with exit status 0, its last line: nonsense"
    )
    assert not caught.value.retryable


def test_where_there_is_none_it_is_said_where_it_was_looked_for(on_path):
    with pytest.raises(SettingError, match=f"there is no {NAME}, neither in .*/nowhere/bin nor on PATH"):
        find_interpreter(Settings())


def test_one_that_does_not_end_is_ended_and_may_work_another_time(on_path, monkeypatch, tmp_path):
    monkeypatch.setattr(interpreter, "TRIAL_TIMEOUT", 0.3)
    pids = tmp_path / "pids"
    slow = on_path(f"/bin/sleep 600 & echo $$ $! > {pids}; wait")
    with pytest.raises(SettingError, match=f"{slow} did not end within 0.3 s") as caught:
        find_interpreter(Settings())
    assert caught.value.retryable
    for pid in pids.read_text("ascii").split():
        eventually(partial(_is_gone, pid))


def _is_gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_one_that_writes_without_end_is_ended(on_path):
    endless = on_path("while :; do echo 0123456789012345678901234567890123456789; done")
    with pytest.raises(SettingError, match=f"{endless} cannot be run: it writes more than"):
        find_interpreter(Settings())


def test_what_is_found_is_remembered_until_it_cannot_be_started(on_path, tmp_path):
    calls = tmp_path / "calls"
    on_path(f"echo >> {calls}; {WORKS}")
    for _ in range(3):
        find_interpreter(Settings())
    assert calls.read_text() == "\n"
    forget_interpreter(Settings())
    find_interpreter(Settings())
    assert calls.read_text() == "\n\n"


def test_the_setting_is_tried_as_well_and_nothing_else(on_path, tmp_path):
    on_path(WORKS)
    broken = program(tmp_path / "mine", "echo broken >&2; exit 3")
    with pytest.raises(SettingError) as caught:
        find_interpreter(Settings(python=broken))
    assert str(caught.value) == (
        "no interpreter was found that can run transforms, the one in SLUICE_PYTHON cannot: "
        f"{broken} ended with exit status 3, its last line: broken"
    )
    with pytest.raises(SettingError, match="/nowhere/python is not there or cannot be executed"):
        find_interpreter(Settings(python="/nowhere/python"))


def test_a_python_that_is_too_old_says_so(on_path):
    # The trial itself, told that it runs in an older one.
    old = interpreter.TRIAL.replace("sys.version_info < (3, 10)", "True")
    assert old != interpreter.TRIAL
    status, output = interpreter._run([BASE, "-I", "-c", old])
    assert status == 1
    assert output.strip() == f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old, 3.10 or newer is needed"


def test_one_of_another_build_is_taken_only_where_none_is_like_ours(on_path, monkeypatch):
    on_path(f'echo \'{interpreter.MARK}["{sys.executable}", [3, 99, 0], ".other.so"]\'')
    assert find_interpreter(Settings()).abi == ".other.so"
    monkeypatch.setattr(interpreter, "_found", {})
    on_path(WORKS)
    assert find_interpreter(Settings()).is_ours


STANDARD = f"/usr/lib/{NAME}"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder that looks like the standard library of some Python, with a module that must not be taken from it."""
    folder = tmp_path / "lib" / "python3.99"
    (folder / "encodings").mkdir(parents=True)
    (folder / "os.py").touch()
    (folder / "colorsys.py").write_text("raise ImportError('of another Python')\n", encoding="utf-8")
    return folder


def test_a_standard_library_is_told_from_packages(library):
    packages = library / "site-packages"
    packages.mkdir()
    assert all(map(is_standard_library, [str(library), f"{library}/lib-dynload", "/usr/lib/python39.zip"]))
    assert not any(map(is_standard_library, [str(packages), "/usr/lib/memgraph/query_modules", "/nowhere"]))
    assert any(map(is_standard_library, sys.path))
    assert not any(map(is_standard_library, server_packages()))


def test_the_process_has_its_own_standard_library_and_not_the_servers(library, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(library), str(tmp_path), *sys.path])
    (tmp_path / "colorsys.py").write_text("raise ImportError('of a package')\n", encoding="utf-8")
    source = "import sys, colorsys\ndef stream(batch): return [('RETURN $path', {'path': sys.path})]\n"
    with TransformProcess(transform(source), Settings()) as running:
        [(_, parameters)] = running.rows(batch(b"1"))
    assert str(library) not in parameters["path"]
    assert str(tmp_path) in parameters["path"]


def test_where_the_versions_differ_the_interpreters_own_packages_come_first(library):
    own, server = [str(library), "/own/site-packages"], ["/server/site-packages", "/own/site-packages"]
    assert joined_path(own, server, own_first=False) == [str(library), "/server/site-packages", "/own/site-packages"]
    assert joined_path(own, server, own_first=True) == [str(library), "/own/site-packages", "/server/site-packages"]


@pytest.mark.parametrize("failing", ["from fast import _native", "import fast._native", "import fast.deep"])
def test_a_package_that_is_built_for_another_python_is_named(tmp_path, monkeypatch, failing):
    package = tmp_path / "fast"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_native.cpython-399-x86_64-linux-gnu.so").touch()
    advice = "raise ImportError('a page of advice') from error"
    (package / "deep.py").write_text(f"try:\n    import fast._native\nexcept ImportError as error:\n    {advice}\n")
    monkeypatch.syspath_prepend(tmp_path)
    expected = f"the package fast in {tmp_path} is built for cpython-399-x86_64-linux-gnu, and transforms run in "
    with pytest.raises(Exception, match="bad transform") as caught:
        TransformProcess(transform(f"{failing}\ndef stream(batch): return []\n"), Settings())
    assert expected in str(caught.value)
    with TransformProcess(transform(f"def stream(batch):\n    {failing}\n"), Settings()) as running:
        with pytest.raises(TransformError) as raised:
            packed(running, b"1")
        assert expected in str(raised.value)


def test_a_package_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(Exception, match="ModuleNotFoundError: No module named 'nowhere_at_all'"):
        TransformProcess(transform("import nowhere_at_all\n"), Settings())
