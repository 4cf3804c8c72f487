"""How a stream passes what it cannot read any more, where its policy is to do so. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sluice.errors import GapFound, OffsetGone
from sluice.values.configuration import OnGap
from sluice.values.failed_message import FailedMessage, of_gap
from sluice.values.model import Checkpoint, StreamSpec
from sluice.values.position import UNKNOWN, Partition, Position

log = logging.getLogger("sluice.topic_guard")


class CheckpointMove(NamedTuple):
    """A change of the checkpoint that no batch makes."""

    after: Checkpoint
    entries: Sequence[FailedMessage] = ()
    "What its history gets besides."


def is_unvalidated(held: Checkpoint, gone: OffsetGone, high: int) -> bool:
    """Whether a position is after the end, and the broker may know by its leader epoch where it lost what was read."""
    place = held.places.get(Partition(*gone.partition))
    return place is not None and gone.log_end is None and place.offset > high and place.leader_epoch != UNKNOWN


def past_gap(spec: StreamSpec, held: Checkpoint, gone: OffsetGone, watermarks: tuple[int, int]) -> CheckpointMove:
    """
    To where a partition begins now.

    Raises:
        GapFound: the policy is to stop at that.
        OffsetGone: what is at the stream's position is not gone.
    """
    partition, (low, high) = Partition(*gone.partition), watermarks
    position = held.positions.get(partition)
    if position is None or (gone.log_end is None and low <= position <= high):
        raise gone
    place = str(partition)
    if position < low:
        resume, count = low, low - position
        what = f"{place}, offsets {position} to {low - 1}, at most {count} messages, were removed by retention"
    elif gone.log_end is not None:
        # From there on the log is another one, whatever it has at the offsets that were read.
        resume, count = max(low, min(position, gone.log_end)), 0
        what = f"{place} lost messages that the stream has read, from offset {resume} on: what it has there is new"
    else:
        # The same topic with less in it, and it is not known from where on it is new. Where ids are unknown it may be
        # another topic.
        resume, count = (high, high - low) if partition.topic in held.topic_ids else (low, 0)
        what = f"{place} ends at offset {high}, before the stream's position {position}: it lost messages"
        what += f", and up to {count} of those it has may be new" if count else ""
    _permit(spec, what, f"continue from offset {resume}")
    entry = of_gap(*partition, position, count, what)
    return CheckpointMove(held.moved({partition: Position(resume)}), [entry])


def to_topics(spec: StreamSpec, held: Checkpoint, topic_ids: Mapping[str, str]) -> CheckpointMove:
    """
    To topics with other ids than those of the positions: each from its beginning, unless there was no id or no
    position. Raises GapFound: the policy is to stop at that.
    """
    kept, entries = dict(held.positions), list[FailedMessage]()
    read = spec.reads(held.positions)
    for partition, offset in sorted(held.positions.items()):
        topic = partition.topic
        if topic in topic_ids and topic in held.topic_ids:
            what = f"topic {topic} was deleted and recreated: the stream's positions are those of the old topic"
            if not entries or entries[-1].topic != topic:
                _permit(spec, what, "read the new topic from its beginning")
            if partition in read:
                entries.append(of_gap(topic, partition.number, offset, 0, what))
            del kept[partition]
    return CheckpointMove(replace(held, positions=kept, topic_ids={**held.topic_ids, **topic_ids}), entries)


def _permit(spec: StreamSpec, what: str, remedy: str) -> None:
    name = spec.name
    if spec.config.on_gap is OnGap.STOP:
        how = f"ALTER STREAM {name} SET CONFIG {{on_gap: 'skip'}} and START STREAM {name}"
        raise GapFound(f"Kafka stream {name}, {what}; to {remedy}: {how}")
    log.warning("stream %s: %s; continues, because of on_gap", name, what)
