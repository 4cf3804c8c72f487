"""
The sandbox speaks Bolt with the codec of `sluice`, which is also what the modules that it loads import.

Each side has its own copy, so that a reload takes nothing from under the sandbox, and a module folder with another
version of the package gets that version.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = "sluice"
FOLDER = str(Path(__file__).resolve().parent.parent / "query_modules")


@contextmanager
def borrowed_codec() -> Iterator[None]:
    """
    Inside, `sluice` is this repository's; afterwards it is as if it had never been imported, nor installed for
    developing: a server has only what is in its modules' folder.
    """
    sys.path.insert(0, FOLDER)
    try:
        yield
    finally:
        sys.path[:] = [entry for entry in sys.path if entry != FOLDER]
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
