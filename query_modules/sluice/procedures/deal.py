"""Deals a stopped stream to other lanes, in the caller's transaction: positions, history and parked messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from sluice.errors import SettingError
from sluice.persistence import nodes
from sluice.procedures.retry import unanswered
from sluice.procedures.stream_node import StreamNode
from sluice.procedures.streams import Streams
from sluice.procedures.vertices import connect
from sluice.values.dealing import dealt, joined, place_of
from sluice.values.model import StreamSpec


def deal(streams: Streams, stream: StreamNode, spec: StreamSpec, lanes: int) -> None:
    """
    Gives a stopped stream this number of lanes, and each of them what it has to know of its partitions.

    Args:
        spec: what the stream is to be; its partitions are dealt by its config.

    Raises:
        SettingError, StreamNotFound: a checkpoint was edited or deleted, or parked messages are being retried. Nothing
            was changed.
    """
    held = joined(stream.known_lanes(), stream.generation)
    if stream.lane_count == lanes == 1:
        return
    if unanswered(stream):
        what = "parked messages are being retried, and lanes can be altered once that is done"
        raise SettingError(f"Kafka stream {stream.name}, config: {what}: streams.parked shows which are waiting")
    parked = stream.parked()
    lane_by_message = [spec.lane_of(place_of(one.message), lanes) for one in parked]
    counts = Counter(lane_by_message)
    # Numbers are counted by each lane, and those that are dealt to one have to be different.
    whole = replace(held, parked=max(held.parked, len(parked)))
    for one in parked:
        for edge in [edge for edge in one.vertex.in_edges if edge.type.name == nodes.HAS_PARKED]:
            streams.graph.delete_edge(edge)
    dealt_anew = dealt(whole, spec, lanes, [counts[lane] for lane in range(lanes)])
    made = stream.replace_checkpoints(streams.graph, dealt_anew)
    for number, (one, lane) in enumerate(zip(parked, lane_by_message, strict=True), 1):
        one.vertex.properties.set("number", number)
        connect(streams.graph, made[lane], one.vertex, nodes.HAS_PARKED)
