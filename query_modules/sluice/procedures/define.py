"""The verbs that say which streams there are and what they are: create, alter and drop."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

from sluice.engine.topic_guard import check_topics
from sluice.errors import SettingError, StreamExists
from sluice.host.server_process import cores
from sluice.persistence.nodes import spec_properties
from sluice.procedures.deal import deal
from sluice.procedures.seek import first_positions
from sluice.procedures.streams import DONE, Row, Streams
from sluice.scripting import admission
from sluice.scripting.pinning import pin
from sluice.supervising.process import Checked
from sluice.values.configuration import configuration_of, decode_changed
from sluice.values.dealing import dealt, lanes_for
from sluice.values.model import DEFAULT_BATCH_INTERVAL_MS, DEFAULT_BATCH_SIZE, Checkpoint, StreamSpec, Transform

EXISTING = ("refuse", "keep", "replace")
"What CREATE can do with an existing stream of the same name."

ALTERABLE = ("uri", "transform", "batch_interval", "batch_size", "config")
"What can be altered."

DEALS = {"lanes", "partitions"}
"Keys of the config on which it depends which lane reads what."

KEPT = {
    "name": "a stream keeps its name",
    "topic": "a stream keeps its topic; CREATE OR REPLACE STREAM makes another stream",
}
"What cannot be altered, and why."


def create(
    streams: Streams,
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
    # Checked before anything is fetched, so that a typing error is reported at once.
    script_uri = Transform(transform, "", "")
    configuration = configuration_of(name, config)
    unpinned = StreamSpec(uuid.uuid4().hex, name, uri, topic, script_uri, batch_interval_ms, batch_size, configuration)
    if existing not in EXISTING:
        raise SettingError(f"Kafka stream {name}, existing must be one of {', '.join(EXISTING)}, got {existing!r}")
    catalog = streams.catalog
    there = catalog.get(name)
    if there is not None and existing == "keep":
        return DONE
    if there is not None and existing == "refuse":
        raise StreamExists(f"Kafka stream {name}, a stream of that name exists already")
    checked = _checked(unpinned, streams)
    spec = dataclasses.replace(unpinned, transform=checked.transform)
    lanes = lanes_for(spec, checked.topics.partitions, cores())
    positions = first_positions(spec, checked.topics.partitions, streams.settings)
    try:
        catalog.claim()
    except Exception:  # a conflict, on which clients retry
        streams.process.remembered.keep(checked.key, checked, checked.until)
        raise
    try:
        if there is not None:
            catalog.remove(there)
        begin = Checkpoint(positions, spec.only_topic, topic_ids=checked.topics.ids)
        catalog.add(spec, dealt(begin, spec, lanes, [0] * lanes))
    except BaseException:
        catalog.give_up()
        raise
    return streams.written()


def _checked(unpinned: StreamSpec, streams: Streams) -> Checked:
    """What a CREATE finds out about script and broker; reused if the same CREATE has just met a conflict."""
    key = (unpinned.name, unpinned.uri, unpinned.topic, unpinned.transform.uri, unpinned.config.encode())
    remembered = streams.process.remembered.take(key)
    if remembered is not None:
        until, checked = remembered
        return checked._replace(until=until)
    spec = dataclasses.replace(unpinned, transform=_pinned(unpinned, streams))
    return Checked(key, spec.transform, check_topics(spec, streams.settings))


def alter(streams: Streams, name: str, changes: Mapping[str, Any]) -> list[Row]:
    """
    Changes a stopped stream.

    Args:
        changes: any of ALTERABLE: uri, transform, which is fetched again, batch_interval in milliseconds, batch_size,
            and config, a map of the keys that change. None resets batch_interval, batch_size or a key of config to its
            default.

    Raises:
        StreamNotFound, SettingError; StreamRunning; ScriptError, also if the script refuses changed options;
            BrokerError or TopicNotFound if Kafka does not take it.
    """
    stream = streams.find(name)
    stream.check_stopped("altered")
    # The configuration may contain something that is no longer allowed; then this is the way to correct it.
    spec, config = stream.spec_without_config, stream.text("config")
    changed = _altered(spec, config, changes)
    if "transform" in changes:
        changed = dataclasses.replace(changed, transform=_pinned(changed, streams))
    elif "transform" in (changes.get("config") or {}):
        admission.load(changed, streams.settings).close()
    if (changed.uri, changed.config.encode()) != (spec.uri, config) or DEALS & set(changes.get("config") or {}):
        topics = check_topics(changed, streams.settings)
        if DEALS & set(changes.get("config") or {}):
            deal(streams, stream, changed, lanes_for(changed, topics.partitions, cores()))
    before, after = {**spec_properties(spec), "config": config}, spec_properties(changed)
    stream.set(**{key: value for key, value in after.items() if value != before[key]})
    return streams.written()


def _pinned(spec: StreamSpec, streams: Streams) -> Transform:
    return pin(spec.transform.uri, streams.settings, options=spec.config.transform)


def drop(streams: Streams, name: str, if_exists: bool = False) -> list[Row]:
    """Removes a stream, running or not. Raises StreamNotFound, unless it is to be removed only `if_exists`."""
    stream = streams.catalog.get(name) if if_exists else streams.find(name)
    if stream is not None:
        streams.catalog.remove(stream)
    return streams.written()


def _altered(spec: StreamSpec, held: str, changes: Mapping[str, Any]) -> StreamSpec:
    """
    The spec with these changes applied; a changed transform has no source yet. Raises SettingError.

    Args:
        held: the configuration as the node holds it; the spec has none.
    """
    if not changes:
        raise SettingError(f"Kafka stream {spec.name}, there is nothing to alter: the changes are empty")
    for key, why in KEPT.items():
        if key in changes:
            raise SettingError(f"Kafka stream {spec.name}, {key} cannot be altered: {why}")
    for key in changes:
        if key not in ALTERABLE:
            raise SettingError(f"Kafka stream {spec.name}, {key} cannot be altered; {', '.join(ALTERABLE)} can")
    config = changes.get("config") or {}
    if not isinstance(config, Mapping):
        raise SettingError(f"Kafka stream {spec.name}, config must be a map, got {config!r}")
    return dataclasses.replace(
        spec,
        uri=changes.get("uri", spec.uri),
        transform=Transform(changes["transform"], "", "") if "transform" in changes else spec.transform,
        batch_interval_ms=_or_default(changes, "batch_interval", spec.batch_interval_ms, DEFAULT_BATCH_INTERVAL_MS),
        batch_size=_or_default(changes, "batch_size", spec.batch_size, DEFAULT_BATCH_SIZE),
        config=decode_changed(spec.name, held, config),
    )


def _or_default(changes: Mapping[str, Any], key: str, now: int, default: int) -> Any:
    value = changes.get(key, now)
    return default if value is None else value
