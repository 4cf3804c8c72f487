"""A machine that lacks programs of the system is told of all of them at once, with one command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def said(folder: Path, programs: list[str], **environment: str) -> tuple[int, str]:
    """Status and words where these programs are all there is."""
    for name in programs:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-m", "tests.prerequisites"],
        cwd=ROOT,
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stderr


@pytest.mark.parametrize(
    ("programs", "names", "packages"),
    [
        ([], "java, mvn, openssl", "default-jre-headless maven openssl nodejs npm"),
        (["java", "openssl", "node"], "mvn", "maven npm"),
    ],
)
def test_all_that_is_missing_is_in_one_command(tmp_path: Path, programs: list[str], names: str, packages: str):
    status, line = said(tmp_path, programs)
    assert (status, line.count("\n")) == (1, 1)
    assert line.startswith(f"error: the tests need {names}. ")
    assert line.endswith(f"apt-get install --no-install-recommends {packages}\n")
    assert ("sudo" in line) == (os.geteuid() != 0)


def test_drivers_of_javascript_are_needed_in_ci_alone(tmp_path: Path):
    needed = ["java", "mvn", "openssl"]
    assert said(tmp_path, needed) == (0, "")
    status, line = said(tmp_path, needed, CI="true")
    assert (status, "need node, npm." in line, line.endswith(" nodejs npm\n")) == (1, True, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")
def test_in_ci_root_installs_what_is_missing(tmp_path: Path):
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/typed\n/bin/cp {tmp_path}/java {tmp_path}/mvn\n')
    apt.chmod(0o755)
    present = ["java", "openssl", "node", "npm"]
    assert said(tmp_path, present, CI="true") == (0, "")
    assert (tmp_path / "typed").read_text() == "update -q\ninstall -q -y --no-install-recommends maven\n"
    (tmp_path / "typed").unlink()
    (tmp_path / "mvn").unlink()
    assert said(tmp_path, present)[0] == 1
    assert not (tmp_path / "typed").exists(), "elsewhere somebody can type it"


def test_java_may_be_elsewhere(tmp_path: Path):
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    assert said(tmp_path, ["mvn", "openssl"], JAVA_HOME=str(home)) == (0, "")
