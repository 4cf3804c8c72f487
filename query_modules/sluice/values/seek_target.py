"""Where a stream can seek to: the forms that a user may give, and what they mean in a topic. No I/O."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sluice.errors import SettingError
from sluice.values.position import Partition, Position

EARLIEST_TIMESTAMP = 10**11
"The least integer that `start` takes as milliseconds since 1970 (March 1973). A smaller one is meant as an offset."

FORMS = "'earliest', 'latest', a time (ISO 8601), {timestamp: milliseconds}, {relative: count}, {`partition`: offset} "
FORMS += "or, of several topics, {topic: {`partition`: offset}}"


@dataclass(frozen=True)
class Earliest:
    """The first message that each partition has when the stream reads it."""


@dataclass(frozen=True)
class Latest:
    """After the last message that each partition has now."""


@dataclass(frozen=True)
class AtTime:
    """The first message of each partition that is not older; if there is none, after its last message."""

    milliseconds: int
    "Since 1970, UTC."


@dataclass(frozen=True)
class ByCount:
    """In each partition, this number of offsets forward, or back if negative, as far as the partition goes."""

    count: int


@dataclass(frozen=True)
class AtOffsets:
    """Partition -> offset; other partitions stay where they are. Without its topic, one of the only topic there is."""

    offsets: Mapping[Partition, int]


Target: TypeAlias = Earliest | Latest | AtTime | ByCount | AtOffsets


@dataclass(frozen=True)
class Move:
    """What a seek means for one partition."""

    partition: Partition
    before: int
    "The offset that would be read next."
    after: int
    "The same after the seek."
    low: int
    "The first offset that Kafka has."
    high: int
    "The offset that the next message gets."
    stays: bool = False
    "Whether the seek is not about it."

    @property
    def messages(self) -> int:
        """
        The maximum number of messages that are read again or skipped: compaction leaves offsets without a message.
        """
        if self.after < self.before:
            return max(0, min(self.before, self.high) - self.after)
        return max(0, self.after - max(self.before, self.low))

    @property
    def effect(self) -> str:
        """What happens to those messages."""
        if not self.messages:
            return "none"
        return "read again" if self.after < self.before else "skipped"

    def as_row(self) -> dict[str, Any]:
        """A record of `streams.seek`."""
        return {
            "topic": self.partition.topic,
            "partition": self.partition.number,
            "from": self.before,
            "to": self.after,
            "messages": self.messages,
            "effect": self.effect,
        }


def target_of(place: str, given: object) -> Target:
    """
    The target that a user's value means.

    Args:
        place: begins an error's text, such as `Kafka stream s, seek`.

    Raises:
        SettingError: the value is not a target.
    """
    if given in ("earliest", "latest"):
        return Earliest() if given == "earliest" else Latest()
    if isinstance(given, str | datetime.date):
        return AtTime(_milliseconds(place, given, FORMS))
    if isinstance(given, Mapping) and given:
        return _of_map(place, given)
    raise SettingError(f"{place}: expected {FORMS}, got {given!r}")


def start_of(place: str, given: object) -> Earliest | Latest | AtTime:
    """Where a new stream is to begin. Raises SettingError as `target_of` does."""
    forms = "'earliest', 'latest' or a timestamp (ISO 8601 or milliseconds since 1970)"
    if given in ("earliest", "latest"):
        return Earliest() if given == "earliest" else Latest()
    is_time = isinstance(given, str | datetime.date)
    if is_time or (isinstance(given, int) and not isinstance(given, bool) and given >= EARLIEST_TIMESTAMP):
        return AtTime(_milliseconds(place, given, forms))
    raise SettingError(f"{place} must be {forms}, got {given!r}")


def moves_to(
    place: str,
    target: Target,
    positions: Mapping[Partition, int],
    bounds: Mapping[Partition, tuple[int, int]],
    at_time: Mapping[Partition, int | None],
) -> list[Move]:
    """
    What a seek to `target` means for each partition, in order.

    Args:
        place: begins an error's text.
        positions: the stream's.
        bounds: partition -> its first offset and the one that its next message gets, for each that the topic has.
        at_time: for a timestamp: partition -> its first offset that is not older; None where there is none.

    Raises:
        SettingError: an offset or a partition does not exist.
    """
    offsets = _checked(place, target.offsets, bounds) if isinstance(target, AtOffsets) else {}
    moves = []
    for partition, (low, high) in sorted(bounds.items()):
        before = positions.get(partition, low)
        match target:
            case Earliest():
                after = low
            case Latest():
                after = high
            case AtTime():
                found = at_time.get(partition)
                after = high if found is None else found
            case ByCount(count):
                after = min(max(min(max(before, low), high) + count, low), high)
            case AtOffsets():
                after = offsets.get(partition, before)
        moves.append(Move(partition, before, after, low, high, stays=bool(offsets) and partition not in offsets))
    return moves


def positions_after(target: Target, positions: Mapping[Partition, int], moves: list[Move]) -> dict[Partition, int]:
    """
    The positions that a checkpoint is to hold; a partition that has none is read from its beginning. Those of
    partitions that the stream does not read stay.
    """
    left = {partition: positions[partition] for partition in positions.keys() - {move.partition for move in moves}}
    if isinstance(target, Earliest):
        # Not the current offsets: retention may remove those before the stream is started.
        return left
    moved = {move.partition: move.after for move in moves if not move.stays or move.partition in positions}
    return left | moved


def leader_epochs_after(leader_epochs: Mapping[Partition, Position], moves: list[Move]) -> dict[Partition, Position]:
    """
    The leader epochs that a checkpoint is to hold. A partition that the seek is about is read from an offset of its
    current log, whatever log the stream has read before; of any other it has to be noticed if it has lost that log.
    """
    sought = {move.partition for move in moves if not move.stays}
    return {partition: position for partition, position in leader_epochs.items() if partition not in sought}


def _of_map(place: str, given: Mapping[str, Any]) -> Target:
    if set(given) == {"timestamp"}:
        when = given["timestamp"]
        return AtTime(_milliseconds(place, when, "a timestamp (ISO 8601 or milliseconds since 1970)"))
    if set(given) == {"relative"}:
        count = given["relative"]
        if not isinstance(count, int) or isinstance(count, bool):
            raise SettingError(f"{place}: relative must be an integer, got {count!r}")
        return ByCount(count)
    if all(isinstance(value, Mapping) for value in given.values()):
        if nothing := [topic for topic, part in given.items() if not part]:
            raise SettingError(f"{place}: expected {FORMS}, got no offsets for the topic {nothing[0]}")
        return AtOffsets(
            {key: at for topic, part in given.items() for key, at in _offsets(place, part, str(topic)).items()}
        )
    return AtOffsets(_offsets(place, given, ""))


def _offsets(place: str, given: Mapping[str, Any], topic: str) -> dict[Partition, int]:
    offsets = {}
    for partition, offset in given.items():
        if not (str(partition).isascii() and str(partition).isdecimal()):
            raise SettingError(f"{place}: expected {FORMS}, got the key {partition!r}")
        if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
            raise SettingError(f"{place}: the offset of partition {partition} must be 0 or more, got {offset!r}")
        offsets[Partition(topic, int(partition))] = offset
    return offsets


def _milliseconds(place: str, given: object, forms: str) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63:
        return given
    when: object = given
    if isinstance(given, str):
        try:
            when = datetime.datetime.fromisoformat(given.strip().replace("Z", "+00:00").replace("z", "+00:00"))
        except ValueError:
            when = None
    if isinstance(when, datetime.date) and not isinstance(when, datetime.datetime):
        when = datetime.datetime.combine(when, datetime.time())
    if not isinstance(when, datetime.datetime):
        raise SettingError(f"{place}: expected {forms}, got {given!r}")
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.timezone.utc)
    since = when - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    milliseconds = since // datetime.timedelta(milliseconds=1)
    if milliseconds < 0:
        raise SettingError(f"{place}: {given} is before 1970")
    return milliseconds


def _checked(
    place: str, offsets: Mapping[Partition, int], bounds: Mapping[Partition, tuple[int, int]]
) -> dict[Partition, int]:
    """The offsets that a user gave, each of a partition with its topic."""
    topics = sorted({partition.topic for partition in bounds})
    is_one = len(topics) == 1
    found: dict[Partition, int] = {}
    for (named, number), offset in sorted(offsets.items()):
        if not named and not is_one:
            what = (
                f"the stream reads the topics {', '.join(topics)}" if topics else "there is no topic for the stream yet"
            )
            raise SettingError(f"{place}: {what}: give offsets as {{topic: {{`partition`: offset}}}}")
        partition = Partition(named or topics[0], number)
        if partition.topic not in topics:
            raise SettingError(f"{place}: the stream reads no topic {named}, only {', '.join(topics) or 'none yet'}")
        if partition not in bounds:
            there = [one.number for one in sorted(bounds) if one.topic == partition.topic]
            what = f"partition {number}" if is_one else f"partition {number} of topic {named}"
            raise SettingError(f"{place}: the stream reads no {what}, only {', '.join(map(str, there))}")
        low, high = bounds[partition]
        if not low <= offset <= high:
            which = f"partition {number}" if is_one else str(partition)
            raise SettingError(f"{place}: {which} can be read from offset {low} to {high}, not {offset}")
        found[partition] = offset
    return found
