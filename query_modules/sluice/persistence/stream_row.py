"""A stream as the supervisor sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sluice.persistence import nodes
from sluice.values.model import CheckpointId, VertexId

# A row without a stream for a catalog that has none; no row at all where there is no such catalog.
LIST_STREAMS = f"""
MATCH (c:{nodes.CATALOG}) WHERE id(c) = $catalog
OPTIONAL MATCH (c)-[:{nodes.HAS_STREAM}]->(s:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(k)
WHERE k.{nodes.OWNER} = s.uid
RETURN c.schema_version AS schema_version,
       id(s) AS stream_id, id(k) AS checkpoint_id, s.running AS running, s.generation AS generation,
       s.limit_batches AS limit_batches, k.ended_generation AS ended_generation, k.ended_status AS ended_status,
       s.uid AS uid, s.name AS name, s.uri AS uri, s.topic AS topic, s.transform AS transform,
       s.transform_sha256 AS transform_sha256, s.transform_signature AS transform_signature,
       s.batch_interval AS batch_interval, s.batch_size AS batch_size, s.config AS config,
       s.installation AS installation, coalesce(s.retry_requested, 0) AS retry_requested,
       coalesce(k.retry_completed, 0) AS retry_completed
"""

RUN_COLUMNS = ("generation", "limit_batches", *(name for name in nodes.SPEC_PROPERTIES if name != "transform_source"))
"What makes a run what it is; the script is in it by its SHA-256."


class StreamRow(NamedTuple):
    """The stream node's properties but the script's source, and what they ask for."""

    stream_id: VertexId
    checkpoint_id: CheckpointId
    should_run: bool
    should_retry: bool
    "`streams.retry` was called, and is not answered."
    properties: Mapping[str, Any]

    @property
    def uid(self) -> str:
        """Tells it from another of the same name."""
        return str(self.properties["uid"])

    @property
    def installation(self) -> object:
        """The installation that started it, as its node says; None: that is not known."""
        return self.properties["installation"]

    @property
    def retry_requested(self) -> int:
        """The number of the last `RetryRequest`."""
        return int(self.properties["retry_requested"])

    @property
    def work(self) -> tuple[Any, ...]:
        """
        What a worker would have to do. Equal for rows whose runs are the same (same START, same settings), or, where
        only something is to be retried, whose requests are.
        """
        retries = None if self.should_run else self.retry_requested
        return (retries, *(self.properties[column] for column in RUN_COLUMNS))
