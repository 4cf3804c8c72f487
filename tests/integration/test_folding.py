"""Folded or one by one, a batch does the same to the graph: on any host, for random batches."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from random import Random
from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, RawRecords, Success
from sluice.folding.chain import ROOTLESS
from tests.hosts import Host
from tests.unit.folding.batches import named
from tests.unit.folding.forms import folded
from tests.unit.folding.graphs import Graph, form
from tests.unit.folding.sandbox import UNSEEN, is_left_out
from tests.unit.folding.themes import Case, case
from tests.unit.folding.wrong_rules import WRONG_RULES

EXAMPLES = int(os.environ.get("FOLDING_EXAMPLES", "100"))

MOST = 2000
"Examples within which a wrong rule has to show."

PULL = frame(messages.pull())

LARGEST = 1000
"Vertices, and edges, of a graph that is compared with another."

LONGEST = {True: 10.0, False: 120.0}
"Seconds that a batch may take: on Memgraph, and on the sandbox, where none is tried that would not end."

_VERTICES = """
MATCH (n)
WHERE n:A~ OR n:B~ OR n:C~ OR n.k~ IS NOT NULL OR n.v~ IS NOT NULL OR n.w~ IS NOT NULL OR n.number~ IS NOT NULL
RETURN id(n), labels(n), properties(n)
"""
_EDGES = "MATCH (n)-[r:R~|S~|T~]->(m) RETURN id(n), id(m), type(r), properties(r)"


class Refused(Exception):
    """The host refused one of the queries."""


class Database:
    """
    A connection to a host, to see what queries do to the vertices of some labels. Nothing they do remains.
    """

    def __init__(self, connection: Connection, ending: str, host: Host) -> None:
        """
        Args:
            ending: what stands for `~` in the names that are in the graph.
        """
        self.ending = ending
        self.is_memgraph = host.is_memgraph
        self._connection = connection
        self._port = host.port

    def after(self, *batches: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Any, ...]:
        """The form of the graph after some batches of queries. Raises Refused."""
        request = bytearray(frame(messages.begin()))
        queries = [query for batch in batches for query in batch]
        for text, parameters in queries:
            request += frame(messages.run(text, parameters)) + PULL
        # What a wrong rule makes of a batch may take any time.
        timer = threading.Timer(LONGEST[self.is_memgraph], self._terminate)
        timer.start()
        replies = self._connection.exchange(bytes(request), 1 + 2 * len(queries))
        timer.cancel()
        try:
            for reply in replies:
                if isinstance(reply, Failure):
                    raise Refused(reply.message)
            vertices = self._rows(named(_VERTICES, self.ending))
            edges = self._rows(named(_EDGES, self.ending))
            return form(Graph(vertices, edges))
        finally:
            self._connection.reset()

    def rows_after(self, texts: Sequence[str], query: str) -> list[Any]:
        """What the query gives after some others."""
        request = frame(messages.begin())
        for text in texts:
            request += frame(messages.run(named(text, self.ending))) + PULL
        try:
            replies = self._connection.exchange(request, 1 + 2 * len(texts))
            assert all(isinstance(reply, Success) for reply in replies), replies
            return self._rows(named(query, self.ending))
        finally:
            self._connection.reset()

    def _terminate(self) -> None:
        if not self.is_memgraph:  # which has no word for it
            self._connection.abort()
            return
        with Connection.open("127.0.0.1", self._port) as other:
            for row in other.fetch("SHOW TRANSACTIONS"):
                if row["query"] != ["SHOW TRANSACTIONS"]:
                    other.fetch(f"TERMINATE TRANSACTIONS '{row['transaction_id']}'")

    def _rows(self, query: str) -> list[Any]:
        """Raises Refused: there is more than can be compared; queries that each find what the last made grow fast."""
        records = RawRecords()
        request = frame(messages.run(f"{query} LIMIT {LARGEST + 1}")) + PULL
        replies = self._connection.exchange(request, 2, records=records)
        assert all(isinstance(reply, Success) for reply in replies), replies
        rows = [tuple(row) for row in records.rows()]
        if len(rows) > LARGEST:
            raise Refused("the graph is too large")
        return rows


@pytest.fixture(scope="module")
def ending(host: Host) -> str:
    """The ending of names that no other test has."""
    ending = f"_{uuid.uuid4().hex[:12]}"
    if not host.is_memgraph:
        _make_room(host, ending)
    return ending


def _make_room(host: Host, ending: str) -> None:
    """
    Have the sandbox's engine keep room for the vertices and edges of all labels and types.

    A page of its files that was made in a transaction that was rolled back is not used again while nothing of its kind
    was ever committed, and each scan reads them all: after some thousand transactions that takes seconds.
    """
    labels = [f"{label}{ending}" for label in "ABC"]
    kinds = [":".join(["", *chosen]) for size in range(4) for chosen in combinations(labels, size)]
    for kind in kinds:
        host.run(f"CREATE (a{kind} {{number{ending}: 0}})")
    for kind in "RST":
        host.run(f"MATCH (a {{number{ending}: 0}}) CREATE (a)-[:{kind}{ending}]->(a)")
    host.run(f"MATCH (a {{number{ending}: 0}}) DETACH DELETE a")


@pytest.fixture
def database(host: Host, ending: str) -> Iterator[Database]:
    """The shared host, over a connection of its own."""
    with Connection.open("127.0.0.1", host.port) as connection:
        yield Database(connection, ending, host)


def differs(database: Database, found: Case, *, by_columns: bool) -> bool:
    """
    Whether the batch does something else when it is folded. One that fails as it is says nothing, nor does one that the
    sandbox is not asked about.
    """
    in_rows = folded(found.batch, by_columns=by_columns)
    if not database.is_memgraph and is_left_out(found, in_rows, database.ending):
        return False
    try:
        plain = database.after(found.setup, found.batch)
    except Refused:
        return False
    try:
        return database.after(found.setup, in_rows) != plain
    except Refused as refusal:
        return ROOTLESS not in str(refusal)


def difference(database: Database, examples: int, seed: int) -> Case | None:
    """A batch that does something else when it is folded; None: none of so many does."""
    cases = ((case(Random(f"{seed} {number}"), database.ending), number % 2 == 1) for number in range(examples))
    return next((found for found, columns in cases if differs(database, found, by_columns=columns)), None)


def test_folded_or_one_by_one_a_batch_does_the_same(database: Database) -> None:
    seed = int(os.environ.get("FOLDING_SEED", "0"))
    assert difference(database, EXAMPLES, seed) is None


@pytest.mark.soak
def test_folded_or_one_by_one_many_batches_do_the_same(database: Database) -> None:
    assert difference(database, MOST, seed=1) is None


def _shown(rule: Callable[[pytest.MonkeyPatch], None]) -> Any:
    """The rule, for Memgraph only where the sandbox does not show it."""
    name = rule.__name__
    return pytest.param(rule, id=name, marks=[pytest.mark.memgraph_only(UNSEEN[name])] if name in UNSEEN else [])


@pytest.mark.parametrize(
    ("before", "text", "found", "seen"),
    [
        pytest.param(
            "CREATE (:A~ {k~: 1})",
            "UNWIND [1, 2, 3] AS row MATCH (a:A~ {k~: row}) CREATE (a)-[:R~]->(:A~ {k~: row + 1})",
            "MATCH (:A~)-[r:R~]->() RETURN count(r)",
            [1],
            id="MATCH finds nothing that an earlier row made",
        ),
        pytest.param(
            "CREATE (:A~ {k~: 1, v~: 1})",
            "UNWIND [3, 2, 5] AS row MATCH (a:A~ {k~: 1}) WHERE a.v~ < row SET a.v~ = row",
            "MATCH (a:A~) RETURN a.v~",
            [5],
            id="SET of the last row stays",
        ),
        pytest.param(
            "CREATE (:A~ {k~: 1, v~: 1})",
            "UNWIND [5, 3] AS row MATCH (a:A~ {k~: 1}) WHERE a.v~ < row SET a.v~ = row",
            "MATCH (a:A~) RETURN a.v~",
            [3],
            id="WHERE does not see what an earlier row set",
        ),
        pytest.param(
            "CREATE (:A~ {k~: 1})",
            "UNWIND [1, 2] AS row MATCH (a:A~ {k~: row}) SET a.k~ = row + 1",
            "MATCH (a:A~) RETURN a.k~",
            [2],
            id="MATCH does not see what an earlier row set",
        ),
        pytest.param(
            "CREATE (:A~ {k~: 1})",
            "UNWIND [1, 2] AS row MATCH (a:A~) OPTIONAL MATCH (a)-[r:R~]->() CREATE (a)-[:R~ {v~: r IS NULL}]->(a)",
            "MATCH (:A~)-[r:R~]->() RETURN r.v~",
            [True, True],
            id="OPTIONAL MATCH finds no edge that an earlier row made",
        ),
        pytest.param(
            "CREATE (:C~)",
            "UNWIND [1, 2, 1] AS row MERGE (a:A~ {k~: row}) SET a.n~ = coalesce(a.n~, 0) + 1",
            "MATCH (a:A~) RETURN a.n~",
            [1, 2],
            id="MERGE finds what an earlier row made, SET what it set",
        ),
        pytest.param(
            "CREATE (:A~ {k~: 1})",
            "UNWIND [1, 2] AS row MATCH (a:A~ {k~: 1}) SET a.v~ = row CREATE (:B~ {v~: a.v~})",
            "MATCH (b:B~) RETURN b.v~",
            {True: [1, 2], False: [2, 2]},
            id="a row goes through all clauses, or all rows through each",
        ),
        pytest.param(
            "CREATE (:A~ {k~: 1})",
            "UNWIND [1, 2, 3] AS row CALL { "
            "WITH row MATCH (a:A~ {k~: row}) CREATE (a)-[:R~]->(:A~ {k~: row + 1}) RETURN 1 AS done "
            "} RETURN done",
            "MATCH (:A~)-[r:R~]->() RETURN count(r)",
            {True: [1], False: [3]},
            id="MATCH within CALL finds nothing that an earlier row made, or does",
        ),
        pytest.param(
            "CREATE (a:A~)-[:R~]->(a)",
            "MATCH (a:A~) MERGE (a)-[r:R~]-(a) SET r.n~ = coalesce(r.n~, 0) + 1",
            "MATCH (:A~)-[r:R~]->() RETURN r.n~",
            {True: [1], False: [2]},
            id="MERGE finds a loop once, or twice",
        ),
    ],
)
def test_what_a_query_sees_of_its_own_writes(database: Database, before: str, text: str, found: str, seen: Any) -> None:
    """Folding rests on it; where the sandbox differs, batches that would show it are left out there."""
    expected = seen[database.is_memgraph] if isinstance(seen, dict) else seen
    assert sorted(row for (row,) in database.rows_after([before, text], found)) == expected


@pytest.mark.soak  # tests/unit/folding/test_model.py has the same rules on Memgraph in miniature
@pytest.mark.parametrize("rule", [_shown(rule) for rule in WRONG_RULES])
def test_a_wrong_rule_shows(
    database: Database, rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        rule(patch)
        found = difference(database, MOST, seed=1)
    assert found is not None
    assert not any(differs(database, found, by_columns=columns) for columns in (False, True))
