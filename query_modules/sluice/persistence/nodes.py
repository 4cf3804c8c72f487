"""
Metadata nodes: labels, relationship types and property names, and how values become properties and back.

    (:SluiceCatalog)-[:STREAM]->(:SluiceStream)-[:CHECKPOINT]->(:SluiceCheckpoint)-[:PARKED]->(:SluiceParked)

A stream has a checkpoint for each of its lanes. That of an only lane does not say so.
A checkpoint has no label if the graph has uniqueness constraints (`Loopback.unlabel`): it is found by the relationship.
But a relationship drawn by hand may lead anywhere, and what follows it has the rights of the loopback's user. So
nothing is read, written or deleted at its end unless it is known to be Sluice's: catalog and stream by their labels,
checkpoints and messages by the property OWNER, which holds the stream's `uid`, messages by their label as well.

Written by: catalog, stream and the relationships by procedures (the first CREATE makes the catalog), checkpoints, and
parked messages (`SluiceParked`), by workers. Nobody writes what another writes, but for a SEEK,
so a STOP never conflicts with a batch in flight. A dropped stream's node has lost its STREAM relationship and is marked
`dropped`; the supervisor deletes it, and all that hangs from it, once its worker is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sluice.errors import SettingError
from sluice.values import configuration, failed_message
from sluice.values.lane import Lane
from sluice.values.model import (
    Checkpoint,
    CheckpointId,
    Desired,
    Status,
    StreamSpec,
    Transform,
    VertexId,
)
from sluice.values.position import (
    decode_leader_epochs,
    decode_positions,
    decode_topic_ids,
    encode_leader_epochs,
    encode_positions,
    encode_topic_ids,
)

CATALOG = "SluiceCatalog"
STREAM = "SluiceStream"
CHECKPOINT = "SluiceCheckpoint"
PARKED = "SluiceParked"

REVISION = "revision"
"Of a catalog: counts CREATEs and DROPs; two concurrent ones conflict here."

HAS_STREAM = "STREAM"
HAS_CHECKPOINT = "CHECKPOINT"
HAS_PARKED = "PARKED"

LANE, LANES = "lane", "lanes"
"Of a checkpoint of a stream with several lanes: the number of its lane, and how many there are."

OWNER = "sluice_uid"
"The property of checkpoints and messages that names their stream: its `uid`. No other vertex has it."

SESSION = "session"
"""
Of a checkpoint: the first session of its stream that may write, if an earlier one's connection was lost; nothing that
this one had sent can be committed any more.
"""

Properties = Mapping[str, Any]

SPEC_PROPERTIES = (
    *("uid", "name", "uri", "topic", "transform", "transform_source", "transform_sha256", "transform_signature"),
    *("batch_interval", "batch_size", "config"),
)


def spec_properties(spec: StreamSpec) -> dict[str, Any]:
    """The properties of a new stream node; `batch_interval` is in milliseconds."""
    return {
        "uid": spec.uid,
        "name": spec.name,
        "uri": spec.uri,
        "topic": spec.topic,
        "transform": spec.transform.uri,
        "transform_source": spec.transform.source,
        "transform_sha256": spec.transform.sha256,
        "transform_signature": spec.transform.signature,
        "batch_interval": spec.batch_interval_ms,
        "batch_size": spec.batch_size,
        "config": spec.config.encode(),
    }


def spec_of(properties: Properties) -> StreamSpec:
    """
    The spec in a stream node's properties. Whether its script may run is decided by `admission`. Raises SettingError: a
    property is missing or has a value that it cannot have, which only an edit by hand can cause.
    """
    name = properties.get("name")
    return StreamSpec(
        uid=uid_of(properties),
        name=name or "",
        uri=properties.get("uri") or "",
        topic=properties.get("topic") or "",
        transform=Transform(
            properties.get("transform") or "",
            _text(properties, "transform_source"),
            _text(properties, "transform_sha256"),
            _text(properties, "transform_signature"),
        ),
        batch_interval_ms=properties.get("batch_interval") or 0,
        batch_size=properties.get("batch_size") or 0,
        config=configuration.decode(str(name), _text(properties, "config")),
    )


def lane_in(properties: Properties) -> Lane:
    """The lane in a checkpoint node's properties. Raises SettingError as `checkpoint_of` does."""
    lane = Lane(_count(properties, LANE), _count(properties, LANES) or 1)
    if lane.number >= lane.of:
        raise _impossible(properties, LANE, f"less than {LANES}")
    return lane


def lane_properties(lane: Lane) -> dict[str, Any]:
    """The properties that say which lane a checkpoint node is of: none where there is only one."""
    return {} if lane.of == 1 else {LANE: lane.number, LANES: lane.of}


def desired_of(properties: Properties, stream_id: VertexId, checkpoint_id: CheckpointId) -> Desired:
    """
    The run that a stream node requests. Raises SettingError as `spec_of` does.

    Args:
        properties: the stream node's, and those of its checkpoint that say of which lane it is.
    """
    return Desired(
        stream_id=stream_id,
        checkpoint_id=checkpoint_id,
        spec=replace(spec_of(properties), lane=lane_in(properties)),
        generation=generation_of(properties),
        limit_batches=_count(properties, "limit_batches") or None,
    )


def uid_of(properties: Properties) -> str:
    """The uid in a stream node's properties. Raises SettingError as `spec_of` does."""
    return _text(properties, "uid")


def generation_of(properties: Properties) -> int:
    """The generation in a stream node's properties. Raises SettingError as `spec_of` does."""
    return _count(properties, "generation")


def asks_to_run(properties: Properties) -> bool:
    """
    Whether a stream is to run: this was requested, and the run has not ended.

    Args:
        properties: the stream node's, and those of its checkpoint that say how a run ended. If these were edited into
            something invalid, it is not to run, and SHOW reports an error.
    """
    try:
        lane_in(properties)
        ended_generation, _ = _ended(properties)
        return bool(properties.get("running")) and ended_generation != generation_of(properties)
    except SettingError:
        return False


def ended_by_error(properties: Properties) -> bool:
    """Whether the run of a row of `LIST_STREAMS` has ended by an error."""
    try:
        return _ended(properties) == (generation_of(properties), Status.ERROR)
    except SettingError:
        return False


def asks_to_retry(properties: Properties) -> bool:
    """
    Whether parked messages are to be applied again.

    Args:
        properties: how often that was asked for (`retry_requested`) and how often it was done (`retry_completed`).
    """
    try:
        return _count(properties, "retry_requested") > _count(properties, "retry_completed")
    except SettingError:
        return False


def checkpoint_properties(checkpoint: Checkpoint) -> dict[str, Any]:
    """All properties of a checkpoint node except its history and those that say how a run ended."""
    return {
        "positions": encode_positions(checkpoint.positions, checkpoint.topic),
        "leader_epochs": encode_leader_epochs(checkpoint.positions, checkpoint.leader_epochs, checkpoint.topic),
        "batches": checkpoint.batches,
        "messages": checkpoint.messages,
        "failed": checkpoint.failed,
        "parked": checkpoint.parked,
        "retry_completed": checkpoint.retry_completed,
        "topic_id": encode_topic_ids(checkpoint.topic_ids, checkpoint.topic),
        "generation": checkpoint.generation,
        "generation_batches": checkpoint.generation_batches,
    }


def history_properties(checkpoint: Checkpoint) -> dict[str, Any]:
    """The property with the latest failed messages; written only when there is something new."""
    return {"history": failed_message.encode(checkpoint.history)}


def ended_properties(generation: int, status: Status, error: str | None) -> dict[str, Any]:
    """The properties that say how the run `generation` ended; `error` None removes an older one."""
    return {
        "ended_generation": generation,
        "ended_status": status.value,
        "ended_at": failed_message.now(),
        "error": error,
    }


def end_properties(checkpoint: Checkpoint) -> dict[str, Any]:
    """The properties with how the last run of a checkpoint ended, if one did."""
    if not checkpoint.ended_generation:
        return {}
    ended = ended_properties(checkpoint.ended_generation, checkpoint.ended_status, checkpoint.error)
    return ended | {"ended_at": checkpoint.ended_at}


def checkpoint_of(properties: Properties, topic: str) -> Checkpoint:
    """
    The checkpoint in a node's properties. Raises SettingError: a property has a value that it cannot have, which only
    an edit by hand can cause.

    Args:
        topic: the only one that the stream reads; empty: there may be several.
    """
    ended_generation, ended_status = _ended(properties)
    return Checkpoint(
        positions=decode_positions(properties.get("positions") or "{}", topic),
        topic=topic,
        batches=_count(properties, "batches"),
        messages=_count(properties, "messages"),
        failed=_count(properties, "failed"),
        parked=_count(properties, "parked"),
        retry_completed=_count(properties, "retry_completed"),
        history=failed_message.decode(properties.get("history") or "[]"),
        topic_ids=decode_topic_ids(_text(properties, "topic_id"), topic),
        leader_epochs=decode_leader_epochs(_text(properties, "leader_epochs") or "{}", topic),
        generation=_count(properties, "generation"),
        generation_batches=_count(properties, "generation_batches"),
        ended_generation=ended_generation,
        ended_status=ended_status,
        error=_text(properties, "error") or None,
        ended_at=_text(properties, "ended_at") or None,
        session=_text(properties, SESSION),
    )


def _ended(properties: Properties) -> tuple[int, Status]:
    """The last run that ended by itself, and how."""
    try:
        status = Status(properties.get("ended_status") or Status.STOPPED)
    except ValueError:
        raise _impossible(properties, "ended_status", "stopped or error") from None
    return _count(properties, "ended_generation"), status


def _count(properties: Properties, name: str) -> int:
    """An integer, 0 if it is missing."""
    value = properties.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _impossible(properties, name, "an integer, 0 or more")
    return value


def _text(properties: Properties, name: str) -> str:
    """A text, empty if it is missing."""
    value = properties.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _impossible(properties, name, "a text")
    return value


def _impossible(properties: Properties, name: str, expected: str) -> SettingError:
    stream = f"Kafka stream {properties['name']}, " if "name" in properties else ""
    return SettingError(f"{stream}the property {name} of its node must be {expected}, got {properties[name]!r}")
