"""The checkpoints of a stream's lanes as one, and one dealt to lanes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, TypeVar

from sluice.errors import SettingError
from sluice.values.failed_message import FailedMessage
from sluice.values.lane import Lane
from sluice.values.model import Checkpoint, Status, StreamSpec
from sluice.values.parked_message import ParkedMessage
from sluice.values.position import Partition

T = TypeVar("T")


def lanes_for(spec: StreamSpec, partitions: Iterable[Partition], cores: int) -> int:
    """
    How many lanes a stream gets. Raises SettingError: more than there are partitions.

    Args:
        partitions: those that it reads.
        cores: how many the machine has; no more lanes than that for 'auto'.
    """
    wanted, there = spec.config.lanes, max(1, len(set(partitions)))
    if isinstance(wanted, str):
        return min(there, cores)
    if wanted > there and not spec.topics.has_patterns:  # more topics may come to match
        what = f"the stream reads {there} partition{'s' if there > 1 else ''} of topic {spec.topic}"
        raise SettingError(
            f"Kafka stream {spec.name}, config: lanes: {what}, so it can have {there} at most, got {wanted}"
        )
    return wanted


def dealt_to(lane: int, spec: StreamSpec, count: int, by_partition: Mapping[Partition, T]) -> dict[Partition, T]:
    """What one of `count` lanes gets of what there is for each partition."""
    return {p: value for p, value in by_partition.items() if spec.lane_of(p, count) == lane}


def dealt(held: Checkpoint, spec: StreamSpec, count: int, parked: Sequence[int]) -> list[Checkpoint]:
    """
    One checkpoint for each of `count` lanes, which together are the one that is `held`. What is counted for the stream
    as a whole is with the first.

    Args:
        parked: how many messages are parked now, for each lane: a retry counts them down there.
    """
    first = replace(held, failed=max(parked[0], held.failed - sum(parked[1:])))
    none = replace(held, batches=0, messages=0, generation_batches=0, ended_status=Status.STOPPED, error=None)
    others = [replace(none, failed=failed) for failed in parked[1:]]
    return [
        replace(
            one,
            positions=dealt_to(lane, spec, count, held.positions),
            leader_epochs=dealt_to(lane, spec, count, held.leader_epochs),
            history=tuple(entry for entry in held.history if spec.lane_of(place_of(entry), count) == lane),
        )
        for lane, one in enumerate([first, *others])
    ]


def place_of(message: FailedMessage | ParkedMessage) -> Partition:
    """The partition of a message."""
    return Partition(message.topic, message.partition)


def joined(lanes: Sequence[Checkpoint], generation: int) -> Checkpoint:
    """
    The checkpoints of all lanes as that of one stream. An error of any lane has ended the run; a limit of batches has
    if all lanes have ended.

    Args:
        generation: the run that is asked about.
    """
    if len(lanes) == 1:
        return lanes[0]
    counts = ("batches", "messages", "failed")
    return Checkpoint(
        positions={p: offset for one in lanes for p, offset in one.positions.items()},
        parked=max(one.parked for one in lanes),
        retry_completed=min(one.retry_completed for one in lanes),
        history=tuple(sorted((entry for one in lanes for entry in one.history), key=attrgetter("time"))),
        topic=lanes[0].topic,
        topic_ids={topic: known for one in lanes for topic, known in one.topic_ids.items()},
        leader_epochs={p: place for one in lanes for p, place in one.leader_epochs.items()},
        generation=generation,
        generation_batches=sum(one.batches_in(generation) for one in lanes),
        **{name: sum(getattr(one, name) for one in lanes) for name in counts},
        **_end_of(lanes, generation),
    )


def _end_of(lanes: Sequence[Checkpoint], generation: int) -> dict[str, Any]:
    """How the run ended, if it has; otherwise how one before it did."""
    for number, one in enumerate(lanes):
        if one.ended_generation == generation and one.ended_status is Status.ERROR:
            error = one.error or ""
            return _end(one) | {"error": error if error.startswith("lane ") else f"{Lane(number, len(lanes))}: {error}"}
    return _end(next((one for one in lanes if one.ended_generation != generation), lanes[0]))


def _end(one: Checkpoint) -> dict[str, Any]:
    names = ("ended_generation", "ended_status", "error", "ended_at")
    return {name: getattr(one, name) for name in names}
