"""
The classes of the graph's JVM, read and checked once and for all, in a file: a start takes a third less time with it.

`python -m tests.hosts.classes` makes the file. A JVM that it was not made by, or for other jars, ignores it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import arcadedb_embedded

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "sandbox"


def path() -> Path:
    """Where the file is, or would be, for the ArcadeDB that is installed."""
    where = f"{arcadedb_embedded.__file__} {arcadedb_embedded.__version__}"
    return FOLDER / f"{hashlib.sha256(where.encode()).hexdigest()[:12]}.aot"


def jvm_arguments() -> tuple[str, ...]:
    """What has a JVM use the file; nothing if there is none."""
    file = path()
    return (f"-XX:AOTCache={file}",) if file.exists() else ()
