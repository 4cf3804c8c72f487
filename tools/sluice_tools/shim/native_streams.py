"""
Streams of Memgraph's own, made with CREATE KAFKA STREAM through the shim: clauses do not find them, and users wonder.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sluice.cypher.lexer import BLANKS

MAX_NAMES = 1000
"Names that are remembered; for a further one, the oldest goes."

_CREATE = re.compile(
    rf"[{BLANKS}]*(?P<clause>CREATE[{BLANKS}]+(?:KAFKA|PULSAR)[{BLANKS}]+STREAM)[{BLANKS}]+(?P<name>`(?:[^`]|``)+`|\w+)",
    re.IGNORECASE,
)


class NativeStream(NamedTuple):
    """One of them."""

    name: str
    made_by: str
    "CREATE KAFKA STREAM or CREATE PULSAR STREAM."


def native_stream_in(query: str) -> NativeStream | None:
    """The stream of Memgraph's own that a query creates."""
    found = _CREATE.match(query)
    if found is None:
        return None
    name = found["name"]
    plain = name[1:-1].replace("``", "`") if name.startswith("`") else name
    return NativeStream(plain, " ".join(found["clause"].upper().split()))


class NativeStreams:
    """Those that are known to have been made, since the shim was started. Threads: the event loop's."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def add(self, stream: NativeStream) -> None:
        """Remember it."""
        self._made[stream.name] = stream.made_by
        if len(self._made) > MAX_NAMES:
            del self._made[next(iter(self._made))]

    def made_by(self, name: str) -> str | None:
        """The clause that made the stream of this name; None: none that is known."""
        return self._made.get(name)
