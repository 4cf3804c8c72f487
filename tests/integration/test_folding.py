"""Folded or one by one, a batch does the same to the graph: on any host, for random batches."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Records, Success
from sluice.folding import Folder
from tests.hosts import Host
from tests.unit.folding.batches import Query, batches, named
from tests.unit.folding.graphs import Graph, form
from tests.unit.folding.wrong_rules import WRONG_RULES

CHECKS = list(HealthCheck)
EXAMPLES = int(os.environ.get("FOLDING_EXAMPLES", "300"))

PULL = frame(messages.pull())

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
        records = Records()
        replies = self._connection.exchange(frame(messages.run(query)) + PULL, 2, records=records)
        assert all(isinstance(reply, Success) for reply in replies), replies
        return [tuple(row) for row in records.rows()]


@pytest.fixture
def database(host: Host, label: str) -> Iterator[Database]:
    """The shared host, over a connection of its own."""
    with Connection.open("127.0.0.1", host.port) as connection:
        yield Database(connection, f"_{label}", host.port)


class Differs(Exception):
    """A batch does something else when it is folded: what was there before, the batch, and what it is folded into."""


def compare(database: Database, ending: str, examples: int, seed: int) -> None:
    """Random batches behind random set-ups, folded and one by one. Raises Differs at the first difference."""

    @hypothesis_seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=CHECKS,
    )
    @given(batches(most_queries=4, ending=ending), batches(ending=ending))
    def compare_one(setup: list[Query], batch: list[Query]) -> None:
        folded = [(item.text, item.parameters) for item in Folder().fold(batch)]
        try:
            plain = database.after(setup, batch)
        except Refused:
            return
        try:
            same = database.after(setup, folded) == plain
        except Refused:
            same = False
        if not same:
            raise Differs(setup, batch, folded)

    compare_one()


@pytest.mark.memgraph_only("the sandbox's engine has another notion of what a query sees of its own writes")
def test_folded_or_one_by_one_a_batch_does_the_same(database: Database, label: str) -> None:
    compare(database, f"_{label}", EXAMPLES, seed=int(os.environ.get("FOLDING_SEED", "0")))


@pytest.mark.memgraph_only("the sandbox's engine has another notion of what a query sees of its own writes")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rule", WRONG_RULES, ids=lambda rule: rule.__name__)
def test_a_wrong_rule_shows(
    database: Database, label: str, rule: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule(monkeypatch)
    with pytest.raises(Differs):
        compare(database, f"_{label}", 10 * EXAMPLES, seed=1)
