"""The verbs that show a transform's queries for some messages, and change nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sluice.bolt.temporal import plain
from sluice.brokers.consumer import Consumer
from sluice.engine.test_execution import TestExecution
from sluice.errors import NoReport, NothingToRead
from sluice.host.settings import Settings
from sluice.procedures.stream_node import StreamNode
from sluice.procedures.streams import Row, Streams
from sluice.scripting import admission
from sluice.scripting.client import until
from sluice.scripting.manual_message import records_given
from sluice.scripting.pinning import pin
from sluice.scripting.process import TransformProcess
from sluice.values.batch import Batch
from sluice.values.configuration import Configuration
from sluice.values.model import StreamSpec, check_count
from sluice.values.options import options_of


def test(streams: Streams, name: str, limit_batches: int, execute: bool, check_abort: Callable[[], None]) -> list[Row]:
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
    stream = streams.find(name)
    stream.check_stopped("tested")
    spec = stream.spec
    admission.check(spec, streams.settings)
    batches = _read(spec, stream, limit_batches, streams.settings, check_abort)
    queries = []
    lacks = streams.shared.host.lacks()
    lines = streams.shared.monitor(stream.uid).lines
    with admission.load(spec, streams.settings, until(check_abort), lines) as transform_process:
        for batch in batches:
            check_abort()
            queries += transform_process.rows(batch, lacks)
    if execute:
        streams.shared.announce_test_execution(str(stream.get("uid")), TestExecution(name, queries, lacks))
        streams.shared.ring()
    return _shown(queries)


def test_report(streams: Streams, name: str) -> list[Row]:
    """
    What the queries of the stream's latest executed test did before they were rolled back: a row for each text, those
    that took longest first. Raises StreamNotFound; NoReport: there is no report, or not yet.
    """
    stream = streams.find(name)
    test_execution = streams.shared.test_execution(str(stream.get("uid")))
    if test_execution is None:
        raise NoReport(f"Kafka stream {name}, no test was executed: CALL streams.test('{name}', 1, true) executes one")
    if test_execution.failure is not None:
        raise NoReport(f"Kafka stream {name}, the test could not be executed: {test_execution.failure}")
    if test_execution.reports is None:
        why = streams.shared.trouble or "ask again in a moment"
        raise NoReport(f"Kafka stream {name}, the test is still being executed: {why}")
    return [report.as_row() for report in test_execution.reports]


def try_transform(
    streams: Streams,
    uri: str,
    messages: Sequence[Any],
    options: Mapping[str, Any] | None,
    check_abort: Callable[[], None],
) -> list[Row]:
    """
    The queries of the script at `uri` for these messages as one batch: `query, params`. Kafka is not queried.

    Args:
        messages: as `manual_message.records_given`.
        options: for the script's `configure(options)`.
        check_abort: raises if the caller's query is to end.

    Raises:
        ScriptError, TransformError, SettingError.
    """
    records = records_given(messages)
    wants_stop = until(check_abort)
    configured = options_of(options)
    transform = pin(uri, streams.settings, wants_stop, configured)
    config = Configuration(transform=configured)
    with TransformProcess(transform, streams.settings, wants_stop, config) as transform_process:
        return _shown(transform_process.rows(records, streams.shared.host.lacks()))


def _shown(queries: Sequence[tuple[str, dict[str, Any]]]) -> list[Row]:
    return [{"query": query, "params": plain(parameters)} for query, parameters in queries]


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
        partitions = consumer.topic.partitions()
        if not partitions:
            raise NothingToRead(f"Kafka stream {spec.name}, no topic at {spec.uri} matches {spec.topic}")
        consumer.assign(spec.reads(partitions), stream.checkpoint().places)
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
