"""
The server's memory: how much of it is left, and how queries are kept from taking all of that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Tag
from sluice.persistence.server_facts import SHOW_STORAGE, ServerFacts
from sluice.scripting.process import PackedQueries

FREE_MEMORY = "FREE MEMORY"
"Collects garbage: what a refused transaction wrote counts as used until then."

LIMITS = ("allocation_limit", "memory_limit")
"The limit's name in SHOW STORAGE INFO, up to Memgraph 3.10 and from 3.11 on."

MEBIBYTE = 1 << 20

_SIZE = re.compile(r"([0-9.]+) ?([KMGT]i?)?B")
_UNITS = {"": 1, "K": 1 << 10, "M": MEBIBYTE, "G": 1 << 30, "T": 1 << 40}

MAX_REQUEST = 1 << 30
"Bytes of queries that can be given a limit."


class Memory(NamedTuple):
    """What a server may use, and uses, in bytes."""

    limit: int
    "As `--memory-limit` says; 0: there is none."
    used: int

    @property
    def left(self) -> int:
        """What it may still use."""
        return max(0, self.limit - self.used)


def memory_of(server: ServerFacts) -> Memory | None:
    """The server's memory, after it has collected its garbage if it may be asked to; None without the privilege."""
    server.fetch(FREE_MEMORY)  # without the privilege, it does so by itself, twice a minute
    rows = server.fetch(SHOW_STORAGE[0]) or []
    found = {str(row.get("storage info")): _bytes(str(row.get("value"))) for row in rows}
    if "memory_tracked" not in found:
        return None
    return Memory(next((found[name] for name in LIMITS if name in found), 0), found["memory_tracked"])


def limited(queries: PackedQueries, limit: int) -> PackedQueries:
    """
    The same queries, each refused if it takes more than that many bytes, but for those that say something about memory
    themselves.
    """
    frames = bytearray()
    for message in MessageBuffer(MAX_REQUEST).feed(bytes(queries.frames)):
        request = messages.parse(message)
        if request.tag == Tag.RUN and "MEMORY" not in request.fields[0].upper():
            text = f"{request.fields[0].rstrip('; ')}\nQUERY MEMORY LIMIT {max(1, limit // MEBIBYTE)} MB"
            frames += frame(messages.run(text, request.fields[1]))
        else:
            frames += frame(message)
    return queries._replace(frames=bytes(frames))


def _bytes(text: str) -> int:
    """A size as the server writes it; 0 if it is something else."""
    size = _SIZE.fullmatch(text)
    return int(float(size[1]) * _UNITS[(size[2] or "").removesuffix("i")]) if size else 0
