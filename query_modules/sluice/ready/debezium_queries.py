"""
The queries of `sluice:debezium`. Their texts depend on tables and columns alone, so there are few of them.

A vertex that is only referred to has the label of its key, and not that of its table. A row that is deleted becomes
such a vertex as long as something refers to it: an event that ends the reference may not have been read yet, or the row
may come again. What has lost its row or a reference is marked RELEASED, and a sweep removes those that have neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sluice.ready.debezium_tables import ForeignKey, Table, Tables
from sluice.ready.debezium_values import Call
from sluice.ready.identifiers import labelled, quoted

Query = tuple[str, dict[str, Any]]

RELEASED = "DebeziumReleased"
"The label of vertices that may have to go."

_remembered = lru_cache(maxsize=10_000)


@dataclass
class RowState:
    """What a batch does to one row, all of its messages together."""

    table: Table
    key: Mapping[str, Any]
    "Column -> value."
    is_deleted: bool = False
    "Whether it is at some time in the batch, so that nothing of what it was before stays."
    row: dict[str, Any] | None = None
    "Column -> value that is written into it, after that; None: nothing."
    may_release: bool = False
    "Whether something may have lost its last reference."


class RowQueries:
    """Makes the queries of batches."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def of(self, rows: Iterable[RowState]) -> list[Query]:
        """The queries for different rows: what ends before what begins, and those with the same text together."""
        releases: dict[str, list[dict[str, Any]]] = {}
        deletions: dict[str, list[dict[str, Any]]] = {}
        writes: dict[str, list[dict[str, Any]]] = {}
        references: dict[str, list[dict[str, Any]]] = {}
        swept: dict[str, None] = {}
        for state in rows:
            table, columns = state.table, tuple(state.key)
            for one in table.references:
                values = self._referred(state, one)
                if values is None:
                    continue
                target = self._target(one)
                given = parameters({**state.key, **values})
                releases.setdefault(release(table, columns, one, target, bool(values)), []).append(given)
                if values:
                    references.setdefault(connection(table, columns, one, target), []).append(given)
            if state.is_deleted:
                text = deletion(table, columns) if self._is_leaf(table) else emptying(table, columns)
                deletions.setdefault(text, []).append(parameters(state.key))
                swept[table.name] = None
            if state.row is not None:
                cells = {one: cell for one, cell in state.row.items() if one not in state.key and table.has(one)}
                shape = tuple((column, cell.function if type(cell) is Call else "") for column, cell in cells.items())
                writes.setdefault(upsert(table, columns, shape), []).append(parameters({**state.key, **cells}))
            if state.may_release:
                swept.update((one.table, None) for one in table.references)
        phases = (releases, deletions, writes, references)
        queries = [(text, given) for phase in phases for text, many in phase.items() for given in many]
        return queries + self._sweep(swept)

    def truncation(self, table: Table, key: Sequence[str]) -> list[Query]:
        """
        The queries for the end of all rows of a table.

        Args:
            key: the columns of its key; empty if they are not known yet.
        """
        rows = f"MATCH (n{labelled([table.label])})"
        texts = [
            f"{rows}-{_edge(one)}->(m{labelled([self._target(one).key_label])}) SET m:{RELEASED} DELETE r"
            for one in table.references
        ]
        if self._is_leaf(table) or not key:
            texts.append(f"{rows} DETACH DELETE n")
        else:
            names = [table.property_of(column) for column in key]
            kept = _pairs(names, [f"n.{quoted(name, 'a property')}" for name in names])
            texts.append(f"{rows} SET n = {kept} SET n:{RELEASED} REMOVE n{labelled([table.label])}")
        return [(text, {}) for text in texts] + self._sweep([table.name, *(one.table for one in table.references)])

    def _referred(self, state: RowState, one: ForeignKey) -> dict[str, Any] | None:
        """The values of a foreign key; empty if the row refers to nothing, None if the batch does not say."""
        row = state.row or {}
        if not all(column in row for column in one.columns):
            return {} if state.is_deleted else None
        values = {column: row[column] for column in one.columns}
        is_null = any((cell.text if type(cell) is Call else cell) is None for cell in values.values())
        return {} if is_null else values

    def _target(self, one: ForeignKey) -> Table:
        table = self._tables.of(one.table)
        assert table is not None, "the options name each table that is referred to"
        return table

    def _is_leaf(self, table: Table) -> bool:
        """Whether nothing refers to its rows."""
        return self._tables.types_to(table.name) == frozenset()

    def _sweep(self, names: Iterable[str]) -> list[Query]:
        """Removes the vertices of these tables that have lost their row, or a reference, and have neither."""
        queries: list[Query] = []
        for name in names:
            table, types = self._tables.of(name), self._tables.types_to(name)
            if table is None or types == frozenset():
                continue
            released = f"MATCH (n{labelled([table.key_label, RELEASED])})"
            edges = "|".join(quoted(one, "a type") for one in sorted(types or ()))
            gone = (
                f"{released} WHERE NOT n{labelled([table.label])} OPTIONAL MATCH (n)<-[r{edges and ':' + edges}]-() "
                "WITH n, r WHERE r IS NULL DETACH DELETE n"
            )
            queries += [(gone, {}), (f"{released} REMOVE n{labelled([RELEASED])}", {})]
        return queries


def parameters(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names that the texts have for them."""
    names = _names(tuple(cells))
    return {names[column]: one.text if type(one) is Call else one for column, one in cells.items()}


@_remembered
def upsert(table: Table, key: tuple[str, ...], shape: tuple[tuple[str, str], ...]) -> str:
    """
    Writes a row.

    Args:
        shape: columns, and the functions that make their values; the latter empty where there is none.
    """
    names = _names((*key, *(column for column, _ in shape)))
    sets = [f"n{labelled([table.label])}"]
    for column, function in shape:
        given = f"${names[column]}"
        value = f"CASE WHEN {given} IS NULL THEN null ELSE {function}({given}) END" if function else given
        sets.append(f"n.{quoted(table.property_of(column), 'a property')} = {value}")
    return f"MERGE {_vertex(table, key, names)} SET {', '.join(sets)}"


@_remembered
def deletion(table: Table, key: tuple[str, ...]) -> str:
    """Removes a row to which nothing can refer."""
    return f"MATCH {_vertex(table, key, _names(key))} DETACH DELETE n"


@_remembered
def emptying(table: Table, key: tuple[str, ...]) -> str:
    """Leaves of a row what a reference would have made."""
    names = _names(key)
    kept = _properties(table, key, names)
    return f"MATCH {_vertex(table, key, names)} SET n = {kept} SET n:{RELEASED} REMOVE n{labelled([table.label])}"


@_remembered
def release(table: Table, key: tuple[str, ...], one: ForeignKey, target: Table, refers: bool) -> str:
    """Removes what a row referred to and refers to no more; `refers`: whether it refers to anything."""
    names = _names(tuple(dict.fromkeys((*key, *one.columns))) if refers else key)
    others = " OR ".join(
        f"m.{quoted(target.property_of(to), 'a property')} <> ${names[column]}"
        for column, to in zip(one.columns, one.to, strict=True)
        if refers
    )
    found = f"MATCH {_vertex(table, key, names)}-{_edge(one)}->(m{labelled([target.key_label])})"
    return f"{found}{others and ' WHERE ' + others} SET m:{RELEASED} DELETE r"


@_remembered
def connection(table: Table, key: tuple[str, ...], one: ForeignKey, target: Table) -> str:
    """Has a row refer to another, be that there or not."""
    names = _names(tuple(dict.fromkeys((*key, *one.columns))))
    given = [f"${names[column]}" for column in one.columns]
    other = _pairs([target.property_of(to) for to in one.to], given)
    merged = f"MERGE (m{labelled([target.key_label])} {other}) MERGE (n)-[:{quoted(one.type, 'a type')}]->(m)"
    return f"MATCH {_vertex(table, key, names)} {merged}"


@_remembered
def _names(columns: tuple[str, ...]) -> Mapping[str, str]:
    """Column -> the name of its parameter: no keyword of Cypher's, and another for each."""
    return {
        column: f"_{column if column.isascii() and column.isidentifier() else place}"
        for place, column in enumerate(columns)
    }


def _vertex(table: Table, key: tuple[str, ...], names: Mapping[str, str]) -> str:
    return f"(n{labelled([table.key_label])} {_properties(table, key, names)})"


def _properties(table: Table, key: tuple[str, ...], names: Mapping[str, str]) -> str:
    return _pairs([table.property_of(column) for column in key], [f"${names[column]}" for column in key])


def _pairs(properties: Iterable[str], values: Iterable[str]) -> str:
    pairs = (f"{quoted(name, 'a property')}: {value}" for name, value in zip(properties, values, strict=True))
    return f"{{{', '.join(pairs)}}}"


def _edge(one: ForeignKey) -> str:
    return f"[r:{quoted(one.type, 'a type')}]"
