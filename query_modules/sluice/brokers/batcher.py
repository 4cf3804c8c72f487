"""
Messages become batches, and batches groups: full ones at once, others when their interval is over. Pure: it knows
neither Kafka nor the clock.
"""

from __future__ import annotations

from typing import NamedTuple

from sluice.values.batch import Group, Messages, cut

GROUP_BYTES = 1 << 20
"Bytes of payloads in a group of several batches."


class Limits(NamedTuple):
    """When a batch is due, and how many of them a group may have."""

    size: int
    "Messages with which a batch is full."
    interval: float
    "Seconds after the arrival of its first message at which a batch that is not full is due."
    max_bytes: int
    "Bytes of payloads with which a batch is full; one message may be larger."
    batches: int
    "Batches in a group."


class Batcher:
    """Holds messages, in the order they came, until they are due."""

    def __init__(self) -> None:
        self._messages: Messages = []
        self._weight = 0
        "Bytes of their values together: it is asked for more often than it changes."
        self._came: list[float] = []
        "When each of them came."

    def __len__(self) -> int:
        """How many messages it holds."""
        return len(self._messages)

    def clear(self) -> None:
        """Drops all messages."""
        self._messages.clear()
        self._weight = 0
        self._came.clear()

    def add(self, messages: Messages, now: float) -> None:
        """Takes messages that have come now."""
        self._messages += messages
        self._weight += sum(map(len, messages))
        self._came += [now] * len(messages)

    def room(self, limits: Limits) -> int:
        """How many more messages a group could use."""
        if self._weight >= limits.max_bytes:
            return 0
        return max(0, limits.size * limits.batches - len(self))

    def wait(self, limits: Limits, now: float) -> float:
        """Seconds until a batch is due though no more messages come. It holds at least one."""
        return max(0.0, self._came[0] + limits.interval - now)

    def due(self, limits: Limits, now: float, *, complete: bool) -> Group | None:
        """
        The batches that are due, and are no longer held; None if there are none.

        Args:
            complete: no more messages will come, so that a batch need not wait for them.
        """
        if not self._messages:
            return None
        messages = self._messages[: limits.size * limits.batches]
        batches = cut(messages, limits.size, limits.max_bytes, GROUP_BYTES, self._weight)
        last = batches[-1]
        is_full = len(last) >= limits.size or last.weight >= limits.max_bytes
        may_grow = not is_full and not complete and sum(map(len, batches)) == len(self)
        if may_grow and now < self._came[-len(last)] + limits.interval:
            del batches[-1]
        if not batches:
            return None
        group = Group(batches, now - self._came[0])
        del self._messages[: group.messages], self._came[: group.messages]
        self._weight = self._weight - sum(batch.weight for batch in batches) if self._messages else 0
        return group
