"""Random changes of a small shop, its topics read in any order: the graph holds what the tables hold, and no more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from sluice import ready
from sluice.folding import Folder
from sluice.values.record import Record
from tests.unit.folding.model import State, execute
from tests.unit.ready import message
from tests.unit.ready.test_debezium import event

REFERENCES = {
    "customers": [("friend", "customers")],
    "orders": [("purchaser", "customers"), ("payer", "customers")],
    "items": [("order", "orders")],
}
OPTIONS: dict[str, Any] = {
    "tables": {
        table: {
            "key": "id",
            "references": [{"columns": column, "table": other, "type": column.upper()} for column, other in references],
        }
        for table, references in REFERENCES.items()
    }
}


class Shop:
    """Tables whose foreign keys hold, and what Debezium sends of them: a topic for each."""

    def __init__(self, seed: int, *, before: bool) -> None:
        """
        Args:
            before: whether events have the row before, as with REPLICA IDENTITY FULL.
        """
        self._random = random.Random(seed)
        self._before = before
        self.tables: dict[str, dict[int, dict[str, Any]]] = {table: {} for table in REFERENCES}
        self.topics: dict[str, list[Record]] = {table: [] for table in REFERENCES}
        self._next = 0

    def change(self) -> None:
        """One random change, and what follows from it."""
        table = self._random.choice(list(REFERENCES))
        rows = self.tables[table]
        kind = self._random.choice(["insert", "insert", "update", "update", "delete", "key", "again", "snapshot"])
        if kind == "insert" or not rows:
            self._next += 1
            self._write("c", table, self._row(table, self._next))
            return
        row = rows[self._random.choice(list(rows))]
        if kind == "update":
            self._write("u", table, self._row(table, row["id"]))
        elif kind == "delete":
            self._forget(table, row["id"], None)
            self._remove(table, row["id"])
        elif kind == "key":
            self._next += 1
            self._remove(table, row["id"])
            self._write("c", table, {**row, "id": self._next})
            self._forget(table, row["id"], self._next)
        elif kind == "again":  # in one transaction, with deferred constraints
            self._remove(table, row["id"])
            self._write("c", table, row)
        else:
            for one in list(rows.values()):
                self._write("r", table, one)

    def _row(self, table: str, key: int) -> dict[str, Any]:
        row: dict[str, Any] = {"id": key, "value": self._random.randrange(3)}
        for column, other in REFERENCES[table]:
            row[column] = self._random.choice([None, *self.tables[other]])
        return row

    def _write(self, op: str, table: str, row: dict[str, Any]) -> None:
        before = self.tables[table].get(row["id"]) if op == "u" and self._before else None
        self.tables[table][row["id"]] = dict(row)
        self.topics[table].append(message(event(op, table, row, before), {"id": row["id"]}, topic=f"shop.{table}"))

    def _remove(self, table: str, key: int) -> None:
        before = self.tables[table].pop(key)
        for value in (event("d", table, None, before if self._before else None), None):
            self.topics[table].append(message(value, {"id": key}, topic=f"shop.public.{table}"))

    def _forget(self, table: str, key: int, instead: int | None) -> None:
        """ON DELETE SET NULL, and ON UPDATE CASCADE."""
        for other, references in REFERENCES.items():
            for row in list(self.tables[other].values()):
                changed = {column: instead for column, to in references if to == table and row[column] == key}
                if changed:
                    self._write("u", other, {**row, **changed})


def read(shop: Shop, chosen: random.Random) -> Iterator[list[Record]]:
    """Batches of the topics: those of one topic in their order, the topics in any."""
    topics = [list(records) for records in shop.topics.values()]
    while any(topics):
        topic = chosen.choice([records for records in topics if records])
        size = chosen.choice([1, 2, 5, 20])
        yield topic[:size]
        del topic[:size]


def held(state: State) -> tuple[Any, Any]:
    """The rows and references that a graph holds; what else there is shows as rows of no table."""
    graph = state.graph()
    names = {number: (tuple(labels), found["id"]) for number, labels, found in graph.vertices}
    rows = sorted((tuple(labels), tuple(sorted(found.items()))) for _, labels, found in graph.vertices)
    return rows, sorted((names[one], kind, names[other]) for one, other, kind, _ in graph.edges)


def wanted(shop: Shop) -> tuple[Any, Any]:
    """What it has to hold."""
    rows, edges = [], []
    for table, found in shop.tables.items():
        for row in found.values():
            labels = (table, f"{table}__key")
            present = {column: value for column, value in row.items() if value is not None}
            rows.append((labels, tuple(sorted(present.items()))))
            for column, other in REFERENCES[table]:
                if row[column] is not None:
                    target = ((other, f"{other}__key"), row[column])
                    edges.append(((labels, row["id"]), column.upper(), target))
    return sorted(rows), sorted(edges)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("before", [False, True], ids=["without before", "with before"])
def test_the_graph_holds_what_the_tables_hold_whatever_topic_is_read_first(seed: int, before: bool):
    shop = Shop(seed, before=before)
    for _ in range(60):
        shop.change()
    transforms = [ready.configured("debezium", OPTIONS)["stream_messages"] for _ in REFERENCES]
    state, folder, chosen = State(), Folder(), random.Random(seed)
    for batch in read(shop, chosen):
        for query in folder.fold(chosen.choice(transforms)(batch)):
            execute(state, query.text, dict(query.parameters))
    assert held(state) == wanted(shop)
