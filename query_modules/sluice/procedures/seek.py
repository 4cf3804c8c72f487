"""The verb that moves a stream to other positions in its topics, and where a new stream begins."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from sluice.brokers.topic_offsets import TopicOffsets
from sluice.engine.topic_guard import check_topics
from sluice.errors import SettingError
from sluice.host.settings import Settings
from sluice.procedures.streams import Row, Streams
from sluice.values.model import StreamSpec
from sluice.values.position import Partition
from sluice.values.seek_target import (
    AtOffsets,
    AtTime,
    ByCount,
    Earliest,
    Move,
    Target,
    leader_epochs_after,
    moves_to,
    positions_after,
    start_of,
    target_of,
)


def seek(streams: Streams, name: str, to: object, dry_run: bool) -> list[Row]:
    """
    Moves a stopped stream to other positions: `partition, from, to, messages, effect, topic`, one record for each
    partition.

    Args:
        to: in one of the forms in `seek_target.FORMS`.
        dry_run: only return what it would mean; then the stream may run.

    Raises:
        StreamNotFound, SettingError; StreamRunning; BrokerError or TopicNotFound if Kafka does not report the offsets.
    """
    place = f"Kafka stream {name}, seek"
    stream = streams.find(name)
    target = target_of(place, to)
    if not dry_run:
        stream.check_stopped("sent elsewhere")
    spec = stream.spec
    deadline = time.monotonic() + streams.settings.broker_timeout
    topics = check_topics(spec, streams.settings)
    held = stream.checkpoint()
    positions = dict(held.positions)
    for topic in sorted(topics.ids.keys() & held.topic_ids.keys()):
        if topics.ids[topic] != held.topic_ids[topic]:
            if isinstance(target, ByCount):
                text = f"topic {topic} was deleted and recreated, and the stream's positions are those of the old topic"
                raise SettingError(f"{place}: {text}: a relative seek is not possible")
            positions = {partition: offset for partition, offset in positions.items() if partition.topic != topic}
    moves = _moves(place, spec, target, positions, topics.partitions, deadline)
    if not dry_run:
        # An id that is unknown at the moment is left to the worker, unless some positions may be those of another
        # topic.
        keeps_some = isinstance(target, ByCount | AtOffsets)
        there = {partition.topic for partition in topics.partitions}
        # A topic that is not there for now keeps its place, unless all begins anew.
        away = {} if isinstance(target, Earliest) else {p: at for p, at in positions.items() if p.topic not in there}
        known = {topic: of for topic, of in held.topic_ids.items() if keeps_some or topic not in there}
        after = {**away, **positions_after(target, positions, moves)}
        stream.move(after, leader_epochs_after(held.leader_epochs, moves), {**known, **topics.ids})
        streams.shared.ring()
    return [move.as_row() for move in moves]


def first_positions(spec: StreamSpec, partitions: Iterable[Partition], settings: Settings) -> dict[Partition, int]:
    """
    Where a new stream begins in the current partitions; empty if it begins with the earliest messages. Raises
    BrokerError: Kafka does not report it.
    """
    place = f"Kafka stream {spec.name}, config: start"
    target = start_of(place, spec.config.start)
    if isinstance(target, Earliest):
        return {}
    moves = _moves(place, spec, target, {}, partitions, time.monotonic() + settings.broker_timeout)
    return positions_after(target, {}, moves)


def _moves(
    place: str,
    spec: StreamSpec,
    target: Target,
    positions: Mapping[Partition, int],
    partitions: Iterable[Partition],
    deadline: float,
) -> list[Move]:
    offsets = TopicOffsets(spec, partitions, deadline)
    at_time = offsets.at_time(target.milliseconds) if isinstance(target, AtTime) else {}
    return moves_to(place, target, positions, offsets.bounds(), at_time)
