"""What of the server's surroundings a transform process gets: its environment variables, and where it imports from."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

KEPT = re.compile(
    "(PATH|HOME|USER|LANG|LANGUAGE|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_FILE|SSL_CERT_DIR|(LC|OMP|MKL|OPENBLAS)_.*)$"
)
"""
Variables that a transform sees: what an interpreter and its packages need, and which certificates the machine trusts.
Others may hold secrets: our own the way into the database, those that streams refer to by `env:NAME` the way into
Kafka.
"""

_ARCHIVE = re.compile(r"python\d+\.zip$")


def transform_environment() -> dict[str, str]:
    """The environment of a transform process."""
    return {name: value for name, value in os.environ.items() if KEPT.match(name)}


def server_packages() -> list[str]:
    """
    Where this Python imports from, less its standard library: that of another version would not work in the transform
    process, and its own is as good where the version is the same.
    """
    return [entry for entry in sys.path if entry and not is_standard_library(entry)]


def is_standard_library(entry: str) -> bool:
    """Whether an entry of `sys.path` is a part of some Python's standard library."""
    path = Path(entry)
    if path.name == "lib-dynload" or _ARCHIVE.match(path.name):
        return True
    return (path / "encodings").is_dir() and any((path / f"os.{suffix}").is_file() for suffix in ("py", "pyc"))


def joined_path(own: Sequence[str], given: Sequence[str], *, own_first: bool) -> list[str]:
    """
    A transform process's `sys.path`: its standard library, then the server's packages and its own.

    Args:
        own: what its interpreter starts with.
        given: the server's (`server_packages`).
        own_first: the server's Python is of another version or build, so what it has comes after what is made for
            this one.
    """
    standard = [entry for entry in own if is_standard_library(entry)]
    others = [entry for entry in own if entry not in standard]
    new = [entry for entry in given if entry not in own]
    return [*standard, *others, *new] if own_first else [*standard, *new, *others]
