"""The queries of one text in a batch: their rows, and those of their values that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding.conflicts import Slot
from sluice.folding.expressions import EXACT, Key
from sluice.folding.map_check import MapCheck
from sluice.folding.plan import Plan
from sluice.folding.template import Row
from sluice.values.same_query import SameParameter

Parameters = Mapping[str, Value]

_COMPARABLE = frozenset({str, int, bool, type(None)})
"""
Types of which values that are equal in Cypher are equal, and hashed alike, in Python. That 1 equals True here does
no harm.
"""


class QueryGroup(NamedTuple):
    """Queries that run as one."""

    text: str
    "Theirs, which is not the folded one."
    indices: list[int]
    "Which queries of the batch they are, in order."
    rows: list[Row]
    "One for each of them; none for a query that has to stay as it is."
    root: Value = None
    "If they are a chain, the value by which the first of them finds a vertex."


class TextRows(NamedTuple):
    """The queries of one text in a batch."""

    queue: TextQueue
    indices: list[int]
    "Which queries of the batch they are, ascending."
    rows: list[Row]
    alone: set[int]
    "Numbers of the rows that have to be sent by themselves."

    def column(self, key: Key) -> list[Value]:
        """The value of `key` in each row. Rows that are not built like that are sent by themselves."""
        return self.queue.column(key, self.rows, self.alone)

    def elements(self, key: Key) -> list[list[Value] | None]:
        """The values of each row, one for each element of a list; None: it has no list."""
        [elements] = key.lists
        return [
            [_within(item, key.path) for item in found] if type(found) is list else None
            for found in self.column(elements)
        ]


class TextQueue:
    """One text of a schedule, which fills `reads`, `writes` and `always`, and uses them."""

    def __init__(self, number: int, text: str, plan: Plan, looked_for: Iterable[str]) -> None:
        """
        Args:
            number: of the text in its schedule.
            looked_for: the properties of vertices that decide, in any text of the schedule, what is found.
        """
        self.number = number
        self.text = text
        self.reads: list[tuple[int, int, int]] = []
        "Table, slot, and how far a query has to come after the group that the table names: 1 if strictly, else 0."
        self.writes: list[tuple[int, int]] = []
        "Table, slot."
        self.always: list[tuple[int, int]] = []
        "Number of a text, and how far a query has to come after its last group."
        self._chain = plan.rewrites.chain
        template = plan.rewrites.rows
        self._names, self._is_bare = template.names, template.is_bare
        self._take = _taker(self._names, self._is_bare)
        self._slots: list[Slot] = []
        keys = {key for traits in plan.access.merges.values() for key in traits.keys}
        self._merge_keys = [key for key in keys if key is not None]
        self.merges_unknown_numbers = None in keys
        "Whether a MERGE looks for integers that are not known before the query runs."
        checks = [
            MapCheck(plan.access, element, check, looked_for)
            for element in plan.access.elements.values()
            for check in element.checks
        ]
        self.checks = [check for check in checks if check.expected]

    def slot(self, slot: Slot) -> int:
        """The number of a slot; new ones are added."""
        if slot not in self._slots:
            self._slots.append(slot)
        return self._slots.index(slot)

    def taken(self, indices: list[int], parameters: Sequence[Parameters]) -> TextRows:
        """The rows of these queries; those that lack a parameter are sent by themselves."""
        if isinstance(parameters, SameParameter) and self._is_bare and self._names == (parameters.name,):
            return TextRows(self, indices, parameters.values, set())
        try:
            if set(map(type, parameters)) == {dict}:
                return TextRows(self, indices, self._take(parameters), set())
        except KeyError:
            pass
        alone = {
            number
            for number, values in enumerate(parameters)
            if type(values) is not dict or not all(name in values for name in self._names)
        }
        nothing = dict.fromkeys(self._names)
        rows = self._take([nothing if number in alone else item for number, item in enumerate(parameters)])
        return TextRows(self, indices, rows, alone)

    def merged(self, found: TextRows) -> Iterator[tuple[list[Value], list[int] | None]]:
        """
        What the MERGEs look for: for each place that such values come from, the values, and the row of each; None: each
        row has one.
        """
        for key in self._merge_keys:
            if not key.lists:
                yield found.column(key), None
                continue
            pairs = [(value, number) for number, values in enumerate(found.elements(key)) for value in values or ()]
            yield [value for value, _ in pairs], [number for _, number in pairs]

    def keys(self, found: TextRows) -> list[list[Value]]:
        """For each slot, the value of each row. Rows that cannot be compared with others are sent by themselves."""
        columns = []
        for slot in self._slots:
            values = [self._compared(found, key) for key in slot]
            columns.append(values[0] if len(values) == 1 else list(zip(*values, strict=True)))
        return columns

    def links(self, rows: Sequence[Row]) -> tuple[list[Value], list[Value]] | None:
        """The values by which queries find a vertex, and those of the vertices they make; None: they are no links."""
        if self._chain is None:
            return None
        return self.column(self._chain.found, rows, set()), self.column(self._chain.made, rows, set())

    def column(self, key: Key, rows: Sequence[Row], alone: set[int]) -> list[Value]:
        """The value of `key` in each row. Adds to `alone` the rows that are not built like that."""
        if not key.path:
            return [key.constant] * len(rows)
        name, *steps = key.path
        values = list(rows) if self._is_bare else list(map(itemgetter(self._names.index(name)), rows))
        for step in steps:
            if set(map(type, values)) == {dict}:
                values = [value.get(step) for value in values]
                continue
            alone.update(number for number, value in enumerate(values) if type(value) is not dict)
            values = [value.get(step) if type(value) is dict else None for value in values]
        return values

    @staticmethod
    def _compared(found: TextRows, key: Key) -> list[Value]:
        values = found.column(key)
        for rule in COMPARING:
            values = rule(values, found.alone)
        return values


def comparable(values: list[Value], alone: set[int]) -> list[Value]:
    """The values without those that Python compares otherwise than Cypher, whose rows are added to `alone`."""
    if set(map(type, values)) <= _COMPARABLE:
        return values
    strange = {
        number
        for number, value in enumerate(values)
        if type(value) not in _COMPARABLE and not (type(value) is float and abs(value) < EXACT)
    }
    alone |= strange
    return [None if number in strange else value for number, value in enumerate(values)]


COMPARING: tuple[Callable[[list[Value], set[int]], list[Value]], ...] = (comparable,)
"What is done to values before they are compared."


def _within(value: Value, path: Iterable[str]) -> Value:
    for step in path:
        value = value.get(step) if type(value) is dict else None
    return value


def _taker(names: tuple[str, ...], is_bare: bool) -> Callable[[Iterable[Parameters]], list[Row]]:
    """How rows are made of parameters."""
    if not names:
        return lambda parameters: [None for _ in parameters]
    getter: Callable[[Parameters], Row] = itemgetter(*names)
    if is_bare or len(names) > 1:
        return lambda parameters: list(map(getter, parameters))
    return lambda parameters: list(zip(map(getter, parameters)))  # noqa: B905 - one
