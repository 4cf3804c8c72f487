"""One transaction of a stream, and those that are on their way to the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sluice.scripting.process import PackedQueries
from sluice.values.batch import Group
from sluice.values.model import Checkpoint
from sluice.values.parked_message import ParkedMessage

NOTHING = Group([])

NO_QUERIES = PackedQueries(0, b"")


@dataclass(frozen=True)
class Transaction:
    """
    Queries and the checkpoint's move: all of it takes effect, or nothing.

    Never changes; when more is known of how it went, another one with the same content replaces it.
    """

    before: Checkpoint
    "As the fence demands it."
    after: Checkpoint
    properties: Mapping[str, Any] = field(default_factory=dict)
    "What the checkpoint's node holds afterwards."
    queries: PackedQueries = NO_QUERIES
    group: Group = NOTHING
    "The batches that the queries are of; none where parked messages are retried, or only the checkpoint moves."
    parked: Sequence[ParkedMessage] = ()
    "Messages that become nodes."
    transform_seconds: float = 0.0
    bytes: int = 0
    "Of the request; 0 until it is sent."
    sent_at: float = 0.0
    "`time.monotonic`, when it was handed to the server."
    write_seconds: float = 0.0
    "How long that took."
    commit_seconds: float = 0.0
    "From then until the answer to COMMIT was read; 0 until it is committed."
    notice: str = ""
    "What the server has to say about it though it is committed; empty: nothing."

    @property
    def given(self) -> int:
        """Queries that the transform gave for new messages."""
        return self.queries.given if self.group else 0

    @property
    def sent(self) -> int:
        """Queries that those became."""
        return self.queries.size if self.group else 0


class InFlight:
    """
    A stream's transactions that are sent and not done with, oldest first: the only record of them.

    Threads: the owner of the connection changes it. Any may read `all`, a tuple that is replaced and never changed.
    """

    def __init__(self) -> None:
        self.all: tuple[Transaction, ...] = ()
