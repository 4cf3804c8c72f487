"""
The server's view from inside: one Bolt connection back to it, and every statement that Sluice runs over it except
batches (`sink`).

Vertices are reached by their ids, and from there over relationships; checkpoints are found with or without their label
(`unlabel`). That costs the same in an empty graph and in one with millions of vertices. So no index and no constraint
is created: creating one needs exclusive access to the storage on Memgraph 2.x, and waits for the transactions of
clients, which a server with one Bolt worker could then no longer serve.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sluice.bolt.client import Connection
from sluice.bolt.replies import RawRecords
from sluice.errors import ConnectionLost, FenceLost, QueryRefused, SchemaError, TransientFailure
from sluice.folding import Need
from sluice.host.settings import Settings
from sluice.persistence import nodes
from sluice.persistence.probe import Findings, probe
from sluice.persistence.schema import check_version, migrate
from sluice.persistence.server_facts import ServerFacts
from sluice.persistence.stream_row import COUNT_BATCHES, COUNT_PARKED, LIST_STREAMS, StreamRow, heeding_lanes
from sluice.scripting import admission
from sluice.values.model import Checkpoint, CheckpointId, Desired, Status, VertexId
from sluice.values.parked_message import ParkedMessage, RetryRequest, decode_requests, message_of
from sluice.values.position import encode_positions

USER_AGENT = "sluice-loopback/1"

CONNECT_TIMEOUT = 5.0
"Seconds for connecting and signing in."

HOW_REACHED = "SLUICE_LOOPBACK_PORT and SLUICE_LOOPBACK_TLS say how it is reached"

FIND_CATALOGS = f"MATCH (c:{nodes.CATALOG}) RETURN id(c) AS id"

FIND_DROPPED = f"MATCH (s:{nodes.STREAM}) WHERE s.dropped RETURN id(s) AS id"

RENAME = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id AND s.name = $from SET s.name = $to"

READ_SOURCE = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id RETURN s.transform_source AS source"

# A checkpoint, with or without its label: found by its id, and by the stream that it names.
CHECKPOINT = f"MATCH (k) WHERE id(k) = $id AND k.{nodes.OWNER} = $uid"

READ_CHECKPOINT = f"{CHECKPOINT} RETURN properties(k) AS properties"

# For texts with the same meaning but another form, after an edit by hand: the fence compares them letter by letter.
REWRITE_POSITIONS = f"{CHECKPOINT} AND coalesce(k.positions, '') = $found SET k.positions = $positions"

NEW_SESSION = f"{CHECKPOINT} SET k.{nodes.SESSION} = $session"

# A superseded run may no longer write: the condition keeps a late writer from ending its successor's run. A value that
# is not a number, after an edit by hand, is overwritten.
END_RUN = f"{CHECKPOINT} AND NOT coalesce(k.ended_generation >= $generation, false) SET k += $ended"

IS_DROPPED = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id AND s.dropped RETURN id(s) AS id"

SWEEP = f"""
MATCH (s:{nodes.STREAM}) WHERE id(s) = $id AND s.dropped
OPTIONAL MATCH (s)-[:{nodes.HAS_CHECKPOINT}]->(k) WHERE k.{nodes.OWNER} = s.uid
OPTIONAL MATCH (k)-[:{nodes.HAS_PARKED}]->(m:{nodes.PARKED}) WHERE m.{nodes.OWNER} = s.uid
DETACH DELETE s, k, m
"""

READ_REQUESTS = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id RETURN s.retry_requests AS requests"

PARKED = f"""
MATCH (k)-[:{nodes.HAS_PARKED}]->(m:{nodes.PARKED})
WHERE id(k) = $id AND k.{nodes.OWNER} = $uid AND m.{nodes.OWNER} = $uid
"""

# Without the properties that may be large: those are read group by group.
LIST_PARKED = f"""
{PARKED}
RETURN id(m) AS id, m.number AS number, m.topic AS topic, m.partition AS partition, m.offset AS offset,
       m.payload_bytes AS payload_bytes, m.attempts AS attempts
ORDER BY number
"""

READ_PARKED = f"""
UNWIND $ids AS id
MATCH (m:{nodes.PARKED}) WHERE id(m) = id AND m.{nodes.OWNER} = $uid
RETURN id(m) AS id, properties(m) AS properties
ORDER BY m.number
"""

UNLABEL = f"MATCH (k:{nodes.CHECKPOINT}) WHERE id(k) = $id AND k.{nodes.OWNER} = $uid REMOVE k:{nodes.CHECKPOINT}"


class Loopback(AbstractContextManager["Loopback"]):
    """A connection to the server from inside it. Threads: only the thread that opened it, except for `abort`."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConnectionLost: the server does not answer, the handshake fails, or the sign-in is refused."""
        try:
            self.connection = Connection.open(
                settings.loopback_host,
                settings.loopback_port,
                username=settings.loopback_user,
                password=settings.loopback_password,
                tls=_tls() if settings.loopback_tls else None,
                timeout=CONNECT_TIMEOUT,
                user_agent=USER_AGENT,
            )
        except ConnectionLost as error:
            raise ConnectionLost(f"{error}; {HOW_REACHED}") from error
        except QueryRefused as error:
            raise ConnectionLost(
                f"the server refuses the loopback's sign-in (SLUICE_LOOPBACK_USER): {error}"
            ) from error
        self._settings = settings
        self._timeout = settings.loopback_timeout
        self.server = ServerFacts(self.connection, self._timeout)
        "What the server says of itself."
        self._listed: dict[VertexId, tuple[RawRecords, Sequence[StreamRow]]] = {}
        "The latest answer to `list_streams`, by catalog."

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def abort(self) -> None:
        """Makes a call that waits for an answer raise ConnectionLost. Threads: any."""
        self.connection.abort()

    def probe(self) -> Findings:
        """
        How the server behaves where folding and the fence depend on it. Raises GraphError if this cannot be found out
        now.
        """
        try:
            return probe(self.connection)
        except TransientFailure:
            raise
        except QueryRefused as error:
            seen = f"the server could not be asked: {error}"
            return Findings(dict.fromkeys(set(Need) - {Need.RELATIONSHIPS}, seen), None, 0.0)

    def find_catalogs(self) -> set[VertexId]:
        """All catalog nodes. Scans the whole graph."""
        return {row["id"] for row in self.fetch(FIND_CATALOGS)}

    def find_dropped(self) -> set[VertexId]:
        """The nodes of streams that were dropped and not yet deleted. Scans the whole graph."""
        return {row["id"] for row in self.fetch(FIND_DROPPED)}

    def rename(self, stream_id: VertexId, name: str, new_name: str) -> None:
        """Renames a stream, if it still has the expected name."""
        self.fetch(RENAME, {"id": stream_id, "from": name, "to": new_name})

    def list_streams(self, catalog: VertexId) -> Sequence[StreamRow] | None:
        """
        The streams below a catalog, as committed; None if there is no such catalog. Raises SchemaError: the nodes have
        another schema version.
        """
        names, records = self.connection.fetch_records(LIST_STREAMS, {"catalog": catalog}, timeout=self._timeout)
        before, listed = self._listed.get(catalog, (None, ()))
        if records == before:
            return listed  # as almost always; parsing it is the largest cost of a check of many streams
        rows = [dict(zip(names, row, strict=True)) for row in records.rows()]
        if not rows:
            return None
        check_version(rows[0]["schema_version"], catalog)
        listed = [
            StreamRow(
                row["stream_id"],
                CheckpointId(row["checkpoint_id"], row["uid"]),
                nodes.asks_to_run(row),
                nodes.asks_to_retry(row),
                row,
            )
            for row in rows
            if row["checkpoint_id"] is not None
        ]
        listed = heeding_lanes(listed)
        self._listed[catalog] = records, listed
        return listed

    def migrate(self, error: SchemaError) -> None:
        """Migrates the older catalog that `list_streams` met to this version. Raises GraphError."""
        migrate(self.connection, error.catalog, error.version, self._timeout)

    def desired(self, row: StreamRow) -> Desired:
        """
        The run that `row` requests, including the script. Raises SettingError: the node was edited into something that
        cannot run, or its script may not.
        """
        sources = self.fetch(READ_SOURCE, {"id": row.stream_id})
        source = sources[0]["source"] if sources else ""
        properties = {**row.properties, "transform_source": source}
        desired = nodes.desired_of(properties, row.stream_id, row.checkpoint_id)
        admission.check(desired.spec, self._settings)
        return desired

    def read_checkpoint(self, checkpoint_id: CheckpointId, topic: str) -> Checkpoint:
        """
        The checkpoint as committed. Its positions are then written as the fence compares them.

        Args:
            topic: the only one that the stream reads; empty: there may be several.

        Raises:
            FenceLost: the node is gone.
            SettingError: it was edited into something invalid.
        """
        rows = self.fetch(READ_CHECKPOINT, _whose(checkpoint_id))
        if not rows:
            raise FenceLost("the stream's checkpoint node was deleted")
        properties = rows[0]["properties"]
        checkpoint = nodes.checkpoint_of(properties, topic)
        found, positions = properties.get("positions") or "", encode_positions(checkpoint.positions, topic)
        if found != positions:
            self.fetch(REWRITE_POSITIONS, {**_whose(checkpoint_id), "found": found, "positions": positions})
        return checkpoint

    def fence_off(self, checkpoint_id: CheckpointId) -> None:
        """
        What earlier sessions have sent, and the server is not done with, can no longer be committed afterwards. Raises
        TransientFailure: the server is at work on it.
        """
        self.fetch(NEW_SESSION, {**_whose(checkpoint_id), "session": uuid.uuid4().hex[:12]})

    def unlabel(self, checkpoint_id: CheckpointId) -> bool:
        """
        Removes a checkpoint's label if the graph has uniqueness constraints, which before Memgraph 3.1 are safe only
        with vertices without other labels (docs/failures.md). Returns whether the graph has any.
        """
        if not self.server.uniqueness_constraints():
            return False
        self.fetch(UNLABEL, _whose(checkpoint_id))
        return True

    def end_run(self, checkpoint_id: CheckpointId, generation: int, status: Status, error: str | None) -> None:
        """Writes how the run `generation` ended."""
        ended = nodes.ended_properties(generation, status, error)
        self.fetch(END_RUN, {**_whose(checkpoint_id), "generation": generation, "ended": ended})

    def read_requests(self, stream_id: VertexId) -> tuple[RetryRequest, ...]:
        """The requests of `streams.retry`, as committed, the oldest first."""
        rows = self.fetch(READ_REQUESTS, {"id": stream_id})
        return decode_requests(rows[0]["requests"]) if rows else ()

    def count_parked(self, desired: Desired) -> int:
        """How many messages a stream has parked, by all of its lanes."""
        return int(self.fetch(COUNT_PARKED, _of_stream(desired))[0]["count"])

    def count_batches(self, desired: Desired) -> dict[int, int]:
        """How many batches each lane of a stream has committed in the run, by the lane's number; none: not listed."""
        rows = self.fetch(COUNT_BATCHES, {**_of_stream(desired), "generation": desired.generation})
        return {row["lane"]: row["batches"] for row in rows}

    def list_parked(self, checkpoint_id: CheckpointId) -> list[tuple[VertexId, ParkedMessage]]:
        """The parked messages, in the order in which they were parked, without the properties that may be large."""
        rows = self.fetch(LIST_PARKED, _whose(checkpoint_id))
        return [(VertexId(row.pop("id")), message_of(row)) for row in rows]

    def read_parked(self, uid: str, ids: Sequence[VertexId]) -> list[tuple[VertexId, ParkedMessage]]:
        """
        The messages of a stream at these nodes, whole, in the order in which they were parked. Missing ones are left
        out.
        """
        rows = self.fetch(READ_PARKED, {"ids": list(ids), "uid": uid})
        return [(VertexId(row["id"]), message_of(row["properties"])) for row in rows]

    def sweep(self, stream_id: VertexId) -> bool:
        """
        Deletes a stream node that is committed as dropped, with its checkpoint and its messages. Returns whether there
        was one.
        """
        if not self.fetch(IS_DROPPED, {"id": stream_id}):
            return False
        self.fetch(SWEEP, {"id": stream_id})
        return True

    def fetch(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The records of a query, which has `SLUICE_LOOPBACK_TIMEOUT` seconds."""
        return self.connection.fetch(query, parameters, timeout=self._timeout)


def _of_stream(desired: Desired) -> dict[str, Any]:
    return {"stream": desired.stream_id, "uid": desired.spec.uid}


def _whose(checkpoint_id: CheckpointId) -> dict[str, Any]:
    return {"id": checkpoint_id.vertex, "uid": checkpoint_id.uid}


def _tls() -> ssl.SSLContext:
    # The peer is this process, on the loopback address: nothing is in between, and the certificate is for the name that
    # clients use.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
