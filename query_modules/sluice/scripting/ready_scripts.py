"""
The scripts of ready transforms, `sluice:NAME`: a few lines each that load the package's own code.

Nothing of them comes from a node. A node has the script that its CREATE made, which names the package's version and the
hash of its modules. What runs is always the one that the installed package makes, so an upgrade of Sluice upgrades it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sluice import __version__, ready
from sluice.errors import ScriptError
from sluice.host.allow_list import scheme_of
from sluice.values.model import Transform

SCRIPT = '''"""
{uri}: a ready transform of Sluice {version}. The SHA-256 of its modules is
{digest}.
"""

from functools import partial

from sluice import ready

configure = partial(ready.configure, {name!r}, globals())
'''


FOLDERS = ("ready", "decoding")
"Of the modules that they are made of."


def is_ready(uri: str) -> bool:
    """Whether this is the URI of a ready transform, or means to be."""
    return scheme_of(uri) == ready.SCHEME


def installed(uri: str) -> Transform:
    """
    The script of a ready transform, as the installed package has it.

    Raises:
        ScriptError: there is none of this name.
    """
    name = uri.partition(":")[2]
    if name not in ready.MODULES:
        there = ", ".join(f"{ready.SCHEME}:{one}" for one in sorted(ready.MODULES))
        raise ScriptError(
            f"Couldn't get the transform script from {uri}: there is no such ready transform; there are {there}"
        )
    source = SCRIPT.format(uri=uri, version=__version__, digest=_digest(), name=name)
    return Transform(uri, source, hashlib.sha256(source.encode()).hexdigest())


def what_runs(transform: Transform) -> Transform:
    """The script that runs for a pinned one: itself, or the installed one of its name if it is a ready transform."""
    return installed(transform.uri) if is_ready(transform.uri) else transform


def _digest() -> str:
    """The hash of all modules of ready transforms and formats, read anew: they may have been replaced meanwhile."""
    digest = hashlib.sha256()
    package = Path(ready.__file__).parents[1]
    for path in sorted(path for folder in FOLDERS for path in (package / folder).glob("*.py")):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
