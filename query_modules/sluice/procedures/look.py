"""
The verbs that show what streams and the process are and do, and change nothing.

Each answers at once from the caller's transaction and from what the workers left in this process: none asks Kafka.
"""

from __future__ import annotations

from collections.abc import Mapping

from sluice import __version__
from sluice.clauses.printer import to_text
from sluice.clauses.statements import CreateStream
from sluice.clauses.values import Map
from sluice.errors import SettingError
from sluice.procedures.stream_node import StreamNode
from sluice.procedures.streams import Row, Streams
from sluice.scripting.interpreter import find_interpreter
from sluice.supervising.history import by_name
from sluice.supervising.shared_state import SharedState
from sluice.supervising.status import WorkerState
from sluice.values.merge_keys import unprotected
from sluice.values.model import PROBE, Checkpoint, Status, StreamSpec, check_count

NOT_YET = "the module has not looked at the graph yet, over its own connection to the server"

OVERLOOKED = (
    "waiting: its CREATE is not committed yet, or it is in another database than the one that SLUICE_LOOPBACK_USER is "
    "in, where nothing runs it"
)


def show(streams: Streams) -> list[Row]:
    """All streams, ordered by name: `name, uri, topic, transform, status`."""
    return [
        {
            "name": stream.name,
            "uri": stream.text("uri"),
            "topic": stream.text("topic"),
            "transform": stream.text("transform"),
            "status": stream.status.value,
        }
        for stream in streams.all()
    ]


def info(streams: Streams, name: str | None) -> list[Row]:
    """
    All that is known of a stream, or of each, ordered by name: what was asked for, how far it is, what it does now.

    Raises:
        StreamNotFound.
    """
    shown = streams.all() if name is None else [streams.find(name)]
    return [_info(stream, streams.exchange) for stream in shown]


def errors(streams: Streams, name: str, limit: int) -> list[Row]:
    """
    The latest messages that a stream stopped at or set aside, and gaps that it met, the newest first.

    Raises:
        StreamNotFound; SettingError if the limit is not a positive number.
    """
    check_count(name, "limit", limit)
    history = streams.find(name).checkpoint().history
    return [entry.as_row() for entry in reversed(history[-limit:])]


def batches(streams: Streams, name: str, limit: int) -> list[Row]:
    """
    What the latest transactions of a stream did, the newest first.

    Raises:
        StreamNotFound; SettingError if the limit is not a positive number.
    """
    check_count(name, "limit", limit)
    stream = streams.find(name)
    return [entry.as_row() for entry in streams.exchange.monitor(stream.uid).entries(limit, stream.checkpoint())]


def show_create(streams: Streams, name: str) -> list[Row]:
    """
    The clause that makes a stream like this one: `statement`.

    Raises:
        StreamNotFound; SettingError if the node was edited into something impossible.
    """
    spec = streams.find(name).spec
    return [{"statement": to_text(statement_of(spec))}]


def version(streams: Streams) -> list[Row]:
    """The package's version, and what keeps all streams from running: `version, trouble`."""
    exchange = streams.exchange
    trouble = exchange.trouble or (NOT_YET if exchange.seen is None else None)
    return [{"version": __version__, "trouble": trouble}]


def settings(streams: Streams) -> list[Row]:
    """The settings in force: `name, value`, as variables hold them; no secret. And what the server was found to do."""
    rows = [{"name": name, "value": value} for name, value in streams.settings.as_variables().items()]
    return [*rows, {"name": PROBE, "value": streams.exchange.host.summary()}]


def interpreter(streams: Streams) -> list[Row]:
    """The interpreter that runs transforms: `path, version`, or `trouble`, why there is none. As `find_interpreter`."""
    try:
        found = find_interpreter(streams.settings)
    except SettingError as error:
        return [{"path": None, "version": None, "trouble": str(error)}]
    return [{"path": found.path, "version": ".".join(map(str, found.version)), "trouble": None}]


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
        "set_aside": checkpoint.set_aside,
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
    Why a stream is in error, or why it does not read though it runs, or does not apply what was set aside though that
    was asked for, and since when; None if all is well.
    """
    if status is Status.ERROR:
        return checkpoint.error
    if (retrying := _retrying(status, state, exchange)) is not None:
        what = " what was set aside" if status is Status.STOPPED else ""
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
