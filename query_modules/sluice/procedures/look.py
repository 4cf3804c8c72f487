"""
The verbs that show the state of streams and of the process, and change nothing.

Each answers at once from the caller's transaction and from what the workers have left in this process. None queries
Kafka.
"""

from __future__ import annotations

import heapq
from operator import attrgetter, itemgetter

from sluice import __version__
from sluice.clauses.printer import to_text
from sluice.clauses.statements import CreateStream
from sluice.clauses.values import Map
from sluice.errors import SettingError
from sluice.host.server_process import this_process
from sluice.host.settings import Settings
from sluice.host.transform_access import CONFINEMENT
from sluice.procedures.lanes import joined_counts, joined_figures, joined_folding, joined_waits
from sluice.procedures.stream_node import StreamNode
from sluice.procedures.stream_report import StreamReport, lags, reason_of
from sluice.procedures.streams import Row, Streams
from sluice.scripting.client import confinement
from sluice.scripting.interpreter import find_interpreter
from sluice.supervising.shared_state import SharedState
from sluice.values.merge_keys import unprotected
from sluice.values.model import PROBE, Status, StreamSpec, check_count
from sluice.values.position import as_map

NOT_YET = "the module has not read the graph yet over its own connection to the server"


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
    return [_info(StreamReport(stream, streams.shared), streams.shared, streams.settings) for stream in shown]


def progress(streams: Streams) -> list[Row]:
    """
    Of all streams, ordered by name, those columns of `info` that change as they run, without maps by partition: half of
    its work, for those who look again and again.
    """
    return [_progress(StreamReport(stream, streams.shared)) for stream in streams.all()]


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


def _info(report: StreamReport, shared: SharedState, settings: Settings) -> Row:
    stream, checkpoint, lag = report.stream, report.checkpoint, report.lag
    monitors, lanes, watermarks = report.monitors, report.lanes, report.watermarks
    waits = [monitor.waits.as_map() for monitor in monitors]
    shapes = frozenset(shape for monitor in monitors for shape in monitor.waits.shapes)
    figures = [monitor.figures(one) for monitor, one in zip(monitors, lanes, strict=False)]
    spec = _spec(stream)
    return {
        "name": stream.name,
        "status": report.status.value,
        "reason": report.reason,
        "since": report.since,
        "retrying": report.retrying,
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
        "total_lag": report.total_lag,
        "batches": checkpoint.batches,
        "messages": checkpoint.messages,
        "failed": checkpoint.failed,
        "folding": joined_folding([monitor.folding for monitor in monitors]).as_map()
        | ({"limits": limits} if (limits := shared.host.limits()) else {}),
        "merges": {"waits": joined_waits(waits), "unprotected": unprotected(shapes, shared.guard.constraints)},
        "lanes": []
        if len(lanes) == 1
        else [
            {"lane": number, **_lane(report, number, shared)}
            | {"rates": figures[number]["rates"], "waits": waits[number]}
            for number in range(len(lanes))
        ],
        **joined_figures(figures),
    }


def _progress(report: StreamReport) -> Row:
    monitors = report.monitors
    folded = [monitor.folding for monitor in monitors]
    return {
        "name": report.stream.name,
        "topic": report.stream.text("topic"),
        "status": report.status.value,
        "reason": report.reason,
        "retrying": report.retrying,
        "total_lag": report.total_lag,
        "messages": report.checkpoint.messages,
        "failed": report.checkpoint.failed,
        "queries": sum(one.given for one in folded),
        "sent": sum(one.sent for one in folded),
        **joined_counts([monitor.counts() for monitor in monitors]),
    }


def _lane(report: StreamReport, number: int, shared: SharedState) -> Row:
    """What is known of one of several lanes."""
    stream, held, state = report.stream, report.lanes[number], report.states[number]
    status = stream.status_at(held)
    if status is Status.RUNNING and report.status is Status.ERROR:  # one that fails stops all others
        status = Status.STOPPED
    lag = None if state is None or state.watermarks is None else lags(state.watermarks, held.positions)
    return {
        "status": status.value,
        "reason": reason_of(stream, status, held, state, shared),
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
