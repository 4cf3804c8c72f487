"""
A batch: the messages of one import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import confluent_kafka

    Messages = list[confluent_kafka.Message]


class Batch:
    """
    Messages in the order they came, which is Kafka's order within each partition. Never empty.
    """

    def __init__(self, messages: Messages) -> None:
        self.messages = messages

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def payloads(self) -> list[bytes | None]:
        """The messages' values; None for a tombstone."""
        return [message.value() for message in self.messages]

    @property
    def end(self) -> dict[int, int]:
        """partition -> offset behind the batch's last message of it; only partitions with messages in the batch."""
        return {message.partition(): message.offset() + 1 for message in self.messages}

    @property
    def place(self) -> str:
        """Where it is, for errors: of its one message, or of its first."""
        first = self.messages[0]
        place = f"partition {first.partition()}, offset {first.offset()}"
        return place if len(self) == 1 else f"{len(self)} messages from {place}"

    def halves(self) -> tuple[Batch, Batch]:
        """The batch in two; it has at least two messages."""
        middle = len(self.messages) // 2
        return Batch(self.messages[:middle]), Batch(self.messages[middle:])


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
