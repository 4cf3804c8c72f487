"""
The verbs that show the state of streams and of the process, and change nothing.

Each answers at once from the caller's transaction and from what the workers have left in this process. None queries
Kafka.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from operator import attrgetter, itemgetter

from sluice import __version__
from sluice.clauses.printer import to_text
from sluice.clauses.statements import CreateStream
from sluice.clauses.values import Map
from sluice.engine.status import WorkerState
from sluice.errors import SettingError
from sluice.host.server_process import this_process
from sluice.host.settings import Settings
from sluice.host.transform_access import CONFINEMENT
from sluice.procedures.lanes import joined_figures, joined_folding, joined_state, joined_waits
from sluice.procedures.stream_node import StreamNode
from sluice.procedures.streams import Row, Streams
from sluice.scripting.client import confinement
from sluice.scripting.interpreter import find_interpreter
from sluice.supervising.shared_state import SharedState
from sluice.values.dealing import joined
from sluice.values.merge_keys import unprotected
from sluice.values.model import PROBE, Checkpoint, Status, StreamSpec, check_count
from sluice.values.position import Partition, as_map

NOT_YET = "the module has not read the graph yet over its own connection to the server"

COPIED = (
    "waiting: it was started on another server, from whose dump or snapshot this one was filled, and may run there; "
    "START STREAM {name} runs it here as well"
)

OVERLOOKED = (
    "waiting: its CREATE is not committed yet, or it is in another database than that of SLUICE_LOOPBACK_USER, where "
    "nothing runs it"
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
    Everything about one stream, or all, ordered by name: what was requested, how far it got, what it is doing. Raises
    StreamNotFound.
    """
    shown = streams.all() if name is None else [streams.find(name)]
    return [_info(stream, streams.shared, streams.settings) for stream in shown]


def errors(streams: Streams, name: str, limit: int) -> list[Row]:
    """
    The latest messages that a stream stopped at or passed, and gaps that it met, the newest first. Raises
    StreamNotFound; SettingError if the limit is not a positive number.
    """
    check_count(name, "limit", limit)
    history = streams.find(name).checkpoint().history
    return [entry.as_row() for entry in reversed(history[-limit:])]


def batches(streams: Streams, name: str, limit: int) -> list[Row]:
    """
    What the latest transactions of a stream did, the newest first. Raises StreamNotFound; SettingError if the limit is
    not a positive number.
    """
    check_count(name, "limit", limit)
    stream, shared = streams.find(name), streams.shared
    lanes = [shared.monitor(stream.key(lane)).entries(limit, held) for lane, held in enumerate(stream.lanes())]
    return [entry.as_row() for entry in heapq.merge(*lanes, key=attrgetter("time"), reverse=True)][:limit]


def output(streams: Streams, name: str, limit: int) -> list[Row]:
    """
    The latest lines that a stream's transform has written, the newest last: `time, line`.

    Raises:
        StreamNotFound; SettingError if the limit is not a positive number.
    """
    check_count(name, "limit", limit)
    stream = streams.find(name)
    lanes = [streams.shared.monitor(stream.key(lane)).lines.latest(limit) for lane in range(stream.lane_count)]
    lines = list(heapq.merge(*lanes, key=itemgetter(0)))[-limit:]
    return [{"time": time, "line": line} for time, line in lines]


def show_create(streams: Streams, name: str) -> list[Row]:
    """
    The clause that creates a stream like this one: `statement`. Raises StreamNotFound; SettingError if the node was
    edited into something impossible.
    """
    spec = streams.find(name).spec
    return [{"statement": to_text(statement_of(spec))}]


def version(streams: Streams) -> list[Row]:
    """The package's version, and the reason why no stream can run, if any: `version, trouble`."""
    shared = streams.shared
    trouble = shared.trouble or (NOT_YET if shared.seen is None else None)
    return [{"version": __version__, "trouble": trouble}]


def instance(streams: Streams) -> list[Row]:
    """Which server process this is: `process`."""
    return [{"process": this_process()}]


def settings(streams: Streams) -> list[Row]:
    """
    The settings in force: `name, value`, as in the variables, without secrets. And how the server was found to behave.
    """
    rows = [{"name": name, "value": value} for name, value in streams.settings.as_variables().items()]
    found = {PROBE: streams.shared.host.summary(), CONFINEMENT: confinement(None, streams.settings)}
    return [*rows, *({"name": name, "value": value} for name, value in found.items())]


def interpreter(streams: Streams) -> list[Row]:
    """
    The interpreter that runs transforms: `path, version`, or `trouble`, the reason why there is none. As
    `find_interpreter`.
    """
    try:
        found = find_interpreter(streams.settings)
    except SettingError as error:
        return [{"path": None, "version": None, "trouble": str(error)}]
    return [{"path": found.path, "version": ".".join(map(str, found.version)), "trouble": None}]


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


def _info(stream: StreamNode, shared: SharedState, settings: Settings) -> Row:
    monitors = [shared.monitor(stream.key(lane)) for lane in range(stream.lane_count)]
    # The states first: what the workers report as committed is in the graph for every later reader.
    states = [monitor.state for monitor in monitors]
    lanes = stream.lanes()
    checkpoint = joined(lanes, stream.generation)
    status = stream.status_at(checkpoint)
    at_work = {n: states[n] for n, one in enumerate(lanes) if one.ended_generation != stream.generation}
    state = joined_state(at_work or dict(enumerate(states)), len(states))
    waits = [monitor.waits.as_map() for monitor in monitors]
    shapes = frozenset(shape for monitor in monitors for shape in monitor.waits.shapes)
    figures = [monitor.figures(one) for monitor, one in zip(monitors, lanes, strict=False)]
    spec = _spec(stream)
    watermarks = state.watermarks if state is not None and status is Status.RUNNING else None
    lag = None if watermarks is None else lags(watermarks, checkpoint.positions)
    return {
        "name": stream.name,
        "status": status.value,
        "reason": _reason(stream, status, checkpoint, state, shared),
        "since": _since(stream, status, checkpoint),
        "retrying": _retrying(status, state, shared),
        "uri": stream.text("uri"),
        "topic": stream.text("topic"),
        "transform": stream.text("transform"),
        "transform_sha256": stream.text("transform_sha256"),
        "transform_source": stream.text("transform_source"),
        "batch_interval": None if spec is None else spec.batch_interval_ms,
        "batch_size": None if spec is None else spec.batch_size,
        "confinement": None if spec is None else confinement(spec.transform, settings),
        "config": {} if spec is None else spec.config.as_map(),
        "generation": stream.generation,
        "positions": as_map(checkpoint.positions, checkpoint.topic),
        "watermarks": None
        if watermarks is None
        else as_map({p: {"low": low, "high": high} for p, (low, high) in watermarks.items()}, checkpoint.topic),
        "lag": None if lag is None else as_map(lag, checkpoint.topic),
        "total_lag": None if lag is None else sum(lag.values()),
        "batches": checkpoint.batches,
        "messages": checkpoint.messages,
        "failed": checkpoint.failed,
        "folding": joined_folding([monitor.folding for monitor in monitors]).as_map()
        | ({"limits": limits} if (limits := shared.host.limits()) else {}),
        "merges": {"waits": joined_waits(waits), "unprotected": unprotected(shapes, shared.guard.constraints)},
        "lanes": []
        if len(lanes) == 1
        else [
            {"lane": number, **_lane(stream, one, states[number], shared, failed=status is Status.ERROR)}
            | {"rates": figures[number]["rates"], "waits": waits[number]}
            for number, one in enumerate(lanes)
        ],
        **joined_figures(figures),
    }


def _lane(stream: StreamNode, held: Checkpoint, state: WorkerState | None, shared: SharedState, *, failed: bool) -> Row:
    """What is known of one of several lanes. `failed`: whether any has; then all others stop."""
    status = stream.status_at(held)
    if status is Status.RUNNING and failed:
        status = Status.STOPPED
    lag = None if state is None or state.watermarks is None else lags(state.watermarks, held.positions)
    return {
        "status": status.value,
        "reason": _reason(stream, status, held, state, shared),
        "positions": as_map(held.positions, held.topic),
        "lag": None if lag is None else as_map(lag, held.topic),
        "total_lag": None if lag is None else sum(lag.values()),
        "batches": held.batches,
        "messages": held.messages,
        "failed": held.failed,
    }


def _spec(stream: StreamNode) -> StreamSpec | None:
    """None if the node was edited into something invalid, which its reason says."""
    try:
        return stream.spec
    except SettingError:
        return None


def lags(watermarks: Mapping[Partition, tuple[int, int]], positions: Mapping[Partition, int]) -> dict[Partition, int]:
    """
    partition -> number of offsets from its position to the end.

    For a partition of which nothing was read, the position is its first message, where reading will begin.
    """
    return {
        partition: max(0, high - max(positions.get(partition, low), low))
        for partition, (low, high) in watermarks.items()
    }


def _reason(
    stream: StreamNode, status: Status, checkpoint: Checkpoint, state: WorkerState | None, shared: SharedState
) -> str | None:
    """
    Why a stream is in error, or why it does not read though it runs, or does not apply parked messages though that
    was asked for, and since when; None if all is well.
    """
    if status is Status.ERROR:
        return checkpoint.error
    if (retrying := _retrying(status, state, shared)) is not None:
        what = " parked messages" if status is Status.STOPPED else ""
        since = f" since {retrying['since']}" if retrying["since"] else ""
        again = f"; next try at {retrying['next_try']}" if retrying["next_try"] else ""
        return f"retrying{what}{since}: {retrying['why']}{again}"
    if status is Status.STOPPED:
        return COPIED.format(name=stream.name) if stream.is_copied else None
    if state is None and shared.overlooked(stream.uid):
        return OVERLOOKED
    if state is None or not state.assigned:
        return f"starting since {_since(stream, status, checkpoint)}"
    return None


def _retrying(status: Status, state: WorkerState | None, shared: SharedState) -> Row | None:
    """Why a stream is retrying: `why, since, next_try`; None: it is not retrying."""
    running = status is Status.RUNNING
    if running and shared.trouble is not None:
        return {"why": shared.trouble, "since": None, "next_try": None}
    if state is None or state.trouble is None or not (running or state.only_retries):
        return None
    return {"why": state.trouble, "since": state.since, "next_try": state.next_try}


def _since(stream: StreamNode, status: Status, checkpoint: Checkpoint) -> str | None:
    """When the status began; None for streams of a version that did not record it."""
    if stream.get("running") and status is not Status.RUNNING:
        return checkpoint.ended_at
    return stream.text("changed_at") or None
