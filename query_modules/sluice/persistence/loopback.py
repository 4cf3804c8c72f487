"""
The server's view from inside: one Bolt connection back to it, and every statement the machinery runs over it but a
batch (`sink`).

Vertices are reached by their ids and from there over relationships, checkpoints whether or not they have their label
(`unlabel`), which costs the same in an empty graph and beside millions of other vertices. So no index and no
constraint is made: making one needs the storage for itself alone on Memgraph 2.x, and waits for the transactions of
clients, whom a server with one Bolt worker could then not serve any more.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from sluice.bolt.client import Connection
from sluice.bolt.replies import Records
from sluice.errors import ConnectionLost, FenceLost, QueryRefused, SchemaError, TransientFailure
from sluice.folding import Need
from sluice.host.settings import Settings
from sluice.persistence import nodes
from sluice.persistence.probe import Findings, probe
from sluice.persistence.schema import check_version, migrate
from sluice.scripting import admission
from sluice.values.merge_keys import Constraint, constraints_of, survives_violations
from sluice.values.model import Checkpoint, CheckpointId, Desired, Status, VertexId, encode_positions
from sluice.values.parked_message import ParkedMessage, RetryRequest, decode_requests, message_of

USER_AGENT = "sluice-loopback/1"

CONNECT_TIMEOUT = 5.0
"Seconds for connecting and signing in."

HOW_REACHED = "SLUICE_LOOPBACK_PORT and SLUICE_LOOPBACK_TLS say how it is reached"

FIND_CATALOGS = f"MATCH (c:{nodes.CATALOG}) RETURN id(c) AS id"

FIND_DROPPED = f"MATCH (s:{nodes.STREAM}) WHERE s.dropped RETURN id(s) AS id"

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
       coalesce(s.retries, 0) AS retries_asked, coalesce(k.retries, 0) AS retries
"""

RENAME = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id AND s.name = $from SET s.name = $to"

SHOW_INDEXES = "SHOW INDEX INFO"

OPEN_TRANSACTIONS = "SHOW TRANSACTIONS"

READ_SOURCE = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id RETURN s.transform_source AS source"

# A checkpoint, whether or not it has its label: by its id, and by whose it says it is.
CHECKPOINT = f"MATCH (k) WHERE id(k) = $id AND k.{nodes.OWNER} = $uid"

READ_CHECKPOINT = f"{CHECKPOINT} RETURN properties(k) AS properties"

# Texts that say the same in other words, after an edit by hand: the fence compares them letter by letter.
REWRITE_POSITIONS = f"""
{CHECKPOINT} AND coalesce(k.positions, '') = $found
SET k.positions = $positions
"""

# A run that was superseded has nothing to say any more: the condition keeps a late writer from ending its successor's
# run. What is no number, after an edit by hand, is written over.
END_RUN = f"""
{CHECKPOINT} AND NOT coalesce(k.ended_generation >= $generation, false)
SET k += $ended
"""

IS_DROPPED = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id AND s.dropped RETURN id(s) AS id"

SWEEP = f"""
MATCH (s:{nodes.STREAM}) WHERE id(s) = $id AND s.dropped
OPTIONAL MATCH (s)-[:{nodes.HAS_CHECKPOINT}]->(k) WHERE k.{nodes.OWNER} = s.uid
OPTIONAL MATCH (k)-[:{nodes.HAS_SET_ASIDE}]->(m:{nodes.SET_ASIDE}) WHERE m.{nodes.OWNER} = s.uid
DETACH DELETE s, k, m
"""

READ_REQUESTS = f"MATCH (s:{nodes.STREAM}) WHERE id(s) = $id RETURN s.retry_requests AS requests"

KEPT = f"""
MATCH (k)-[:{nodes.HAS_SET_ASIDE}]->(m:{nodes.SET_ASIDE})
WHERE id(k) = $id AND k.{nodes.OWNER} = $uid AND m.{nodes.OWNER} = $uid
"""

COUNT_KEPT = f"{KEPT} RETURN count(m) AS count"

# Without what may be large: that is read group by group.
LIST_KEPT = f"""
{KEPT}
RETURN id(m) AS id, m.number AS number, m.topic AS topic, m.partition AS partition, m.offset AS offset,
       m.payload_bytes AS payload_bytes, m.attempts AS attempts
ORDER BY number
"""

READ_KEPT = f"""
UNWIND $ids AS id
MATCH (m:{nodes.SET_ASIDE}) WHERE id(m) = id AND m.{nodes.OWNER} = $uid
RETURN id(m) AS id, properties(m) AS properties
ORDER BY m.number
"""

CREATES = re.compile(r"streams`?\s*\.\s*`?create", re.IGNORECASE).search
"Finds in a query's text that it creates a stream."

SHOW_CONSTRAINTS = "SHOW CONSTRAINT INFO"

SHOW_VERSION = "SHOW VERSION"

UNLABEL = f"MATCH (k:{nodes.CHECKPOINT}) WHERE id(k) = $id AND k.{nodes.OWNER} = $uid REMOVE k:{nodes.CHECKPOINT}"

SHOW_ROLE = "SHOW REPLICATION ROLE"

SHOW_STORAGE = ("SHOW STORAGE INFO", "SHOW STORAGE INFO ON CURRENT DATABASE")
"The first tells of the database up to Memgraph 3.10, and of the server as a whole from 3.11 on, which has the second."

ANALYTICAL = "IN_MEMORY_ANALYTICAL"
ON_DISK = "ON_DISK_TRANSACTIONAL"


RUN_COLUMNS = ("generation", "limit_batches", *(name for name in nodes.SPEC_PROPERTIES if name != "transform_source"))
"What makes a run what it is; the script is in it by its SHA-256."


class StreamRow(NamedTuple):
    """A stream as the supervisor sees it: the node's properties but the script's source."""

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
    def retries_asked(self) -> int:
        """The number of the last `RetryRequest`."""
        return int(self.properties["retries_asked"])

    @property
    def work(self) -> tuple[Any, ...]:
        """
        What a worker would have to do. Equal for rows whose runs are the same (same START, same settings), or, where
        only something is to be retried, whose requests are.
        """
        retries = None if self.should_run else self.retries_asked
        return (retries, *(self.properties[column] for column in RUN_COLUMNS))


class Loopback:
    """
    A connection to the server from inside it.

    Threads: for the thread that opened it, but for `abort`.
    """

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            ConnectionLost: nobody answers, the handshake fails, or the server does not let us in.
        """
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
        self._listed: dict[VertexId, tuple[Records, Sequence[StreamRow]]] = {}
        "What `list_streams` was answered last, of each catalog."
        self._survives: bool | None = None

    def __enter__(self) -> Loopback:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def abort(self) -> None:
        """Makes whatever waits for an answer raise ConnectionLost. Threads: any."""
        self.connection.abort()

    def is_main(self) -> bool:
        """Whether this instance may write: it is no replica. True where we may not ask."""
        try:
            rows = self._fetch(SHOW_ROLE)
        except QueryRefused:
            return True
        return not any("replica" in str(value).lower() for row in rows for value in row.values())

    def is_transactional(self) -> bool:
        """Whether what is written in a transaction is taken back with it. True where we may not ask."""
        return self.storage_mode() != ANALYTICAL

    def storage_mode(self) -> str:
        """Memgraph's word for how it stores the graph; empty where we may not ask."""
        for query in SHOW_STORAGE:
            try:
                rows = self._fetch(query)
            except QueryRefused:
                continue
            for row in rows:
                if row.get("storage info") == "storage_mode":
                    return str(row.get("value"))
        return ""

    def may_index_relationships(self) -> bool:
        """Whether there is an index on relationships. True where we may not ask."""
        try:
            rows = self._fetch(SHOW_INDEXES)
        except QueryRefused:
            return True
        return any(str(row.get("index type", "")).startswith("edge") for row in rows)

    def probe(self) -> Findings:
        """
        What the server does of what folding and the fence rest on. Raises GraphError if that cannot be known just now.
        """
        try:
            return probe(self.connection)
        except TransientFailure:
            raise
        except QueryRefused as error:
            seen = f"the server could not be asked: {error}"
            return Findings(dict.fromkeys(set(Need) - {Need.RELATIONSHIPS}, seen), None, 0.0)

    def find_catalogs(self) -> set[VertexId]:
        """The catalog nodes there are. Walks the whole graph."""
        return {row["id"] for row in self._fetch(FIND_CATALOGS)}

    def find_dropped(self) -> set[VertexId]:
        """The nodes of streams that were dropped and not yet swept. Walks the whole graph."""
        return {row["id"] for row in self._fetch(FIND_DROPPED)}

    def open_creations(self) -> frozenset[str] | None:
        """
        The ids of open transactions in which a stream is created, as far as we may see; None where we may not ask. One
        that is being committed is not shown.
        """
        try:
            rows = self._fetch(OPEN_TRANSACTIONS)
        except QueryRefused:
            return None
        if any("query" not in row or "transaction_id" not in row for row in rows):
            return None
        return frozenset(str(row["transaction_id"]) for row in rows if CREATES(str(row["query"])))

    def rename(self, stream_id: VertexId, name: str, new_name: str) -> None:
        """Gives a stream another name, if it still has the one that is expected."""
        self._fetch(RENAME, {"id": stream_id, "from": name, "to": new_name})

    def list_streams(self, catalog: VertexId) -> Sequence[StreamRow] | None:
        """
        The streams below a catalog, as committed; None if there is no such catalog.

        Raises:
            SchemaError: they are of another version.
        """
        names, records = self.connection.fetch_records(LIST_STREAMS, {"catalog": catalog}, timeout=self._timeout)
        before, listed = self._listed.get(catalog, (None, ()))
        if records == before:
            return listed  # as almost always, and taking it apart is what costs most of a look at many streams
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
        self._listed[catalog] = records, listed
        return listed

    def migrate(self, error: SchemaError) -> None:
        """Brings the older catalog that `list_streams` met to this version. Raises GraphError."""
        migrate(self.connection, error.catalog, error.version, self._timeout)

    def desired(self, row: StreamRow) -> Desired:
        """
        What `row` asks for, script included.

        Raises:
            SettingError: the node was edited into something that cannot run, or its script may not.
        """
        sources = self._fetch(READ_SOURCE, {"id": row.stream_id})
        source = sources[0]["source"] if sources else ""
        properties = {**row.properties, "transform_source": source}
        desired = nodes.desired_of(properties, row.stream_id, row.checkpoint_id)
        admission.check(desired.spec, self._settings)
        return desired

    def read_checkpoint(self, checkpoint_id: CheckpointId) -> Checkpoint:
        """
        The checkpoint as committed. Its positions are then written as the fence compares them.

        Raises:
            FenceLost: the node is gone.
            SettingError: it was edited into something impossible.
        """
        rows = self._fetch(READ_CHECKPOINT, _whose(checkpoint_id))
        if not rows:
            raise FenceLost("the stream's checkpoint node was deleted")
        properties = rows[0]["properties"]
        checkpoint = nodes.checkpoint_of(properties)
        found, positions = properties.get("positions") or "", encode_positions(checkpoint.positions)
        if found != positions:
            self._fetch(REWRITE_POSITIONS, {**_whose(checkpoint_id), "found": found, "positions": positions})
        return checkpoint

    def uniqueness_constraints(self) -> frozenset[Constraint]:
        """The graph's uniqueness constraints; none where we may not ask."""
        try:
            return constraints_of(self._fetch(SHOW_CONSTRAINTS))
        except QueryRefused:
            return frozenset()

    def survives_violations(self) -> bool:
        """
        Whether the server takes no harm from a COMMIT that a uniqueness constraint refuses (`unlabel`).

        Asked once: a server does not change its version while we are connected to it.
        """
        if self._survives is None:
            try:
                rows = self._fetch(SHOW_VERSION)
            except QueryRefused:
                rows = []
            self._survives = survives_violations(str(value) for row in rows for value in row.values())
        return self._survives

    def unlabel(self, checkpoint_id: CheckpointId) -> bool:
        """
        Takes a checkpoint's label off where the graph has uniqueness constraints, which before Memgraph 3.1 are safe
        only beside vertices without other labels (docs/failures.md); whether it has.
        """
        if not self.uniqueness_constraints():
            return False
        self._fetch(UNLABEL, _whose(checkpoint_id))
        return True

    def end_run(self, checkpoint_id: CheckpointId, generation: int, status: Status, error: str | None) -> None:
        """Writes how the run `generation` ended."""
        ended = nodes.ended_properties(generation, status, error)
        self._fetch(END_RUN, {**_whose(checkpoint_id), "generation": generation, "ended": ended})

    def read_requests(self, stream_id: VertexId) -> tuple[RetryRequest, ...]:
        """What was asked for by `streams.retry`, as committed, the oldest first."""
        rows = self._fetch(READ_REQUESTS, {"id": stream_id})
        return decode_requests(rows[0]["requests"]) if rows else ()

    def count_kept(self, checkpoint_id: CheckpointId) -> int:
        """How many messages are kept."""
        return int(self._fetch(COUNT_KEPT, _whose(checkpoint_id))[0]["count"])

    def list_kept(self, checkpoint_id: CheckpointId) -> list[tuple[VertexId, ParkedMessage]]:
        """The messages that are kept, in the order in which they were set aside; without what may be large."""
        rows = self._fetch(LIST_KEPT, _whose(checkpoint_id))
        return [(VertexId(row.pop("id")), message_of(row)) for row in rows]

    def read_kept(self, uid: str, ids: Sequence[VertexId]) -> list[tuple[VertexId, ParkedMessage]]:
        """
        The messages of a stream at these nodes, whole, in the order in which they were set aside; only those that
        there are.
        """
        rows = self._fetch(READ_KEPT, {"ids": list(ids), "uid": uid})
        return [(VertexId(row["id"]), message_of(row["properties"])) for row in rows]

    def sweep(self, stream_id: VertexId) -> bool:
        """
        Deletes a stream node that is, committed, marked as dropped, its checkpoint and its messages; whether there was
        one.
        """
        if not self._fetch(IS_DROPPED, {"id": stream_id}):
            return False
        self._fetch(SWEEP, {"id": stream_id})
        return True

    def _fetch(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        return self.connection.fetch(query, parameters, timeout=self._timeout)


def _whose(checkpoint_id: CheckpointId) -> dict[str, Any]:
    return {"id": checkpoint_id.vertex, "uid": checkpoint_id.uid}


def _tls() -> ssl.SSLContext:
    # The peer is this very process, on the loopback address: nobody stands in between, and the certificate is made
    # out to the name that clients use.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
