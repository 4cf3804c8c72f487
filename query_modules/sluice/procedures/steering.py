"""
The verbs that change a stream: other settings, another place in its topic, a new version of its script.

As in `service`: in the caller's transaction, without waiting for the loopback.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sluice.brokers.offsets import TopicOffsets
from sluice.engine.topic_guard import check_topics
from sluice.errors import SettingError
from sluice.host.settings import Settings
from sluice.persistence.nodes import spec_properties
from sluice.procedures.catalog import Catalog, Graph
from sluice.procedures.trial import compare, last_read
from sluice.scripting import admission
from sluice.scripting.client import until
from sluice.scripting.manual_message import records_given
from sluice.scripting.pinning import pin
from sluice.scripting.process import TransformProcess
from sluice.supervising import process
from sluice.values.configuration import Configuration, decode_changed
from sluice.values.model import DEFAULT_BATCH_INTERVAL_MS, DEFAULT_BATCH_SIZE, StreamSpec, Transform
from sluice.values.seek_target import (
    Earliest,
    Move,
    Offsets,
    Relative,
    Target,
    Timestamp,
    moves_to,
    positions_after,
    start_of,
    target_of,
)

Row = dict[str, Any]

MAX_TRIED = 10_000
"Maximum number of messages that a new script may be tried on: they are held in memory."

KEPT = {
    "name": "a stream keeps its name",
    "topic": "a stream keeps its topic; CREATE OR REPLACE STREAM makes another stream",
}
"What cannot be altered, and why."


def alter(graph: Graph, name: str, changes: Mapping[str, Any], *, what: str = "altered") -> list[Row]:
    """
    Changes a stopped stream.

    Args:
        changes: uri, transform, batch_interval in milliseconds, batch_size, and keys of the configuration, next to
            those or in a map called config; None resets one to its default. A transform is fetched again.
        what: for an error's text.

    Raises:
        StreamNotFound, SettingError; StreamRunning; ScriptError; BrokerError or TopicNotFound if Kafka does not take
            it.
    """
    here = process.current()
    stream = Catalog(graph, here.exchange).find(name)
    stream.check_stopped(what)
    # The configuration may contain something that is no longer allowed; then this is the way to correct it.
    spec, config = stream.spec_without_config, stream.text("config")
    changed = _altered(spec, config, changes)
    if "transform" in changes:
        changed = dataclasses.replace(changed, transform=pin(changed.transform.uri, here.settings))
    if (changed.uri, changed.config.encode()) != (spec.uri, config):
        check_topics(changed, here.settings)
    before, after = {**spec_properties(spec), "config": config}, spec_properties(changed)
    stream.set(**{key: value for key, value in after.items() if value != before[key]})
    here.exchange.ring()
    return [{}]


def configure(graph: Graph, name: str, config: Mapping[str, Any]) -> list[Row]:
    """Changes a stopped stream's configuration: the keys that `config` has. Raises as `alter`."""
    return alter(graph, name, {"config": config}, what="configured")


def seek(graph: Graph, name: str, to: object, dry_run: bool) -> list[Row]:
    """
    Moves a stopped stream to other positions: `partition, from, to, messages, effect`, one record for each partition.

    Args:
        to: in one of the forms in `seek_target.FORMS`.
        dry_run: only return what it would mean; then the stream may run.

    Raises:
        StreamNotFound, SettingError; StreamRunning; BrokerError or TopicNotFound if Kafka does not report the offsets.
    """
    here = process.current()
    place = f"Kafka stream {name}, seek"
    stream = Catalog(graph, here.exchange).find(name)
    target = target_of(place, to)
    if not dry_run:
        stream.check_stopped("sent elsewhere")
    spec = stream.spec
    deadline = time.monotonic() + here.settings.broker_timeout
    topic = check_topics(spec, here.settings)
    held = stream.checkpoint()
    positions = dict(held.positions)
    if topic.id and held.topic_id and topic.id != held.topic_id:
        if isinstance(target, Relative):
            text = f"topic {spec.topic} was deleted and created anew, and the stream's positions are not of this topic"
            raise SettingError(f"{place}: {text}: it cannot go anywhere relative to them")
        positions = {}
    moves = _moves(place, spec, target, positions, topic.partitions, deadline)
    if not dry_run:
        # An id that is unknown at the moment is left to the worker, unless some positions may be those of another
        # topic.
        keeps_some = isinstance(target, Relative | Offsets)
        stream.move(positions_after(target, positions, moves), topic.id or (held.topic_id if keeps_some else ""))
        here.exchange.ring()
    return [move.as_row() for move in moves]


def reload_transform(graph: Graph, name: str, trial_messages: int, check_abort: Callable[[], None]) -> list[Row]:
    """
    Fetches a stream's script again and, if it has changed, replaces the old one with it: `old_sha256, new_sha256,
    tried`.

    Before that it is tried on the last messages that the stream has read, if the old one may run. A running stream
    continues with it. An unchanged script is signed again, which is what an unsigned one needs.

    Args:
        trial_messages: how many; 0: none, and Kafka is not queried.
        check_abort: raises if the caller's query is to end.

    Raises:
        StreamNotFound, SettingError; ScriptError; BrokerError or TopicNotFound if Kafka has no messages to try it on;
        TransformError if it fails where the old one does not. Nothing was changed.
    """
    if not 0 <= trial_messages <= MAX_TRIED:
        raise SettingError(
            f"Kafka stream {name}, trial_messages must be an integer from 0 to {MAX_TRIED}, got {trial_messages}"
        )
    here = process.current()
    stream = Catalog(graph, here.exchange).find(name)
    spec = stream.spec
    new = pin(spec.transform.uri, here.settings, until(check_abort))
    tried = 0
    # An old script that may not run is not run for a comparison either.
    if new.sha256 != spec.transform.sha256 and admission.refusal(spec.transform, here.settings) is None:
        positions = stream.checkpoint().positions
        if trial_messages and positions:
            messages = last_read(spec, positions, trial_messages, here.settings, check_abort)
            tried = compare(spec, new, messages, here.settings, check_abort)
    if new != spec.transform:
        stream.set(transform_source=new.source, transform_sha256=new.sha256, transform_signature=new.signature)
        here.exchange.ring()
    return [{"old_sha256": spec.transform.sha256, "new_sha256": new.sha256, "tried": tried}]


def try_transform(uri: str, messages: Sequence[Any], check_abort: Callable[[], None]) -> list[Row]:
    """
    The queries of the script at `uri` for these messages as one batch: `query, params`. Kafka is not queried.

    Args:
        messages: as `manual_message.records_given`.
        check_abort: raises if the caller's query is to end.

    Raises:
        ScriptError, TransformError, SettingError.
    """
    settings = process.current().settings
    records = records_given(messages)
    wants_stop = until(check_abort)
    transform = pin(uri, settings, wants_stop)
    with TransformProcess(transform, settings, wants_stop) as transform_process:
        return [{"query": query, "params": parameters} for query, parameters in transform_process.rows(records)]


def first_positions(spec: StreamSpec, partitions: Iterable[int], settings: Settings) -> dict[int, int]:
    """
    Where a new stream begins in the current partitions; empty if it begins with the earliest messages.

    Raises:
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
    positions: Mapping[int, int],
    partitions: Iterable[int],
    deadline: float,
) -> list[Move]:
    offsets = TopicOffsets(spec, partitions, deadline)
    at_time = offsets.at_time(target.milliseconds) if isinstance(target, Timestamp) else {}
    return moves_to(place, target, positions, offsets.bounds(), at_time)


def _altered(spec: StreamSpec, config: str, changes: Mapping[str, Any]) -> StreamSpec:
    """
    The spec with these changes applied; a changed transform has no source yet. Raises SettingError.

    Args:
        config: as the node holds it; the spec has none.
    """
    if not changes:
        raise SettingError(f"Kafka stream {spec.name}, there is nothing to alter: the changes are empty")
    for key, why in KEPT.items():
        if key in changes:
            raise SettingError(f"Kafka stream {spec.name}, {key} cannot be altered: {why}")
    own = {"uri", "transform", "batch_interval", "batch_size", "config"}
    transform = Transform(changes["transform"], "", "") if "transform" in changes else spec.transform
    return dataclasses.replace(
        spec,
        uri=changes.get("uri", spec.uri),
        transform=transform,
        batch_interval_ms=_or_default(changes, "batch_interval", spec.batch_interval_ms, DEFAULT_BATCH_INTERVAL_MS),
        batch_size=_or_default(changes, "batch_size", spec.batch_size, DEFAULT_BATCH_SIZE),
        config=_reconfigured(
            spec.name, config, changes.get("config"), {key: changes[key] for key in changes if key not in own}
        ),
    )


def _or_default(changes: Mapping[str, Any], key: str, now: int, default: int) -> Any:
    value = changes.get(key, now)
    return default if value is None else value


def _reconfigured(stream: str, held: str, config: object, beside: Mapping[str, Any]) -> Configuration:
    if config is None:
        config = {}
    if not isinstance(config, Mapping):
        raise SettingError(f"Kafka stream {stream}, config must be a map, got {config!r}")
    twice = sorted(set(config) & set(beside))
    if twice:
        raise SettingError(f"Kafka stream {stream}, {twice[0]} is given twice, in config and beside it")
    return decode_changed(stream, held, {**config, **beside})
