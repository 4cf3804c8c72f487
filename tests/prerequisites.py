"""
Says at once which programs of the system the tests lack, and the one command that brings them. Where `CI` is set nobody
is there to type it, so it is run, if this is root on a Debian. Needs Python alone.

    python3 -m tests.prerequisites
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

PROGRAMS = {"java": "default-jre-headless", "mvn": "maven", "openssl": "openssl"}
"Program -> Debian's package. The tests run a real Apache Kafka, whose jars Maven resolves, and make certificates."

FURTHER = {"node": "nodejs", "npm": "npm"}
"The same, for the tests with JavaScript drivers, which are skipped without them unless `CI` is set."


def missing(programs: Mapping[str, str]) -> dict[str, str]:
    """Those that are not there; Java may be that of `JAVA_HOME`."""
    home = os.environ.get("JAVA_HOME", "")
    there = {"java": shutil.which("java", path=os.path.join(home, "bin")) if home else None}
    return {name: package for name, package in programs.items() if not (there.get(name) or shutil.which(name))}


def lacking() -> dict[str, str]:
    """What is missing that the tests cannot do without."""
    found = missing(PROGRAMS | (FURTHER if os.environ.get("CI") else {}))
    if importlib.util.find_spec("ensurepip") is None:
        found["venv"] = "python3-venv"
    return found


def command(lacked: Mapping[str, str]) -> list[str]:
    """What installs that, and what else tests are skipped without."""
    packages = dict.fromkeys([*lacked.values(), *missing(FURTHER).values()])
    return ["apt-get", "install", "--no-install-recommends", *packages]


def complaint(lacked: Mapping[str, str]) -> str:
    """What to type before anything is done."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    told = f"{sudo}{' '.join(command(lacked))}"
    return f"the tests need {', '.join(lacked)}. Type this (Debian, Ubuntu), or what does the same here: {told}"


def install(lacked: Mapping[str, str]) -> None:
    """Types it."""
    for words in (["update", "-q"], ["install", "-q", "-y", *command(lacked)[2:]]):
        subprocess.run(["apt-get", *words], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=True)


def main() -> None:
    """Ends with status 1 if something is missing."""
    if lacking() and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        install(lacking())
    if lacked := lacking():
        sys.exit(f"error: {complaint(lacked)}")


if __name__ == "__main__":
    main()
