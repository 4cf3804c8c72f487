"""
What a stream's worker and those that work for it tell each other.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sluice.model import Checkpoint


class Stop(Protocol):
    """Whether the stream is to end: a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether it is."""

    def wait(self, timeout: float) -> bool:
        """Waits, at most `timeout` seconds, until it is; whether it is."""


class Listener(Protocol):
    """Who wants to know how a stream is doing."""

    def committed(self, transaction: Transaction) -> None:
        """It is in the graph: what was wrong before is over."""

    def trouble(self, text: str | None) -> None:
        """What the stream is trying to get over, in one line; None: nothing."""


class Transaction(NamedTuple):
    """One that was committed, and how long its parts took, in seconds."""

    reached: Checkpoint
    "As it is from then on."
    batches: int = 0
    messages: int = 0
    given: int = 0
    "Queries that the transform gave."
    sent: int = 0
    "Queries that they became."
    news: tuple[tuple[str, str], ...] = ()
    "Texts of queries that were met for the first time, and how queries of each are folded, or why not."
    polled: float = 0.0
    "From when its first message was taken from Kafka until the group was complete."
    transformed: float = 0.0
    "Waiting for the transform."
    written: float = 0.0
    "Handing it to the server."
    committed: float = 0.0
    "From then until the answer to COMMIT was read."
    refusals: int = 0
    "How often in a row the server had refused it before, for reasons that pass."
