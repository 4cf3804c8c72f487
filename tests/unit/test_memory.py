"""What a server says of its memory, and queries that may take only some of it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.persistence.memory import Memory, limited, memory_of
from sluice.persistence.server_facts import ServerFacts
from sluice.scripting.process import PackedQueries

DISCARD = messages.discard()


class Facts:
    """Answers with rows, or refuses."""

    def __init__(self, rows: dict[str, Any] | None, *, may_free: bool = True) -> None:
        self._rows = rows
        self._may_free = may_free
        self.queries: list[str] = []

    def fetch(self, query: str) -> list[dict[str, Any]] | None:
        self.queries.append(query)
        if self._rows is None or (query == "FREE MEMORY" and not self._may_free):
            return None
        return [{"storage info": name, "value": value} for name, value in self._rows.items()]


@pytest.mark.parametrize(
    ("rows", "memory"),
    [
        ({"name": "memgraph", "memory_tracked": "1.50MiB", "allocation_limit": "2.00GiB"}, Memory(2 << 30, 3 << 19)),
        ({"memory_tracked": "512B", "memory_limit": "1.00KiB"}, Memory(1024, 512)),
        ({"memory_tracked": "512B", "memory_limit": "0B"}, Memory(0, 512)),
        ({"memory_tracked": "512B", "memory_limit": "unlimited"}, Memory(0, 512)),
        ({"memory_tracked": "512B"}, Memory(0, 512)),
        ({"name": "memgraph"}, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("may_free", [True, False])
def test_memory_as_servers_tell_it(rows: dict[str, Any] | None, memory: Memory | None, may_free: bool) -> None:
    facts = Facts(rows, may_free=may_free)
    assert memory_of(cast("ServerFacts", facts)) == memory
    assert facts.queries == ["FREE MEMORY", "SHOW STORAGE INFO"]


def test_each_query_gets_a_limit_unless_it_speaks_of_memory_itself() -> None:
    texts = ["CREATE (:A) ; ", "MATCH (n) RETURN n // all", "CALL p() PROCEDURE MEMORY LIMIT 1 MB YIELD *"]
    frames = b"".join(frame(messages.run(text, {"x": [1]})) + frame(DISCARD) for text in texts)
    found = MessageBuffer(1 << 20).feed(bytes(limited(PackedQueries(3, frames), 5_500_000).frames))
    assert found[1::2] == [DISCARD] * 3
    assert [messages.parse(message).fields for message in found[::2]] == [
        ["CREATE (:A)\nQUERY MEMORY LIMIT 5 MB", {"x": [1]}, {}],
        ["MATCH (n) RETURN n // all\nQUERY MEMORY LIMIT 5 MB", {"x": [1]}, {}],
        [texts[2], {"x": [1]}, {}],
    ]
