"""
A batch: the messages of one import; and a group: the batches that travel together.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import confluent_kafka

Messages = list["confluent_kafka.Message"]

_value, _partition, _offset = methodcaller("value"), methodcaller("partition"), methodcaller("offset")

Columns = dict[str, list[Any]]
"What a transform sees of a batch: name -> one value for each message, such as `marshal` can write."


class Batch:
    """
    Messages in the order they came, which is Kafka's order within each partition. Never empty.
    """

    def __init__(self, messages: Messages, *, is_last: bool = True) -> None:
        """
        Args:
            is_last: whether a batch ends with these messages: they are all of it, or its last part.
        """
        self.messages = messages
        self.is_last = is_last

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def payloads(self) -> list[bytes | None]:
        """The messages' values; None for a tombstone."""
        return list(map(_value, self.messages))

    @property
    def columns(self) -> Columns:
        """What a transform is given."""
        return {"payloads": self.payloads}

    @property
    def end(self) -> dict[int, int]:
        """partition -> offset behind the batch's last message of it; only partitions with messages in the batch."""
        last = dict(zip(map(_partition, self.messages), map(_offset, self.messages), strict=True))
        return {partition: offset + 1 for partition, offset in last.items()}

    @property
    def place(self) -> str:
        """Where it is, for errors: of its one message, or of its first."""
        first = self.messages[0]
        place = f"partition {first.partition()}, offset {first.offset()}"
        return place if len(self) == 1 else f"{len(self)} messages from {place}"

    def halves(self) -> tuple[Batch, Batch]:
        """The batch in two; it has at least two messages."""
        middle = len(self.messages) // 2
        return Batch(self.messages[:middle], is_last=False), Batch(self.messages[middle:], is_last=self.is_last)


class Group:
    """
    Batches in a row that go to the transform in one request and into the graph in one transaction.

    That is how batches move on a busy stream only: each is transformed by itself all the same, takes effect as a whole,
    and counts.
    """

    def __init__(self, batches: Sequence[Batch], polled: float = 0.0) -> None:
        """
        Args:
            polled: seconds from when the first of the messages was taken from Kafka until the group was complete.
        """
        self.batches = batches
        self.polled = polled

    def __len__(self) -> int:
        """How many batches, or parts of one, are in it."""
        return len(self.batches)

    @property
    def messages(self) -> int:
        """How many messages are in it."""
        return sum(map(len, self.batches))

    @property
    def ends(self) -> int:
        """How many batches end in it: what it adds to the number of batches that were applied."""
        return sum(batch.is_last for batch in self.batches)

    @property
    def end(self) -> dict[int, int]:
        """As `Batch.end`."""
        end: dict[int, int] = {}
        for batch in self.batches:
            end |= batch.end
        return end

    def part(self, start: int, stop: int) -> Group:
        """Its batches from number `start` on, up to number `stop`; may be empty."""
        return Group(self.batches[start:stop], self.polled)

    def halves(self) -> tuple[Group, Group]:
        """In two: between batches, or within the only one."""
        middle = len(self.batches) // 2
        if middle:
            return self.part(0, middle), self.part(middle, len(self.batches))
        one, other = self.batches[0].halves()
        return Group([one], self.polled), Group([other], self.polled)


def fitting(messages: Messages, max_bytes: int) -> tuple[Messages, Messages]:
    """
    As many of the messages, from the first on, as have payloads of `max_bytes` together, at least one; and the others.
    """
    if sum(map(len, messages)) <= max_bytes:
        return messages, []
    room = max_bytes
    for index, message in enumerate(messages):
        room -= len(message)
        if room < 0 and index:
            return messages[:index], messages[index:]
    return messages, []
