"""
The verbs: what the procedures of `streams.py` do, each in the caller's transaction.

A verb only writes a request to the graph. It signals the supervisor, which carries the request out once it is
committed. No verb waits for the loopback: with one Bolt worker thread that would be a deadlock.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sluice import __version__
from sluice.brokers.consumer import Consumer
from sluice.engine.test_execution import TestExecution
from sluice.engine.topic_guard import check_topics
from sluice.errors import NoReport, NothingToRead, SettingError, StreamExists
from sluice.host.instance import this_process
from sluice.host.settings import Settings
from sluice.procedures import steering
from sluice.procedures.catalog import Catalog, Graph, StreamNode
from sluice.scripting import admission
from sluice.scripting.client import until
from sluice.scripting.interpreter import find_interpreter
from sluice.scripting.pinning import pin
from sluice.supervising import process
from sluice.supervising.process import Checked, Process
from sluice.supervising.shared_state import SharedState
from sluice.values.batch import Batch
from sluice.values.configuration import configuration_of
from sluice.values.failed_message import now
from sluice.values.model import PROBE, Status, StreamSpec, Transform, check_count

log = logging.getLogger("sluice.service")

Row = dict[str, Any]
"A record: column -> value."

EXISTING = ("refuse", "keep", "replace")
"What CREATE can do with an existing stream of the same name."

NOT_YET = "the module has not looked at the graph yet, over its own connection to the server"

NOTHING: list[Row] = [{}]
"The answer of a verb without a result: one record without columns."


def create(
    graph: Graph,
    name: str,
    uri: str,
    topic: str,
    transform: str,
    batch_interval_ms: int,
    batch_size: int,
    config: Mapping[str, Any] | None = None,
    existing: str = "refuse",
) -> list[Row]:
    """
    Writes a new, stopped stream after checking that it could run: settings, name, script, broker, topics.

    Args:
        config: as `configuration` says.
        existing: what to do if there is a stream of that name: refuse; keep it, which does nothing; replace it.

    Raises:
        SettingError, StreamExists, ScriptError, BrokerError, TopicNotFound: nothing was written.
        ConflictError: nothing was written; another transaction creates or drops a stream, or did since this one began.
    """
    here = process.current()
    # Checked before anything is fetched, so that a typing error is reported at once.
    script_uri = Transform(transform, "", "")
    configuration = configuration_of(name, config)
    unpinned = StreamSpec(uuid.uuid4().hex, name, uri, topic, script_uri, batch_interval_ms, batch_size, configuration)
    if existing not in EXISTING:
        raise SettingError(f"Kafka stream {name}, existing must be one of {', '.join(EXISTING)}, got {existing!r}")
    catalog = Catalog(graph, here.exchange)
    there = catalog.get(name)
    if there is not None and existing == "keep":
        return NOTHING
    if there is not None and existing == "refuse":
        raise StreamExists(f"Kafka stream {name}, a stream of that name exists already")
    checked = _checked(unpinned, here)
    spec = dataclasses.replace(unpinned, transform=checked.transform)
    positions = steering.first_positions(spec, checked.topic.partitions, here.settings)
    try:
        catalog.claim()
    except Exception:  # a conflict, on which clients retry
        here.remembered.keep(checked.key, checked, checked.until)
        raise
    try:
        if there is not None:
            catalog.remove(there)
        catalog.add(spec, positions, checked.topic.id)
    except BaseException:
        catalog.give_up()
        raise
    here.exchange.ring()
    return NOTHING


def _checked(unpinned: StreamSpec, here: Process) -> Checked:
    """What a CREATE finds out about script and broker; reused if the same CREATE has just met a conflict."""
    key = (unpinned.uri, unpinned.topic, unpinned.transform.uri, unpinned.config.encode())
    remembered = here.remembered.take(key)
    if remembered is not None:
        until, checked = remembered
        return checked._replace(until=until)
    spec = dataclasses.replace(unpinned, transform=pin(unpinned.transform.uri, here.settings))
    return Checked(key, spec.transform, check_topics(spec, here.settings))


def drop(graph: Graph, name: str, if_exists: bool = False) -> list[Row]:
    """Removes a stream, running or not. Raises StreamNotFound, unless it is to be removed only `if_exists`."""
    here = process.current()
    catalog = Catalog(graph, here.exchange)
    stream = catalog.get(name) if if_exists else catalog.find(name)
    if stream is not None:
        catalog.remove(stream)
        here.exchange.ring()
    return NOTHING


def show(graph: Graph) -> list[Row]:
    """All streams, ordered by name: `name, uri, topic, transform, status`."""
    streams = Catalog(graph, process.current().exchange).streams()
    return [
        {
            "name": stream.name,
            "uri": stream.text("uri"),
            "topic": stream.text("topic"),
            "transform": stream.text("transform"),
            "status": stream.status.value,
        }
        for stream in streams
    ]


def version() -> list[Row]:
    """The package's version, and the reason why no stream can run, if any: `version, trouble`."""
    exchange = process.current().exchange
    trouble = exchange.trouble or (NOT_YET if exchange.seen is None else None)
    return [{"version": __version__, "trouble": trouble}]


def instance() -> list[Row]:
    """Which server process this is: `process`."""
    return [{"process": this_process()}]


def settings() -> list[Row]:
    """
    The settings in force: `name, value`, as in the variables, without secrets. And how the server was found to behave.
    """
    here = process.current()
    rows = [{"name": name, "value": value} for name, value in here.settings.as_variables().items()]
    return [*rows, {"name": PROBE, "value": here.exchange.host.summary()}]


def interpreter() -> list[Row]:
    """
    The interpreter that runs transforms: `path, version`, or `trouble`, the reason why there is none. As
    `find_interpreter`.
    """
    here = process.current()
    try:
        found = find_interpreter(here.settings)
    except SettingError as error:
        return [{"path": None, "version": None, "trouble": str(error)}]
    return [{"path": found.path, "version": ".".join(map(str, found.version)), "trouble": None}]


def start(graph: Graph, name: str, limit_batches: int | None) -> list[Row]:
    """
    Requests that a stream run; one that runs is left alone, whatever its limit.

    Raises:
        StreamNotFound; SettingError if the limit is not a positive number.
    """
    if limit_batches is not None:
        check_count(name, "LIMIT", limit_batches)
    here = process.current()
    _start(Catalog(graph, here.exchange).find(name), limit_batches, here.exchange)
    here.exchange.ring()
    return NOTHING


def stop(graph: Graph, name: str) -> list[Row]:
    """
    Requests that a stream stop after the batch in flight; one that is stopped is left alone. Raises StreamNotFound.
    """
    here = process.current()
    _stop(Catalog(graph, here.exchange).find(name))
    here.exchange.ring()
    return NOTHING


def start_all(graph: Graph) -> list[Row]:
    """Requests that all streams run."""
    here = process.current()
    for stream in Catalog(graph, here.exchange).streams():
        _start(stream, None, here.exchange)
    here.exchange.ring()
    return NOTHING


def stop_all(graph: Graph) -> list[Row]:
    """Requests that all streams stop."""
    here = process.current()
    for stream in Catalog(graph, here.exchange).streams():
        _stop(stream)
    here.exchange.ring()
    return NOTHING


def errors(graph: Graph, name: str, limit: int) -> list[Row]:
    """
    The latest messages that a stream stopped at or passed, and gaps that it met, the newest first.

    Raises:
        StreamNotFound; SettingError if the limit is not a positive number.
    """
    check_count(name, "limit", limit)
    history = Catalog(graph, process.current().exchange).find(name).checkpoint().history
    return [entry.as_row() for entry in reversed(history[-limit:])]


def test(graph: Graph, name: str, limit_batches: int, execute: bool, check_abort: Callable[[], None]) -> list[Row]:
    """
    The transform's queries for the next messages, at most `limit_batches` batches of them: `query, params`.

    Reads from where the stream would continue, and moves nothing: no graph write, no group, no offset.

    Args:
        execute: also run the queries, and roll them back; `test_report` shows what they did.
        check_abort: raises if the caller's query has to end.

    Raises:
        StreamNotFound, SettingError; StreamRunning; NothingToRead if there is no message; BrokerError; ScriptError,
        TransformError.
    """
    check_count(name, "LIMIT", limit_batches)
    here = process.current()
    stream = Catalog(graph, here.exchange).find(name)
    stream.check_stopped("tested")
    spec = stream.spec
    admission.check(spec, here.settings)
    batches = _read(spec, stream, limit_batches, here.settings, check_abort)
    queries = []
    with admission.load(spec, here.settings, until(check_abort)) as transform_process:
        for batch in batches:
            check_abort()
            queries += transform_process.rows(batch)
    if execute:
        here.exchange.announce_test_execution(str(stream.get("uid")), TestExecution(name, queries))
        here.exchange.ring()
    return [{"query": query, "params": parameters} for query, parameters in queries]


def test_report(graph: Graph, name: str) -> list[Row]:
    """
    What the queries of the stream's latest executed test did before they were rolled back: a row for each text, those
    that took longest first.

    Raises:
        StreamNotFound; NoReport: there is no report, or not yet.
    """
    here = process.current()
    stream = Catalog(graph, here.exchange).find(name)
    test_execution = here.exchange.test_execution(str(stream.get("uid")))
    if test_execution is None:
        raise NoReport(f"Kafka stream {name}, no test was executed: CALL streams.test('{name}', 1, true) executes one")
    if test_execution.failure is not None:
        raise NoReport(f"Kafka stream {name}, the test could not be executed: {test_execution.failure}")
    if test_execution.reports is None:
        why = here.exchange.trouble or "ask again in a moment"
        raise NoReport(f"Kafka stream {name}, the test is still being executed: {why}")
    return [report.as_row() for report in test_execution.reports]


def _start(stream: StreamNode, limit_batches: int | None, exchange: SharedState) -> None:
    if stream.status is not Status.RUNNING:
        exchange.announce_start(stream.uid)
        stream.set(
            running=True,
            installation=exchange.host.installation.id or None,
            generation=stream.next_generation,
            limit_batches=limit_batches,
            changed_at=now(),
        )


def _stop(stream: StreamNode) -> None:
    if stream.status is Status.RUNNING or stream.is_copied:
        stream.set(running=False, changed_at=now())


def _read(
    spec: StreamSpec, stream: StreamNode, limit_batches: int, settings: Settings, check_abort: Callable[[], None]
) -> list[Batch]:
    """The next batches, as many as there are now, at most `limit_batches`."""
    deadline = time.monotonic() + settings.test_timeout

    def out_of_time() -> bool:
        check_abort()
        return time.monotonic() >= deadline

    batches: list[Batch] = []
    with Consumer(spec, settings, to_the_end=True) as consumer:
        consumer.assign(consumer.topic.partitions(), stream.checkpoint().places)
        while len(batches) < limit_batches and not consumer.at_end:
            group = consumer.poll(spec.batch_size, settings.test_timeout, out_of_time)
            if group is None:
                break
            batches += group.batches
        if not batches and not consumer.at_end:
            raise consumer.complaints.silence(spec.topic, settings.test_timeout)
    if not batches:
        text = f"topic {spec.topic} has no messages after the stream's position"
        raise NothingToRead(f"Kafka stream {spec.name}, {text}")
    return batches
