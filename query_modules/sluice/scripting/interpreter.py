"""
Finds the Python interpreter that runs transforms.

Inside Memgraph `sys.executable` is the database server itself (`Py_SetProgramName(argv[0])`, `src/memgraph.cpp`),
which must not be started as an interpreter.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from sluice.errors import SettingError
from sluice.host.settings import Settings


def find_interpreter(settings: Settings) -> str:
    """
    The path of an interpreter of this Python's version, or of any Python 3 if there is none.

    Raises:
        SettingError: no interpreter was found; the text names the setting to use.
    """
    if settings.python:
        if not _executable(settings.python):
            raise SettingError(f"SLUICE_PYTHON names {settings.python}, which cannot be executed")
        return settings.python
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [
        sys.executable if Path(sys.executable or "").name.startswith("python") else "",
        f"{sys.base_exec_prefix}/bin/{version}",
        f"/usr/bin/{version}",
        shutil.which(version) or "",
        f"{sys.base_exec_prefix}/bin/python3",
        shutil.which("python3") or "",
    ]
    for candidate in candidates:
        if candidate and _executable(candidate):
            return candidate
    raise SettingError(f"no {version} was found to run transforms with; set SLUICE_PYTHON to one")


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
