"""
The verbs that tell what a stream is and how it does, and change nothing: `streams.info`, `batches`, `show_create`.

Each answers at once from the caller's transaction and from what the workers left in this process: none asks Kafka, none
waits for the loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.clauses.printer import to_text
from sluice.clauses.statements import CreateStream
from sluice.clauses.values import Map
from sluice.engine.history import by_name
from sluice.engine.status import WorkerState
from sluice.errors import SettingError
from sluice.procedures.catalog import Catalog, Graph, StreamNode
from sluice.supervising import process
from sluice.supervising.shared_state import SharedState
from sluice.values.merge_keys import unprotected
from sluice.values.model import Checkpoint, Status, StreamSpec, check_count

Row = dict[str, Any]
"A record: column -> value."

OVERLOOKED = (
    "waiting: its CREATE is not committed yet, or it is in another database than the one that SLUICE_LOOPBACK_USER is "
    "in, where nothing runs it"
)


def info(graph: Graph, name: str | None) -> list[Row]:
    """
    All that is known of a stream, or of each, ordered by name: what was asked for, how far it is, what it does now.

    Raises:
        StreamNotFound.
    """
    here = process.current()
    catalog = Catalog(graph, here.exchange)
    streams = catalog.streams() if name is None else [catalog.find(name)]
    return [_info(stream, here.exchange) for stream in streams]


def batches(graph: Graph, name: str, limit: int) -> list[Row]:
    """
    What the latest transactions of a stream did, the newest first.

    Raises:
        StreamNotFound; SettingError if the limit is not a positive number.
    """
    check_count(name, "limit", limit)
    here = process.current()
    stream = Catalog(graph, here.exchange).find(name)
    return [entry.as_row() for entry in here.exchange.monitor(stream.uid).entries(limit, stream.checkpoint())]


def show_create(graph: Graph, name: str) -> list[Row]:
    """
    The clause that makes a stream like this one: `statement`.

    Raises:
        StreamNotFound; SettingError if the node was edited into something impossible.
    """
    here = process.current()
    spec = Catalog(graph, here.exchange).find(name).spec
    return [{"statement": to_text(statement_of(spec))}]


def statement_of(spec: StreamSpec) -> CreateStream:
    """The clause that asks for `spec`. Its script is fetched anew: what is pinned may be another by now."""
    config = spec.config.as_map()
    return CreateStream(
        spec.name,
        spec.uri,
        spec.topic,
        spec.transform.uri,
        spec.batch_interval_ms,
        spec.batch_size,
        Map.of(config) if config else None,
    )


def _info(stream: StreamNode, exchange: SharedState) -> Row:
    monitor = exchange.monitor(stream.uid)
    # The state first: what the worker says it has brought in is in the graph for whoever looks later.
    state = monitor.state
    status, checkpoint = stream.status, stream.checkpoint()
    spec = _spec(stream)
    watermarks = state.watermarks if state is not None and status is Status.RUNNING else None
    lag = None if watermarks is None else lags(watermarks, checkpoint.positions)
    return {
        "name": stream.name,
        "status": status.value,
        "reason": _reason(stream, status, checkpoint, state, exchange),
        "since": _since(stream, status, checkpoint),
        "retrying": _retrying(status, state, exchange),
        "uri": stream.text("uri"),
        "topic": stream.text("topic"),
        "transform": stream.text("transform"),
        "transform_sha256": stream.text("transform_sha256"),
        "transform_source": stream.text("transform_source"),
        "batch_interval": None if spec is None else spec.batch_interval_ms,
        "batch_size": None if spec is None else spec.batch_size,
        "config": {} if spec is None else spec.config.as_map(),
        "generation": stream.generation,
        "positions": by_name(checkpoint.positions),
        "watermarks": None
        if watermarks is None
        else by_name({partition: {"low": low, "high": high} for partition, (low, high) in watermarks.items()}),
        "lag": None if lag is None else by_name(lag),
        "total_lag": None if lag is None else sum(lag.values()),
        "batches": checkpoint.batches,
        "messages": checkpoint.messages,
        "failed": checkpoint.failed,
        "folding": monitor.folding.as_map() | ({"limits": limits} if (limits := exchange.host.limits()) else {}),
        "merges": {
            "waits": monitor.waits.as_map(),
            "unprotected": unprotected(monitor.waits.shapes, exchange.guard.constraints),
        },
        **monitor.figures(checkpoint),
    }


def _spec(stream: StreamNode) -> StreamSpec | None:
    """None if the node was edited into something impossible, as its reason says."""
    try:
        return stream.spec
    except SettingError:
        return None


def lags(watermarks: Mapping[int, tuple[int, int]], positions: Mapping[int, int]) -> dict[int, int]:
    """
    partition -> how many offsets there are from its position on, to the end.

    A partition that nothing was read of begins where its first message is, as it will be read.
    """
    return {
        partition: max(0, high - max(positions.get(partition, low), low))
        for partition, (low, high) in watermarks.items()
    }


def _reason(
    stream: StreamNode, status: Status, checkpoint: Checkpoint, state: WorkerState | None, exchange: SharedState
) -> str | None:
    """
    Why a stream is in error, or why it does not read though it runs, or does not apply parked messages though that
    was asked for, and since when; None if all is well.
    """
    if status is Status.ERROR:
        return checkpoint.error
    if (retrying := _retrying(status, state, exchange)) is not None:
        what = " parked messages" if status is Status.STOPPED else ""
        since = f" since {retrying['since']}" if retrying["since"] else ""
        again = f"; next try at {retrying['next_try']}" if retrying["next_try"] else ""
        return f"retrying{what}{since}: {retrying['why']}{again}"
    if status is Status.STOPPED:
        return None
    if state is None and exchange.overlooked(stream.uid):
        return OVERLOOKED
    if state is None or not state.assigned:
        return f"starting since {_since(stream, status, checkpoint)}"
    return None


def _retrying(status: Status, state: WorkerState | None, exchange: SharedState) -> Row | None:
    """What a stream is trying to get over: `why, since, next_try`; None: nothing."""
    running = status is Status.RUNNING
    if running and exchange.trouble is not None:
        return {"why": exchange.trouble, "since": None, "next_try": None}
    if state is None or state.trouble is None or not (running or state.only_retries):
        return None
    return {"why": state.trouble, "since": state.since, "next_try": state.next_try}


def _since(stream: StreamNode, status: Status, checkpoint: Checkpoint) -> str | None:
    """When the status began; None for streams of a version that did not write it down."""
    if stream.get("running") and status is not Status.RUNNING:
        return checkpoint.ended_at
    return stream.text("changed_at") or None
