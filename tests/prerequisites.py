"""
Says at once which programs of the system the tests lack, and the one command that brings them. Needs Python alone.

    python3 -m tests.prerequisites
"""

from __future__ import annotations

import importlib.util
import os
import shutil
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


def complaint() -> str | None:
    """What to type before anything is done; None: nothing."""
    lacking = missing(PROGRAMS | (FURTHER if os.environ.get("CI") else {}))
    if importlib.util.find_spec("ensurepip") is None:
        lacking["venv"] = "python3-venv"
    if not lacking:
        return None
    packages = " ".join(dict.fromkeys([*lacking.values(), *missing(FURTHER).values()]))
    sudo = "" if os.geteuid() == 0 else "sudo "
    command = f"{sudo}apt-get install --no-install-recommends {packages}"
    return f"the tests need {', '.join(lacking)}. Type this (Debian, Ubuntu), or what does the same here: {command}"


def main() -> None:
    """Ends with status 1 if something is missing."""
    said = complaint()
    if said is not None:
        sys.exit(f"error: {said}")


if __name__ == "__main__":
    main()
