"""
Tests, once for each start of the server, the behaviour on which folding and the fence depend, instead of assuming it.

Each test is a transaction that is rolled back, with vertices of a separate label that are reached by an id: no index or
constraint is affected, and the graph is not scanned. On Memgraph all results are as expected, but that 2.14.1 mistakes
fields of parameters. A server that behaves differently makes streams slower, never wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Ignored, RawRecords, Reply, error_of
from sluice.bolt.values import Value
from sluice.errors import INFRASTRUCTURE, QueryRefused, TransientFailure
from sluice.folding import Need
from sluice.persistence import nodes
from sluice.persistence.sink import FENCE, FENCE_TEXT

LABEL = "SluiceProbe"
TYPE = "SLUICE_PROBE"
"Of the vertices and relationships that are created and rolled back."

METADATA = {"tx_metadata": {"sluice": "probe"}}
"What SHOW TRANSACTIONS says of them."

PATIENCE = 10.0
"Timeout of each exchange with the server, in seconds."

ROOT = "MATCH (r) WHERE id(r) = $root"

MADE = f"{ROOT} MATCH (r)-[:{TYPE}]->(n:{LABEL}) RETURN n.k AS k, n.v AS v ORDER BY k, v"


class Question(NamedTuple):
    """A query with a vertex at `$root`, and its expected effect."""

    need: Need
    query: str
    expected: list[list[Value]]
    "The rows that `look` then returns."
    look: str = MADE
    before: str = ""
    "A query that is run before it."
    parameters: Mapping[str, Value] = {}


QUESTIONS = (
    Question(
        Need.ROWS,
        f"UNWIND $rows AS row {ROOT} CREATE (r)-[:{TYPE}]->(:{LABEL} {{k: row[0], v: row[1]}})",
        [[1, "a"], [1, "a"], [2, None]],
        parameters={"rows": [[2, None], [1, "a"], [1, "a"]]},
    ),
    Question(
        Need.SET,
        f"UNWIND [3, 1, 2] AS x {ROOT} SET r.v = coalesce(r.v, '') + toString(x)",
        [["312"]],
        look=f"{ROOT} RETURN r.v AS v",
    ),
    Question(
        Need.MERGE,
        f"UNWIND [1, 1, 2] AS x {ROOT} MERGE (r)-[:{TYPE}]->(n:{LABEL} {{k: x}}) "
        "ON CREATE SET n.v = 1 ON MATCH SET n.v = n.v + 1",
        [[1, 2], [2, 1]],
    ),
    Question(
        Need.CLAUSES,
        f"UNWIND [1, 2] AS x {ROOT} SET r.v = x CREATE (r)-[:{TYPE}]->(:{LABEL} {{k: x, v: r.v}})",
        [[1, 1], [2, 2]],
    ),
    Question(
        Need.DELETE,
        f"UNWIND [1, 2] AS x {ROOT} MATCH (r)-[:{TYPE}]->(n:{LABEL}) DETACH DELETE n",
        [],
        before=f"{ROOT} CREATE (r)-[:{TYPE}]->(:{LABEL} {{k: 1, v: 1}})",
    ),
    Question(
        Need.FOREACH,
        f"UNWIND [[1, 2], [3]] AS x {ROOT} FOREACH (y IN x | SET r.v = coalesce(r.v, 0) * 10 + y) "
        f"CREATE (r)-[:{TYPE}]->(:{LABEL} {{k: size(x), v: r.v}})",
        [[1, 123], [2, 12]],
    ),
    Question(
        Need.SERIES,
        f"{ROOT} CREATE (r)-[:{TYPE}]->(:{LABEL} {{k: 1}}) WITH count(*) AS done "
        f"{ROOT} MATCH (r)-[:{TYPE}]->(n:{LABEL} {{k: 1}}) SET n.v = 7 WITH count(*) AS done "
        f"{ROOT} MATCH (r)-[:{TYPE}]->(n:{LABEL} {{v: 8}}) SET n.v = 9 WITH count(*) AS done "
        f"{ROOT} MATCH (r)-[:{TYPE}]->(n:{LABEL} {{v: 7}}) SET n.v = n.v + done",
        [[1, 7]],
    ),
    Question(
        Need.CHAIN,
        f"{ROOT} WITH count(*) AS found WITH assert(found > 0, 'nothing') AS found UNWIND [[1, 2], [2, 3]] AS row "
        f"{ROOT} MERGE (r)-[:{TYPE}]->(n:{LABEL} {{k: row[0]}}) CREATE (r)-[:{TYPE}]->(:{LABEL} {{k: row[1]}})",
        [[1, None], [2, None], [3, None]],
    ),
    Question(
        Need.COLUMNS,
        "UNWIND $rows AS part WITH split(part[0], $by) AS column_0, part[1] AS column_1 "
        f"UNWIND range(0, size(column_0) - 1) AS row {ROOT} "
        f"CREATE (r)-[:{TYPE}]->(:{LABEL} {{k: column_1[row], v: column_0[row]}})",
        [[1, "a"], [2, ""], [3, "b"], [4, "c"], [5, "d"]],
        parameters={"rows": [["a\x1f\x1fb", [1, 2, 3]], ["c\x1fd", [4, 5]]], "by": "\x1f"},
    ),
    Question(
        Need.ZONES,
        f"{ROOT} SET r.v = toString(datetime('2000-01-01T01:00:00+01:00'))",
        [["2000-01-01T01:00:00.000000+01:00"]],
        look=f"{ROOT} RETURN r.v AS v",
    ),
)

FIELD = (
    "EXPLAIN MATCH (a), (b) WHERE id(a) = $root AND id(b) = $root AND a.k = $map.k RETURN a.k AS k",
    {"map": {"k": 1}},
)
"Asked for its plan, since what it would find is a matter of chance where fields are mistaken."

MISTAKEN = "HashJoin"
"What joins two vertices by what one of them has and the other has too: they have nothing here."

TEXT_OF_REFUSAL = "the streams cannot run on this server: a batch could not be applied exactly once, since "


class Findings(NamedTuple):
    """How the server was found to behave."""

    lacks: Mapping[Need, str]
    "What folding needs and the server does not do -> what was seen instead."
    refusal: str | None
    "Why no stream can run on this server, folded or not; None: streams can run."
    seconds: float
    "How long it took."


def probe(connection: Connection) -> Findings:
    """
    Runs all tests. Leaves nothing in the graph.

    Raises:
        ConnectionLost: the connection was lost meanwhile; nothing is known.
        QueryRefused: we may not write at all, or not now.
    """
    began = time.monotonic()
    refusal = _fence(connection)
    lacks = {} if refusal else {item.need: seen for item in QUESTIONS if (seen := _asked(connection, item))}
    if not refusal and (seen := _explained(connection)):
        lacks[Need.FIELDS] = seen
    return Findings(lacks, refusal, time.monotonic() - began)


def _asked(connection: Connection, question: Question) -> str:
    """What was seen instead of the expected effect; empty: the effect is as expected."""
    root = _made(connection)
    given = {"root": root, **question.parameters}
    requests = [messages.run(question.before, given), messages.discard()] if question.before else []
    requests += [messages.run(question.query, given), messages.discard()]
    requests += [messages.run(question.look, given), messages.pull(), messages.rollback()]
    found, failed = _answered(connection, requests)
    return failed or ("" if found == question.expected else f"expected {question.expected}, found {found}")


def _explained(connection: Connection) -> str:
    """How the server mistakes fields of parameters; empty: it does not."""
    query, parameters = FIELD
    given = {"root": _made(connection), **parameters}
    plan, failed = _answered(connection, [messages.run(query, given), messages.pull(), messages.rollback()])
    return failed or next((str(row[0]).strip() for row in plan if MISTAKEN in str(row[0])), "")


def _answered(connection: Connection, requests: Sequence[bytes]) -> tuple[list[list[Any]], str]:
    """The rows that come, and why the first request failed that did."""
    records = RawRecords()
    replies = _exchange(connection, requests, records)
    failure = next((reply for reply in replies if isinstance(reply, Failure)), None)
    if failure is None:
        return records.rows(), ""
    connection.reset(timeout=PATIENCE)
    _raise_if_passing(error_of(failure))
    return [], str(error_of(failure))


def _fence(connection: Connection) -> str | None:
    """Why the fence does not work here; None: it does."""
    root = _made(connection)
    moved = {"id": root, "uid": LABEL, "from": "a", "to": {"positions": "b"}, "session": ""}
    begin = f"MATCH (k) WHERE id(k) = $id SET k.positions = 'a', k.{nodes.OWNER} = $uid"
    add = "UNWIND range(1, 3) AS x MATCH (k) WHERE id(k) = $id SET k.v = coalesce(k.v, 0) + x RETURN k.v AS v"
    look = "MATCH (k) WHERE id(k) = $id RETURN k.positions AS positions, k.v AS v"
    records = RawRecords()
    fence, adding = messages.run(FENCE, moved), messages.run(add, {"id": root})
    requests = [messages.run(begin, {"id": root, "uid": LABEL}), messages.discard(), fence, messages.pull()]
    requests += [adding, messages.discard(), messages.run(look, {"id": root}), messages.pull()]
    requests += [fence, messages.pull(), adding, messages.discard(), messages.commit()]
    replies = _exchange(connection, requests, records)
    connection.reset(timeout=PATIENCE)
    gone = connection.fetch(look, {"id": root}, timeout=PATIENCE) == []
    if not gone:
        connection.fetch("MATCH (k) WHERE id(k) = $id DETACH DELETE k", {"id": root}, timeout=PATIENCE)
    return _wrong_with_fence(replies, records.rows(), gone)


def _wrong_with_fence(replies: Sequence[Reply], rows: list[list[Any]], gone: bool) -> str | None:
    opening, closing = replies[:8], replies[8:]
    refused = next((reply for reply in opening if isinstance(reply, Failure)), None)
    if refused is not None:
        _raise_if_passing(error_of(refused))
    failures = [number for number, reply in enumerate(closing) if isinstance(reply, Failure)]
    if refused is not None:
        what = f"a checkpoint cannot be moved on: {error_of(refused)}"
    elif rows != [["b", 6]]:
        what = f"a checkpoint at its vertex id is not moved on, or DISCARD does not run a query to its end: {rows}"
    elif len(failures) != 1 or failures[0] > 1 or FENCE_TEXT not in str(closing[failures[0]]):
        what = "assert() does not fail a query whose checkpoint is elsewhere"
    elif not all(isinstance(reply, Ignored) for reply in closing[failures[0] + 1 :]) or not gone:
        what = "what follows a failed query in a transaction is not ignored, COMMIT included"
    else:
        return None
    return f"{TEXT_OF_REFUSAL}{what}"


def _raise_if_passing(error: QueryRefused) -> None:
    """
    A transient refusal, such as that of an instance that has just become a replica, says nothing about the server.
    """
    if INFRASTRUCTURE.search(str(error)) or (isinstance(error, TransientFailure) and not error.suspect):
        raise error


def _made(connection: Connection) -> int:
    """Begins a transaction and creates a vertex in it; returns its id."""
    records = RawRecords()
    requests = [messages.begin(METADATA), messages.run(f"CREATE (r:{LABEL}) RETURN id(r) AS id"), messages.pull()]
    replies = _exchange(connection, requests, records)
    for index, reply in enumerate(replies):
        if isinstance(reply, Failure):
            connection.reset(timeout=PATIENCE)
            raise error_of(reply, index)
    [[root]] = records.rows()
    return int(root)


def _exchange(connection: Connection, requests: Sequence[bytes], records: RawRecords) -> list[Reply]:
    return connection.exchange(b"".join(map(frame, requests)), len(requests), records=records, timeout=PATIENCE)
