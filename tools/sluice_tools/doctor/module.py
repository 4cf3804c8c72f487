"""
Which version of the module a server has loaded, as far as this is visible from outside.

The procedures' signatures are compared with those of the `streams.py` that this command would install. If the module
has `streams.version`, it is asked.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sluice import __version__
from sluice_tools.install.copies import MODULE, PACKAGE, brought, version_of

PREFIX = "streams."


CONTEXT = "ctx"
"Name of the argument that the server itself passes to procedures that declare it."


class Signature(NamedTuple):
    """A procedure's arguments, in order, and the names of its columns, in alphabetical order."""

    arguments: tuple[str, ...]
    columns: tuple[str, ...]


def loaded_signatures(rows: Iterable[Mapping[str, object]]) -> dict[str, Signature]:
    """The signatures of Sluice's procedures that the server reports with `CALL mg.procedures()`."""
    return {
        str(row["name"]).removeprefix(PREFIX): parse_signature(str(row["signature"]))
        for row in rows
        if str(row["name"]).startswith(PREFIX)
    }


def parse_signature(text: str) -> Signature:
    """`streams.start(name :: STRING, limit_batches = null :: INTEGER?) :: ()` and the like."""
    arguments, _, columns = text.partition("(")[2].rpartition(") :: (")
    return Signature(_names(arguments), tuple(sorted(_names(columns))))


def own_signatures() -> dict[str, Signature]:
    """Those of the module that this command would install."""
    tree = ast.parse(brought()[MODULE].read_text(encoding="utf-8"))
    return {
        node.name: Signature(
            tuple(argument.arg for argument in node.args.args if argument.arg != CONTEXT),
            tuple(sorted(name for word in getattr(node.returns, "keywords", ()) for name in _words(word))),
        )
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }


def difference(loaded: Mapping[str, Signature], own: Mapping[str, Signature]) -> str:
    """The difference between the two, in a few words; empty if they are the same."""
    missing = [f"has no {PREFIX}{name}" for name in own if name not in loaded]
    foreign = [f"has {PREFIX}{name}, which this version has not" for name in loaded if name not in own]
    other = [f"has another {PREFIX}{name}" for name in own if name in loaded and loaded[name] != own[name]]
    return ", ".join((missing + foreign + other)[:3])


def version_beside(module: str) -> str | None:
    """The version of the package next to a `streams.py`, if that is on this machine."""
    return version_of(Path(module).parent / PACKAGE)


def remedy(version: str | None) -> str:
    """What to do when the server has another version."""
    other = f"memgraph-sluice=={version}" if version else "memgraph-sluice of its version"
    return (
        f"sluice install on the server's machine puts {__version__} there, then CALL mg.load_all(); "
        f"or use the command that fits the server: pip install '{other}'"
    )


def _words(keyword: ast.keyword) -> list[str]:
    """The columns that a keyword of `mgp.Record(...)` names: its own, or those of `**{"from": int, ...}`."""
    if keyword.arg is not None:
        return [keyword.arg]
    keys = keyword.value.keys if isinstance(keyword.value, ast.Dict) else []
    return [str(key.value) for key in keys if isinstance(key, ast.Constant)]


def _names(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"(\w+)(?: = (?:'[^']*'|[^:])*)? :: ", text))
