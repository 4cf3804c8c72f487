"""
How a stream passes what it cannot read any more, where its policy is to do so. Pure.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sluice.errors import GapFound
from sluice.values.configuration import OnGap
from sluice.values.failed_message import FailedMessage, of_gap
from sluice.values.model import Checkpoint, StreamSpec

log = logging.getLogger("sluice.topic_guard")


@dataclass(frozen=True)
class Move:
    """A change of the checkpoint that no batch makes."""

    positions: Mapping[int, int] | None = None
    "As they become; None: they stay."
    topic_id: str | None = None
    "The same."
    entries: Sequence[FailedMessage] = ()
    "What the history gets."

    def applied_to(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint after it, without the entries."""
        return replace(
            checkpoint,
            positions=checkpoint.positions if self.positions is None else self.positions,
            topic_id=checkpoint.topic_id if self.topic_id is None else self.topic_id,
        )


def past_gap(spec: StreamSpec, held: Checkpoint, partition: int, watermarks: tuple[int, int]) -> Move | None:
    """
    To where a partition begins now; None if what is at the stream's position is not gone.

    Raises:
        GapFound: the policy is to stop at that.
    """
    low, high = watermarks
    position = held.positions.get(partition)
    if position is None or low <= position <= high:
        return None
    place = f"topic {spec.topic}, partition {partition}"
    if position < low:
        resume, count = low, low - position
        what = f"{place}, offsets {position} to {low - 1} are gone, at most {count} messages: retention took them"
    else:
        # The same topic with less in it: what comes next is new. Where ids are unknown it may be another topic.
        resume, count = (high if held.topic_id else low), 0
        what = f"{place} ends at offset {high}, before the stream's position {position}: it lost messages"
    _permit(spec, what, f"go on from offset {resume}")
    entry = of_gap(spec.topic, partition, position, count, what)
    return Move({**held.positions, partition: resume}, entries=[entry])


def to_topic(spec: StreamSpec, held: Checkpoint, topic_id: str) -> Move:
    """
    To a topic with another id than that of the positions: from its beginning, unless there was no id or no position.

    Raises:
        GapFound: the policy is to stop at that.
    """
    if not held.topic_id or not held.positions:
        return Move(topic_id=topic_id)
    what = f"topic {spec.topic} was deleted and created anew: the stream's positions are not of this topic"
    _permit(spec, what, "read the new topic from its beginning")
    places = sorted(held.positions.items())
    return Move({}, topic_id, [of_gap(spec.topic, partition, offset, 0, what) for partition, offset in places])


def _permit(spec: StreamSpec, what: str, remedy: str) -> None:
    name = spec.name
    if spec.config.on_gap is OnGap.STOP:
        how = f"CALL streams.configure('{name}', {{on_gap: 'skip'}}) and START STREAM {name}"
        raise GapFound(f"Kafka stream {name}, {what}; to {remedy}: {how}")
    log.warning("stream %s: %s; goes on, as on_gap says", name, what)
