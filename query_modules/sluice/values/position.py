"""The partitions of a stream's topics: what is known of each, where reading goes on, and in which log that is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sluice.errors import SettingError

UNKNOWN = -1
"Kafka's own value for a leader epoch that is not known."


class Partition(NamedTuple):
    """A partition of a topic: what all that a stream knows about Kafka is keyed by. As text, its place for errors."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"topic {self.topic}, partition {self.number}"


class Position(NamedTuple):
    """The offset of the next message to read."""

    offset: int
    leader_epoch: int = UNKNOWN
    """
    The leader epoch of the message before it: Kafka counts the leaders of a partition, and stores with each message
    under which it was written. So a broker can tell that it has lost that message, though it has others at its offset.
    """


def as_map(numbers: Mapping[Partition, Any], topic: str) -> dict[str, Any]:
    """
    What is known of partitions, as results and nodes have it, in order: `{"0": 120}`, or `{"orders": {"0": 120}}`.

    Args:
        topic: the only one that the stream reads, which is not named; empty: there may be several.
    """
    if topic:
        return {str(partition.number): numbers[partition] for partition in sorted(numbers)}
    found: dict[str, dict[str, Any]] = {}
    for partition in sorted(numbers):
        found.setdefault(partition.topic, {})[str(partition.number)] = numbers[partition]
    return found


def of_map(given: Any, topic: str) -> dict[Partition, Any]:
    """The reverse of `as_map`. Raises ValueError, AttributeError or TypeError: it is something else."""
    topics = {topic: given} if topic else given
    return {Partition(name, int(number)): value for name, part in topics.items() for number, value in part.items()}


def encode_positions(positions: Mapping[Partition, int], topic: str) -> str:
    """
    Positions as the checkpoint node holds them: JSON, partitions ascending, so that equal positions are equal texts.
    `topic`: as for `as_map`.
    """
    return json.dumps(as_map(positions, topic), separators=(",", ":"), ensure_ascii=False)


def decode_positions(text: str, topic: str) -> dict[Partition, int]:
    """
    The reverse of `encode_positions`; tolerant of white space and order, since the node may be edited by hand. Raises
    SettingError: the text is not a JSON object of partition numbers and offsets.
    """
    try:
        positions = of_map(json.loads(text), topic)
        right = all(isinstance(offset, int) and offset >= 0 for offset in positions.values())
    except (ValueError, AttributeError, TypeError):
        right = False
    if not right:
        form = '{"0":120,"1":98}' if topic else '{"orders":{"0":120},"users":{"0":98}}'
        raise SettingError(f"positions of a checkpoint must be like {form}, got {text!r}") from None
    return positions


def encode_leader_epochs(
    positions: Mapping[Partition, int], leader_epochs: Mapping[Partition, Position], topic: str
) -> str:
    """
    Leader epochs as the checkpoint node holds them beside the positions: JSON, partition -> [offset, leader epoch].

    Each has the offset that it belongs to, since others move positions and leave this alone: earlier versions, SEEK,
    people who edit the node. Only those of the positions are written.
    """
    known = {
        partition: list(leader_epochs[partition])
        for partition, offset in positions.items()
        if (found := leader_epochs.get(partition)) and found.offset == offset and found.leader_epoch != UNKNOWN
    }
    return json.dumps(as_map(known, topic), separators=(",", ":"), ensure_ascii=False)


def decode_leader_epochs(text: str, topic: str) -> dict[Partition, Position]:
    """The reverse of `encode_leader_epochs`. Raises SettingError: the text is not such a JSON object."""
    try:
        found = {partition: Position(*pair) for partition, pair in of_map(json.loads(text), topic).items()}
        whole = all(isinstance(number, int) for position in found.values() for number in position)
        right = whole and all(0 <= position.leader_epoch < 1 << 31 for position in found.values())
    except (ValueError, AttributeError, TypeError):
        right = False
    if not right:
        form = '{"0":[120,3]}' if topic else '{"orders":{"0":[120,3]}}'
        raise SettingError(f"leader_epochs of a checkpoint must be like {form}, got {text!r}") from None
    return found


def encode_topic_ids(topic_ids: Mapping[str, str], topic: str) -> str:
    """Kafka's ids of topics as the checkpoint node holds them: the only topic's, or JSON, topic -> id."""
    if topic:
        return topic_ids.get(topic, "")
    return json.dumps(dict(sorted(topic_ids.items())), separators=(",", ":"), ensure_ascii=False)


def decode_topic_ids(text: str, topic: str) -> dict[str, str]:
    """The reverse of `encode_topic_ids`. Raises SettingError: the text is not such a JSON object."""
    if topic:
        return {topic: text} if text else {}
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise SettingError(f'topic_id of a checkpoint must be like {{"orders":"kV3..."}}, got {text!r}')
    return found
