"""What the loopback asks a server, and what the versions of Memgraph answer."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.errors import QueryRefused
from sluice.persistence.loopback import UNLABEL, Loopback
from sluice.persistence.server_facts import ANALYTICAL, SHOW_CONSTRAINTS, SHOW_STORAGE, ServerFacts
from sluice.values.model import CheckpointId, VertexId

Rows = list[dict[str, Any]]

REFUSED = QueryRefused("You are not authorized to execute this query!", code="Memgraph.ClientError.MemgraphError")

OF_ALL, OF_ONE = SHOW_STORAGE


class Connection:
    """Answers by a table; notes what it was asked."""

    def __init__(self, answers: dict[str, Rows | QueryRefused]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def fetch(self, query: str, parameters: object, *, timeout: float) -> Rows:
        self.asked.append(query)
        answer = self.answers[query]
        if isinstance(answer, QueryRefused):
            raise answer
        return answer


def loopback(answers: dict[str, Rows | QueryRefused]) -> Loopback:
    made = Loopback.__new__(Loopback)
    connection: Any = Connection(answers)
    made.connection, made._timeout = connection, 1.0
    made.server = ServerFacts(connection, 1.0)
    return made


def info(**values: object) -> Rows:
    return [{"storage info": name, "value": value} for name, value in values.items()]


@pytest.mark.parametrize(
    ("answers", "mode"),
    [
        pytest.param({OF_ALL: info(vertex_count=3, storage_mode=ANALYTICAL)}, ANALYTICAL, id="up to 3.10"),
        pytest.param(
            {
                OF_ALL: info(vm_max_map_count=1, global_storage_mode="IN_MEMORY_TRANSACTIONAL"),
                OF_ONE: info(name="memgraph", state="HOT", storage_mode=ANALYTICAL, vertex_count=3),
            },
            ANALYTICAL,
            id="from 3.11 on",
        ),
        pytest.param({OF_ALL: REFUSED, OF_ONE: REFUSED}, "", id="without the right to ask"),
    ],
)
def test_the_storage_mode_is_that_of_the_database_whatever_the_version_calls_it(answers, mode):
    assert loopback(answers).server.storage_mode() == mode


UNIQUE: Rows = [{"constraint type": "unique", "label": "Person", "properties": ["id"]}]
EXISTS: Rows = [{"constraint type": "exists", "label": "Person", "properties": "id"}]


@pytest.mark.parametrize(
    ("constraints", "unlabelled"),
    [(UNIQUE, True), (EXISTS + UNIQUE, True), (EXISTS, False), ([], False), (REFUSED, False)],
)
def test_a_checkpoint_loses_its_label_where_there_is_a_uniqueness_constraint(constraints, unlabelled):
    over: Any = loopback({SHOW_CONSTRAINTS: constraints, UNLABEL: []})
    assert bool(over.server.uniqueness_constraints()) is unlabelled
    assert over.unlabel(CheckpointId(VertexId(7), "a")) is unlabelled
    assert (UNLABEL in over.connection.asked) is unlabelled
