"""
The verbs: what the procedures of `streams.py` do, each in the caller's transaction.

Whatever a verb writes is a wish in the graph; the supervisor, rung for, makes it so once it is committed. No verb
waits for the loopback: with one Bolt worker thread that would be a deadlock.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from sluice import process, script
from sluice.catalog import Catalog, Graph, StreamNode
from sluice.consumer import Consumer, check_topic
from sluice.errors import BrokerError, NothingToRead, ScriptError, StreamRunning
from sluice.jail import Jail
from sluice.model import Status, StreamSpec, Transform, check_count
from sluice.settings import Settings

log = logging.getLogger("sluice.service")

Row = dict[str, Any]
"A record: column -> value."

NOTHING: list[Row] = [{}]
"The answer of a verb that has nothing to say: one record without columns."


def create(
    graph: Graph, name: str, uri: str, topic: str, transform: str, batch_interval_ms: int, batch_size: int
) -> list[Row]:
    """
    Writes a new, stopped stream, having checked that it could run: settings, name, script, broker, topic.

    Raises:
        SettingError, StreamExists, ScriptError, BrokerError, TopicNotFound: nothing was written.
    """
    here = process.current()
    # Checked before anything is fetched, so that a typing error costs no waiting.
    unpinned = StreamSpec(
        uuid.uuid4().hex, name, uri, topic, Transform(transform, "", ""), batch_interval_ms, batch_size
    )
    catalog = Catalog(graph, here.exchange)
    catalog.check_free(name)
    pinned = _pin(unpinned.transform.uri, here.settings)
    check_topic(name, uri, topic, here.settings)
    catalog.add(StreamSpec(unpinned.uid, name, uri, topic, pinned, batch_interval_ms, batch_size))
    here.exchange.ring()
    return NOTHING


def drop(graph: Graph, name: str) -> list[Row]:
    """Removes a stream, running or not. Raises StreamNotFound."""
    here = process.current()
    catalog = Catalog(graph, here.exchange)
    catalog.remove(catalog.find(name))
    here.exchange.ring()
    return NOTHING


def show(graph: Graph) -> list[Row]:
    """All streams, ordered by name: `name, uri, topic, transform, status`."""
    streams = Catalog(graph, process.current().exchange).streams()
    return [
        {
            "name": stream.name,
            "uri": stream.get("uri"),
            "topic": stream.get("topic"),
            "transform": stream.get("transform"),
            "status": stream.status.value,
        }
        for stream in streams
    ]


def start(graph: Graph, name: str, limit_batches: int | None) -> list[Row]:
    """
    Wants a stream to run; one that runs is left alone, whatever its limit.

    Raises:
        StreamNotFound; SettingError if the limit is not a positive number.
    """
    if limit_batches is not None:
        check_count(name, "LIMIT", limit_batches)
    here = process.current()
    _start(Catalog(graph, here.exchange).find(name), limit_batches)
    here.exchange.ring()
    return NOTHING


def stop(graph: Graph, name: str) -> list[Row]:
    """Wants a stream to stop, after the batch in flight; one that is stopped is left alone. Raises StreamNotFound."""
    here = process.current()
    _stop(Catalog(graph, here.exchange).find(name))
    here.exchange.ring()
    return NOTHING


def start_all(graph: Graph) -> list[Row]:
    """Wants all streams to run."""
    here = process.current()
    for stream in Catalog(graph, here.exchange).streams():
        _start(stream, None)
    here.exchange.ring()
    return NOTHING


def stop_all(graph: Graph) -> list[Row]:
    """Wants all streams to stop."""
    here = process.current()
    for stream in Catalog(graph, here.exchange).streams():
        _stop(stream)
    here.exchange.ring()
    return NOTHING


def test(graph: Graph, name: str, limit_batches: int, check_abort: Callable[[], None]) -> list[Row]:
    """
    What the stream's transform makes of the next messages, at most `limit_batches` batches of them: `query, params`.

    Reads from where the stream would go on and moves nothing: no graph write, no group, no offset.

    Args:
        check_abort: raises if the caller's query is to end.

    Raises:
        StreamNotFound, SettingError; StreamRunning; NothingToRead if there is no message; BrokerError; ScriptError,
        TransformError.
    """
    check_count(name, "LIMIT", limit_batches)
    here = process.current()
    stream = Catalog(graph, here.exchange).find(name)
    if stream.status is Status.RUNNING:
        raise StreamRunning(
            f"Kafka stream {name} is running, and has to be stopped before it can be tested: STOP STREAM {name}"
        )
    spec = stream.spec
    batches = _read(spec, stream, limit_batches, here.settings, check_abort)
    rows = []
    with Jail(spec.transform, here.settings) as jail:
        for batch in batches:
            check_abort()
            rows += [{"query": query, "params": parameters} for query, parameters in jail.rows(batch)]
    return rows


def _start(stream: StreamNode, limit_batches: int | None) -> None:
    if stream.status is not Status.RUNNING:
        stream.set(running=True, generation=(stream.get("generation") or 0) + 1, limit_batches=limit_batches)


def _stop(stream: StreamNode) -> None:
    if stream.status is Status.RUNNING:
        stream.set(running=False)


def _pin(uri: str, settings: Settings) -> Transform:
    """The script, fetched and found to load."""
    try:
        transform = script.fetch(uri, settings)
    except ScriptError as error:
        # The text of the error is the specification's and says no more; the reason is for the administrator.
        log.warning("%s: %s", error, error.__cause__ or "see the text")
        raise
    Jail(transform, settings).close()
    return transform


def _read(
    spec: StreamSpec, stream: StreamNode, limit_batches: int, settings: Settings, check_abort: Callable[[], None]
) -> list[list[bytes | None]]:
    """The payloads of the next batches, as many as there are now, at most `limit_batches`."""
    deadline = time.monotonic() + settings.test_timeout

    def out_of_time() -> bool:
        check_abort()
        return time.monotonic() >= deadline

    batches: list[list[bytes | None]] = []
    with Consumer(spec.name, spec.uri, spec.topic, settings, to_the_end=True) as consumer:
        consumer.assign(consumer.partitions(), stream.checkpoint().positions)
        while len(batches) < limit_batches and not consumer.at_end:
            batch = consumer.poll_batch(spec.batch_size, settings.test_timeout, out_of_time)
            if batch is None:
                break
            batches.append(batch.payloads)
        if not batches and not consumer.at_end:
            text = f"the broker at {spec.uri} sent nothing of topic {spec.topic} within {settings.test_timeout:g} s"
            raise BrokerError(f"Kafka stream {spec.name}, {text}")
    if not batches:
        text = f"there is nothing to read: topic {spec.topic} has no message behind the stream's position"
        raise NothingToRead(f"Kafka stream {spec.name}, {text}")
    return batches
