"""Folded or one by one, a batch does the same to the graph: on any host, for random batches."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Records, Success
from tests.hosts import Host
from tests.unit.folding.batches import named
from tests.unit.folding.forms import folded
from tests.unit.folding.graphs import Graph, form
from tests.unit.folding.themes import Case, case
from tests.unit.folding.wrong_rules import WRONG_RULES

EXAMPLES = int(os.environ.get("FOLDING_EXAMPLES", "300"))

MOST = 1000
"Examples within which a wrong rule has to show."

PULL = frame(messages.pull())

LARGEST = 1000
"Vertices, and edges, of a graph that is compared with another."

LONGEST = 10.0
"Seconds that a batch may take."

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

    def __init__(self, connection: Connection, ending: str, port: int) -> None:
        self._connection = connection
        self._ending = ending
        self._port = port

    def after(self, *batches: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Any, ...]:
        """The form of the graph after some batches of queries. Raises Refused."""
        request = bytearray(frame(messages.begin()))
        queries = [query for batch in batches for query in batch]
        for text, parameters in queries:
            request += frame(messages.run(text, parameters)) + PULL
        # By a wrong rule a MERGE may come before a CREATE that it finds, which never ends.
        timer = threading.Timer(LONGEST, self._terminate)
        timer.start()
        replies = self._connection.exchange(bytes(request), 1 + 2 * len(queries))
        timer.cancel()
        try:
            for reply in replies:
                if isinstance(reply, Failure):
                    raise Refused(reply.message)
            vertices = self._rows(named(_VERTICES, self._ending))
            edges = self._rows(named(_EDGES, self._ending))
            return form(Graph(vertices, edges))
        finally:
            self._connection.reset()

    def _terminate(self) -> None:
        with Connection.open("127.0.0.1", self._port) as other:
            for row in other.fetch("SHOW TRANSACTIONS"):
                if row["query"] != ["SHOW TRANSACTIONS"]:
                    other.fetch(f"TERMINATE TRANSACTIONS '{row['transaction_id']}'")

    def _rows(self, query: str) -> list[Any]:
        """Raises Refused: there is more than can be compared; queries that each find what the last made grow fast."""
        records = Records()
        request = frame(messages.run(f"{query} LIMIT {LARGEST + 1}")) + PULL
        replies = self._connection.exchange(request, 2, records=records)
        assert all(isinstance(reply, Success) for reply in replies), replies
        rows = [tuple(row) for row in records.rows()]
        if len(rows) > LARGEST:
            raise Refused("the graph is too large")
        return rows


@pytest.fixture
def database(host: Host, label: str) -> Iterator[Database]:
    """The shared host, over a connection of its own."""
    with Connection.open("127.0.0.1", host.port) as connection:
        yield Database(connection, f"_{label}", host.port)


def differs(database: Database, found: Case, *, by_columns: bool) -> bool:
    """Whether the batch does something else when it is folded. One that fails as it is says nothing."""
    try:
        plain = database.after(found.setup, found.batch)
    except Refused:
        return False
    try:
        return database.after(found.setup, folded(found.batch, by_columns=by_columns)) != plain
    except Refused:
        return True


def difference(database: Database, ending: str, examples: int, seed: int) -> Case | None:
    """A batch that does something else when it is folded; None: none of so many does."""
    cases = ((case(Random(f"{seed} {number}"), ending), number % 2 == 1) for number in range(examples))
    return next((found for found, columns in cases if differs(database, found, by_columns=columns)), None)


@pytest.mark.memgraph_only("the sandbox's engine has another notion of what a query sees of its own writes")
def test_folded_or_one_by_one_a_batch_does_the_same(database: Database, label: str) -> None:
    seed = int(os.environ.get("FOLDING_SEED", "0"))
    assert difference(database, f"_{label}", EXAMPLES, seed) is None


@pytest.mark.memgraph_only("the sandbox's engine has another notion of what a query sees of its own writes")
@pytest.mark.parametrize("rule", WRONG_RULES, ids=lambda rule: rule.__name__)
def test_a_wrong_rule_shows(
    database: Database, label: str, rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        rule(patch)
        found = difference(database, f"_{label}", MOST, seed=1)
    assert found is not None
    assert not any(differs(database, found, by_columns=columns) for columns in (False, True))
