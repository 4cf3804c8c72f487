"""
Metadata nodes: labels, relationship types and property names, and how values become properties and back.

    (:SluiceCatalog)-[:STREAM]->(:SluiceStream)-[:CHECKPOINT]->(:SluiceCheckpoint)-[:SET_ASIDE]->(:SluiceSetAside)

Written by: catalog, stream and the relationships by procedures (the supervisor makes a catalog where there is none),
checkpoints, and messages that were set aside (`kept`), by workers. Nobody writes what another writes, so a STOP never
conflicts with a batch in flight. A dropped stream's node has lost its STREAM relationship and is marked `dropped`; the
supervisor deletes it, and all that hangs from it, once its worker is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice import configuration, set_aside
from sluice.model import (
    Checkpoint,
    Desired,
    Status,
    StreamSpec,
    Transform,
    VertexId,
    decode_positions,
    encode_positions,
)

CATALOG = "SluiceCatalog"
STREAM = "SluiceStream"
CHECKPOINT = "SluiceCheckpoint"
SET_ASIDE = "SluiceSetAside"

HAS_STREAM = "STREAM"
HAS_CHECKPOINT = "CHECKPOINT"
HAS_SET_ASIDE = "SET_ASIDE"

SCHEMA_VERSION = 1
"Of these nodes; on the catalog node as `schema_version`."

Properties = Mapping[str, Any]

SPEC_PROPERTIES = (
    "uid",
    "name",
    "uri",
    "topic",
    "transform",
    "transform_source",
    "transform_sha256",
    "batch_interval",
    "batch_size",
    "config",
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
        "batch_interval": spec.batch_interval_ms,
        "batch_size": spec.batch_size,
        "config": spec.config.encode(),
    }


def spec_of(properties: Properties) -> StreamSpec:
    """
    The spec in a stream node's properties.

    Raises:
        SettingError: a property is missing or has a value that it cannot have, which only an edit by hand can cause.
    """
    transform = Transform(
        uri=properties.get("transform") or "",
        source=properties.get("transform_source") or "",
        sha256=properties.get("transform_sha256") or "",
    )
    return StreamSpec(
        uid=properties.get("uid") or "",
        name=properties.get("name") or "",
        uri=properties.get("uri") or "",
        topic=properties.get("topic") or "",
        transform=transform,
        batch_interval_ms=properties.get("batch_interval") or 0,
        batch_size=properties.get("batch_size") or 0,
        config=configuration.decode(properties.get("name") or "", properties.get("config") or ""),
    )


def desired_of(properties: Properties, stream_id: VertexId, checkpoint_id: VertexId) -> Desired:
    """The run that a stream node asks for. Raises SettingError as `spec_of` does."""
    return Desired(
        stream_id=stream_id,
        checkpoint_id=checkpoint_id,
        spec=spec_of(properties),
        generation=properties.get("generation") or 0,
        limit_batches=properties.get("limit_batches"),
    )


def checkpoint_properties(checkpoint: Checkpoint) -> dict[str, Any]:
    """All properties of a checkpoint node but its history and those that say how a run ended."""
    return {
        "positions": encode_positions(checkpoint.positions),
        "batches": checkpoint.batches,
        "messages": checkpoint.messages,
        "set_aside": checkpoint.set_aside,
        "kept": checkpoint.kept,
        "retries": checkpoint.retries,
        "topic_id": checkpoint.topic_id,
        "generation": checkpoint.generation,
        "generation_batches": checkpoint.generation_batches,
    }


def history_properties(checkpoint: Checkpoint) -> dict[str, Any]:
    """The property with the latest messages that were set aside; written only when there is something new."""
    return {"history": set_aside.encode(checkpoint.history)}


def ended_properties(generation: int, status: Status, error: str | None) -> dict[str, Any]:
    """The properties that say how the run `generation` ended; `error` None removes an older one."""
    return {"ended_generation": generation, "ended_status": status.value, "error": error}


def checkpoint_of(properties: Properties) -> Checkpoint:
    """The checkpoint in a node's properties. Raises SettingError if its positions cannot be read."""
    return Checkpoint(
        positions=decode_positions(properties.get("positions") or "{}"),
        batches=properties.get("batches") or 0,
        messages=properties.get("messages") or 0,
        set_aside=properties.get("set_aside") or 0,
        kept=properties.get("kept") or 0,
        retries=properties.get("retries") or 0,
        history=set_aside.decode(properties.get("history") or "[]"),
        topic_id=properties.get("topic_id") or "",
        generation=properties.get("generation") or 0,
        generation_batches=properties.get("generation_batches") or 0,
        ended_generation=properties.get("ended_generation") or 0,
        ended_status=Status(properties.get("ended_status") or Status.STOPPED),
        error=properties.get("error"),
    )
