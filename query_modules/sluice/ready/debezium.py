"""
`sluice:debezium`: rows of a database as vertices, and foreign keys as relationships, from Debezium's change events.

    tables        {name: {label, key, columns, properties, types, references}}; null passes over a table's events
    references    [{columns, table, to, type}] of a table: its foreign keys
    other_tables  error, ignore, or apply: events of tables that `tables` does not name
    schemas       the schemas whose tables go by their bare names: public and dbo
    topics        {topic: table}: for rows without an envelope, in topics that are not named after their table
    decimals      text or float: what exact decimals become
    unavailable_value   the connector's unavailable.value.placeholder

All messages of a batch that are about one row become one change of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sluice.decoding.options import OptionReader
from sluice.ready.debezium_events import Change, Events, RowAction
from sluice.ready.debezium_queries import Query, RowQueries, RowState
from sluice.ready.debezium_tables import Tables
from sluice.ready.debezium_values import DECIMALS, Values
from sluice.values.record import Record

UNAVAILABLE = "__debezium_unavailable_value"
"Debezium's default for `unavailable.value.placeholder`."


def configured(given: Mapping[str, Any]) -> dict[str, Callable[[list[Any]], list[Query]]]:
    """The transform that these options mean: the name of its function, and the function. Raises WrongOption."""
    options = OptionReader(given)
    values = Values(options.choice("decimals", DECIMALS, "text"))
    unavailable = options.text("unavailable_value", UNAVAILABLE)
    tables = Tables(options, values)
    options.done()
    return {"stream_messages": DebeziumTransform(tables, Events(tables, values, unavailable)).of_messages}


class DebeziumTransform:
    """Queries for batches of messages. Raises WrongMessage at a message that cannot be applied."""

    def __init__(self, tables: Tables, events: Events) -> None:
        self._events = events
        self._queries = RowQueries(tables)

    def of_messages(self, batch: list[Record]) -> list[Query]:
        """The queries for a batch."""
        queries: list[Query] = []
        rows: dict[Any, RowState] = {}
        for record in batch:
            for change in self._events.changes_of(record):
                if change.action is RowAction.TRUNCATE:
                    queries += self._queries.of(rows.values())
                    queries += self._queries.truncation(change.table, tuple(change.key))
                    rows = {}
                else:
                    _apply(change, rows)
        return queries + self._queries.of(rows.values())


def _apply(change: Change, rows: dict[Any, RowState]) -> None:
    """Adds a change to those that the batch has made before to the same row."""
    place = (change.table.name, *change.key.items())
    state = rows.get(place)
    if state is None:
        state = rows[place] = RowState(change.table, change.key)
    state.may_release |= change.may_release
    if change.action is RowAction.DELETE:
        state.is_deleted, state.row = True, None
    else:
        state.row = {**(state.row or {}), **change.row}
