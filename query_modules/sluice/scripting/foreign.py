"""
Packages that cannot be imported because they are built for another Python, found out where an import has failed.

Runs in the transform process. What Python itself says of such a package seldom names the cause: `No module named
'numpy._core._multiarray_umath'`, or a page of advice.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import islice
from pathlib import Path

TAGGED = re.compile(r"\.((?:cpython|pypy)[^.]*)\.so$")
"What an extension module's name ends with that is built for one version; those for any (`.abi3.so`) have no such part."

MAX_FILES = 20_000
"Files of a package that are looked at."


def foreign_package(error: BaseException) -> str | None:
    """What to say of an exception that comes of a package which is built for another Python; None if it does not."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ImportError) and chain.name:
            found = _foreign(chain.name.partition(".")[0])
            if found is not None:
                return found
        chain = chain.__cause__ or chain.__context__
    return None


def _foreign(package: str) -> str | None:
    found = TAGGED.search(EXTENSION_SUFFIXES[0])
    ours = found[1] if found else ""
    for folder in sys.path:
        files = islice(_files(Path(folder), package), MAX_FILES)
        tags = sorted({found[1] for path in files if (found := TAGGED.search(path.name))})
        if ours in tags:
            return None
        if tags:
            return (
                f"the package {package} in {folder} is built for {tags[0]}, and transforms run in {sys.executable}, "
                f"which is {ours}: install it for that one, or set SLUICE_PYTHON to another"
            )
    return None


def _files(folder: Path, package: str) -> Iterator[Path]:
    try:
        yield from folder.glob(f"{package}.*.so")
        yield from (folder / package).rglob("*.so")
    except OSError:
        return
