"""
The verbs that show a stream and its state, and change nothing: `streams.info`, `batches`, `show_create`.

Each answers at once from the caller's transaction and from what the workers have left in this process. None queries
Kafka, and none waits for the loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.clauses.printer import to_text
from sluice.clauses.statements import CreateStream
from sluice.clauses.values import Map
from sluice.errors import SettingError
from sluice.procedures.catalog import Catalog, Graph, StreamNode
from sluice.supervising import process
from sluice.supervising.history import by_name
from sluice.supervising.shared_state import SharedState
from sluice.supervising.status import WorkerState
from sluice.values.merge_keys import unprotected
from sluice.values.model import Checkpoint, Status, StreamSpec, check_count

Row = dict[str, Any]
"A record: column -> value."

COPIED = (
    "waiting: it was started on another server, from whose dump or snapshot this one was filled, and may run there; "
    "START STREAM {name} runs it here as well"
)

OVERLOOKED = (
    "waiting: its CREATE is not committed yet, or it is in another database than the one that SLUICE_LOOPBACK_USER is "
    "in, where nothing runs it"
)


def info(graph: Graph, name: str | None) -> list[Row]:
    """
    Everything about one stream, or all, ordered by name: what was requested, how far it got, what it is doing.

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
    The clause that creates a stream like this one: `statement`.

    Raises:
        StreamNotFound; SettingError if the node was edited into something impossible.
    """
    here = process.current()
    spec = Catalog(graph, here.exchange).find(name).spec
    return [{"statement": to_text(statement_of(spec))}]


def statement_of(spec: StreamSpec) -> CreateStream:
    """The clause that creates `spec`. CREATE fetches the script again, so it may differ from the pinned one."""
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
    # The state first: what the worker reports as committed is in the graph for every later reader.
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
    """None if the node was edited into something invalid, which its reason says."""
    try:
        return stream.spec
    except SettingError:
        return None


def lags(watermarks: Mapping[int, tuple[int, int]], positions: Mapping[int, int]) -> dict[int, int]:
    """
    partition -> number of offsets from its position to the end.

    For a partition of which nothing was read, the position is its first message, where reading will begin.
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
        return COPIED.format(name=stream.name) if stream.is_copied else None
    if state is None and exchange.overlooked(stream.uid):
        return OVERLOOKED
    if state is None or not state.assigned:
        return f"starting since {_since(stream, status, checkpoint)}"
    return None


def _retrying(status: Status, state: WorkerState | None, exchange: SharedState) -> Row | None:
    """Why a stream is retrying: `why, since, next_try`; None: it is not retrying."""
    running = status is Status.RUNNING
    if running and exchange.trouble is not None:
        return {"why": exchange.trouble, "since": None, "next_try": None}
    if state is None or state.trouble is None or not (running or state.only_retries):
        return None
    return {"why": state.trouble, "since": state.since, "next_try": state.next_try}


def _since(stream: StreamNode, status: Status, checkpoint: Checkpoint) -> str | None:
    """When the status began; None for streams of a version that did not record it."""
    if stream.get("running") and status is not Status.RUNNING:
        return checkpoint.ended_at
    return stream.text("changed_at") or None
