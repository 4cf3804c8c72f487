"""A stream as the supervisor sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sluice.persistence import nodes
from sluice.values.lane import key_of
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
       coalesce(k.retry_completed, 0) AS retry_completed,
       k.{nodes.LANE} AS {nodes.LANE}, k.{nodes.LANES} AS {nodes.LANES}
"""

# By all lanes of the stream.
COUNT_PARKED = f"""
MATCH (s:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(k)-[:{nodes.HAS_PARKED}]->(m:{nodes.PARKED})
WHERE id(s) = $stream AND s.uid = $uid AND k.{nodes.OWNER} = $uid AND m.{nodes.OWNER} = $uid
RETURN count(m) AS count
"""

# How many batches each lane has committed in a run.
COUNT_BATCHES = f"""
MATCH (s:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(k)
WHERE id(s) = $stream AND s.uid = $uid AND k.{nodes.OWNER} = $uid AND k.generation = $generation
RETURN coalesce(k.{nodes.LANE}, 0) AS lane, k.generation_batches AS batches
"""

RUN_COLUMNS = (
    "generation",
    "limit_batches",
    nodes.LANES,
    *(name for name in nodes.SPEC_PROPERTIES if name != "transform_source"),
)
"What makes a run what it is; the script is in it by its SHA-256."


class StreamRow(NamedTuple):
    """
    A lane of a stream: the stream node's properties but the script's source, some of the checkpoint's, and what they
    ask for.
    """

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
    def key(self) -> str:
        """Tells the work of one lane from that of others: for the first, the stream's uid."""
        return key_of(self.uid, self.properties.get(nodes.LANE))

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


def heeding_lanes(rows: Sequence[StreamRow]) -> list[StreamRow]:
    """The rows; no lane is to run of a stream that has lost a checkpoint, or whose run an error of a lane has ended."""
    there = Counter(row.uid for row in rows)
    failed = {row.uid for row in rows if nodes.ended_by_error(row.properties)}

    def may_run(row: StreamRow) -> bool:
        lanes = row.properties.get(nodes.LANES)
        return row.uid not in failed and not (isinstance(lanes, int) and there[row.uid] < lanes)

    return [row._replace(should_run=row.should_run and may_run(row)) for row in rows]
