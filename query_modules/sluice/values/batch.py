"""A batch: the messages of one import; and a group: the batches that travel together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

from sluice.values.position import UNKNOWN, Partition, Position
from sluice.values.record import VALUE, Columns, columns_of_messages

if TYPE_CHECKING:
    import confluent_kafka

Messages = list["confluent_kafka.Message"]


class Batch:
    """Messages in the order they came, which is Kafka's order within each partition. Never empty."""

    __slots__ = ("is_last", "messages", "reached")

    def __init__(
        self, messages: Messages, *, is_last: bool = True, reached: Mapping[Partition, Position] = MappingProxyType({})
    ) -> None:
        """
        Args:
            is_last: whether a batch ends with these messages: they are all of it, or its last part.
            reached: partition -> where reading continues after these messages, if that is known. Offsets without a
                message, such as those of transaction markers, are before it.
        """
        self.messages = messages
        self.is_last = is_last
        self.reached = reached

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def weight(self) -> int:
        """Bytes of the messages' values together."""
        return sum(map(len, self.messages))

    @property
    def payloads(self) -> list[bytes | None]:
        """The messages' values; None for a tombstone."""
        return self.columns([VALUE])[VALUE]

    def columns(self, fields: Sequence[str]) -> Columns:
        """As `record.Messages.columns`."""
        return columns_of_messages(self.messages, fields)

    def followed_by(self, others: Sequence[Batch]) -> Batch:
        """As `record.Messages.followed_by`."""
        return Batch(list(chain(self.messages, *(other.messages for other in others)))) if others else self

    @property
    def place(self) -> str:
        """Its place, for errors: that of its only message, or of its first."""
        first = self.messages[0]
        place = f"{partition_of(first)}, offset {first.offset()}"
        return place if len(self) == 1 else f"{len(self)} messages from {place}"

    def halves(self) -> tuple[Batch, Batch]:
        """Splits the batch in two; it has at least two messages."""
        middle = len(self.messages) // 2
        later = Batch(self.messages[middle:], is_last=self.is_last, reached=self.reached)
        return Batch(self.messages[:middle], is_last=False), later


class Group:
    """
    Batches in a row that go to the transform in one request and into the graph in one transaction.

    This happens on busy streams only. Each batch is still transformed by itself, takes effect as a whole, and is
    counted.
    """

    def __init__(
        self, batches: Sequence[Batch], polled: float = 0.0, *, partitions: Collection[Partition] = ()
    ) -> None:
        """
        Args:
            polled: seconds from when the first of the messages was taken from Kafka until the group was complete.
            partitions: those that the messages may be of, so that not each has to be asked; empty: any.
        """
        self.batches = batches
        self.polled = polled
        self.partitions = partitions

    def __len__(self) -> int:
        """How many batches, or parts of one, are in it."""
        return len(self.batches)

    @cached_property
    def messages(self) -> int:
        """How many messages are in it."""
        return sum(map(len, self.batches))

    @cached_property
    def ends(self) -> int:
        """How many batches end in it: what it adds to the number of batches that were applied."""
        return sum(batch.is_last for batch in self.batches)

    @cached_property
    def end(self) -> dict[Partition, Position]:
        """partition -> where to go on from after the group; only partitions that are known to be read on."""
        end = {partition_of(message): _after(message) for message in self._last_of_each()}
        for batch in self.batches:
            if batch.reached:
                end.update({p: max(place, end.get(p, place)) for p, place in batch.reached.items()})
        return end

    def part(self, start: int, stop: int) -> Group:
        """Its batches from number `start` on, up to number `stop`; may be empty, or all of it."""
        if start == 0 and stop >= len(self):
            return self
        return Group(self.batches[start:stop], self.polled, partitions=self.partitions)

    def halves(self) -> tuple[Group, Group]:
        """Splits the group in two: between batches, or within its only batch."""
        middle = len(self.batches) // 2
        if middle:
            return self.part(0, middle), self.part(middle, len(self.batches))
        one, other = map(self._alone, self.batches[0].halves())
        return one, other

    def _alone(self, batch: Batch) -> Group:
        return Group([batch], self.polled, partitions=self.partitions)

    def _last_of_each(self) -> Iterable[confluent_kafka.Message]:
        """The last message of each partition. There are thousands: what each is asked for counts."""
        if len(self.partitions) == 1:
            return self.batches[-1].messages[-1:] if self.batches else []
        messages = chain.from_iterable(batch.messages for batch in self.batches)
        if len({partition.topic for partition in self.partitions}) == 1:
            return {message.partition(): message for message in messages}.values()
        return {(message.topic(), message.partition()): message for message in messages}.values()


def partition_of(message: confluent_kafka.Message) -> Partition:
    """The partition that a message is in."""
    return Partition(message.topic(), message.partition())


def _after(message: confluent_kafka.Message) -> Position:
    """Where reading goes on after a message."""
    epoch = message.leader_epoch()
    return Position(message.offset() + 1, UNKNOWN if epoch is None else epoch)


def cut(messages: Messages, size: int, max_bytes: int, room: int, weight: int) -> list[Batch]:
    """
    Divides the messages into batches, from the first on. Only the last batch may be neither full nor large.

    Args:
        messages: at least one.
        size: messages in a batch.
        max_bytes: a batch ends before its payloads are more than that; one message may be larger.
        room: bytes that all batches have together; the first may have more. What does not fit is left out.
        weight: bytes of the messages' values together, at most.
    """
    if weight <= min(max_bytes, room):
        return [Batch(messages[start : start + size]) for start in range(0, len(messages), size)]
    batches: list[Batch] = []
    start = 0
    while start < len(messages):
        batch = Batch(_fitting(messages[start : start + size], max_bytes))
        room -= batch.weight
        if room < 0 and batches:
            break
        batches.append(batch)
        start += len(batch)
    return batches


def _fitting(messages: Messages, max_bytes: int) -> Messages:
    for index, message in enumerate(messages):
        max_bytes -= len(message)
        if max_bytes < 0 and index:
            return messages[:index]
    return messages
