"""
What a stream's worker and those that work for it tell each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from sluice.values.merge_keys import MergeShape
from sluice.values.model import Checkpoint

Watermarks = Mapping[int, tuple[int, int]]
"partition -> first offset, and the offset that its next message gets."


class Stop(Protocol):
    """Whether the stream is to end: a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether it is."""

    def wait(self, timeout: float) -> bool:
        """Waits, at most `timeout` seconds, until it is; whether it is."""


SEARCH = "looking for the message that cannot be applied"
"How the text of a trouble begins that is over once the message is found."


class Listener(Protocol):
    """Who wants to know how a stream is doing."""

    def begun(self, held: Checkpoint) -> None:
        """The checkpoint was read, and the stream goes on from there."""

    def reading(self) -> None:
        """Partitions are assigned."""

    def saw(self, watermarks: Watermarks | None) -> None:
        """Where the partitions begin and end; None: that is not known."""

    def sent(self, transaction: Transaction) -> None:
        """It is about to be sent, after those that are on their way."""

    def unsent(self) -> None:
        """Of what was sent and is not known to be in the graph nothing is."""

    def committed(self, transaction: Transaction) -> None:
        """It is in the graph."""

    def trouble(self, text: str | None) -> None:
        """What the stream is trying to get over, in one line; None: nothing."""

    def failed(self, text: str, in_seconds: float) -> None:
        """The same, where something has failed and is done anew after so many seconds."""

    def refused(self, text: str, reason: str, messages: int) -> None:
        """
        Messages cannot be applied; for the log.

        Args:
            messages: that are done with by that; 0: what they are is still to be found.
        """

    def pulse(self) -> None:
        """Called now and then, whatever else happens or does not."""


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
    notice: str = ""
    "What the server has to say about it though it is committed; empty: nothing."
    shapes: tuple[MergeShape, ...] = ()
    "Kinds of vertices and relationships that were merged for the first time."
