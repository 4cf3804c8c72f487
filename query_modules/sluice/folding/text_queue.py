"""The queries of one text in a batch: their rows, and those of their values that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding.chain import chains
from sluice.folding.conflicts import Slot
from sluice.folding.expressions import EXACT, Key
from sluice.folding.plan import Origin, OverwriteCheck, Plan
from sluice.folding.template import Row

Parameters = Mapping[str, Value]

_COMPARABLE = frozenset({str, int, bool, type(None)})
"""
Types of which values that are equal in Cypher are equal, and hashed alike, in Python. That 1 equals True here does
no harm.
"""

_ABSENT = object()


class Group(NamedTuple):
    """Queries that run as one."""

    text: str
    "Theirs, which is not the folded one."
    indices: list[int]
    "Which queries of the batch they are, in order."
    rows: list[Row]
    "One for each of them; none for a query that has to stay as it is."
    root: Value = None
    "Where they are a chain, the value by which the first of them finds a vertex."


class TextQueue:
    """
    One text of a schedule.

    `reads`, `writes` and `always` are for whoever makes the schedule to fill, and to use.
    """

    def __init__(self, text: str, plan: Plan, looked_for: Iterable[str]) -> None:
        """
        Args:
            looked_for: the properties of vertices on which it depends, in any text of the schedule, what is found.
        """
        self.text = text
        self.reads: list[tuple[int, int, int]] = []
        "Table, slot, and how far a query has to come after the group that the table names: 1 if strictly, else 0."
        self.writes: list[tuple[int, int]] = []
        "Table, slot."
        self.always: list[tuple[int, int]] = []
        "Number of a lane, and how far a query has to come after its last group."
        self._chain = plan.chain
        self._names = plan.template.names
        self._is_bare = plan.template.is_bare
        self._take = _taker(self._names, self._is_bare)
        self._slots: list[Slot] = []
        self._given = [given for given in plan.given if given is not None]
        self.merges_unknown_numbers = None in plan.given
        "Whether a MERGE looks for integers that are not known beforehand."
        guarded = [_Guarded(plan, guard, looked_for) for guard in plan.guards]
        self._guarded = [guard for guard in guarded if guard.expected]

    def slot(self, slot: Slot) -> int:
        """The number of a slot; new ones are added."""
        if slot not in self._slots:
            self._slots.append(slot)
        return self._slots.index(slot)

    def rows(self, parameters: Sequence[Parameters]) -> tuple[list[Row], set[int]]:
        """The row of each query, and which of them have to be sent by themselves, for what they lack."""
        try:
            if set(map(type, parameters)) == {dict}:
                return self._take(parameters), set()
        except KeyError:
            pass
        alone = {
            number
            for number, values in enumerate(parameters)
            if type(values) is not dict or not all(name in values for name in self._names)
        }
        nothing = dict.fromkeys(self._names)
        return self._take([nothing if number in alone else item for number, item in enumerate(parameters)]), alone

    def check(self, rows: list[Row], alone: set[int]) -> None:
        """Adds to `alone` the rows that overwrite a property by which vertices are looked for."""
        for guard in self._guarded:
            maps = self._column(guard.map, rows, alone)
            if guard.each:
                alone.update(number for number, elements in enumerate(maps) if not guard.spared_by(elements))
                continue
            expected = {name: self._column(key, rows, alone) if key else None for name, key in guard.expected.items()}
            alone.update(number for number, item in enumerate(maps) if not guard.holds(number, item, expected))

    def merged(self, rows: list[Row], alone: set[int]) -> Iterator[tuple[list[Value], list[int] | None]]:
        """
        What the MERGEs look for: for each place that such values come from, the values, and of which row each is; None:
        they are one of each row.
        """
        for key, each, name in self._given:
            values = self._column(key, rows, alone)
            if not each:
                yield values, None
                continue
            found = [
                (element.get(name) if name and type(element) is dict else element, number)
                for number, elements in enumerate(values)
                if type(elements) is list
                for element in elements
            ]
            yield [value for value, _ in found], [number for _, number in found]

    def keys(self, rows: list[Row], alone: set[int]) -> list[list[Value]]:
        """For each slot, the value of each row. Adds to `alone` the rows that cannot be compared with others."""
        columns = []
        for slot in self._slots:
            values = [self._compared(key, rows, alone) for key in slot]
            columns.append(values[0] if len(values) == 1 else list(zip(*values, strict=True)))
        return columns

    def chains(self, rows: Sequence[Row]) -> tuple[list[list[int]], list[Value]] | None:
        """As `chain.chains`, and the value by which each row finds a vertex; None also for a text that makes none."""
        if self._chain is None:
            return None
        found, made = (self._column(key, rows, set()) for key in (self._chain.found, self._chain.made))
        members = chains(found, made)
        return None if members is None else (members, found)

    def _compared(self, key: Key, rows: list[Row], alone: set[int]) -> list[Value]:
        """As `_column`, with nothing in it that Python compares otherwise than Cypher."""
        values = self._column(key, rows, alone)
        if set(map(type, values)) <= _COMPARABLE:
            return values
        strange = {
            number
            for number, value in enumerate(values)
            if type(value) not in _COMPARABLE and not (type(value) is float and abs(value) < EXACT)
        }
        alone |= strange
        return [None if number in strange else value for number, value in enumerate(values)]

    def _column(self, key: Key, rows: Sequence[Row], alone: set[int]) -> list[Value]:
        """The value of `key` in each row."""
        if not key.path:
            return [key.constant] * len(rows)
        name, *steps = key.path
        values = list(rows) if self._is_bare else list(map(itemgetter(self._names.index(name)), rows))
        for step in steps:
            alone.update(number for number, value in enumerate(values) if type(value) is not dict)
            values = [value.get(step) if type(value) is dict else None for value in values]
        return values


class _Guarded:
    """Whether a map that is written over a vertex leaves alone the properties by which vertices are looked for."""

    def __init__(self, plan: Plan, guard: OverwriteCheck, looked_for: Iterable[str]) -> None:
        self.map = guard.map
        self.each = guard.each
        self._name = guard.name
        self._replaces = guard.replaces
        element = plan.elements[guard.variable]
        self.expected: dict[str, Key | None] = {}
        "Property -> the value that it must have in the map; None: it must not be there."
        for name in looked_for:
            if guard.each:
                if name not in guard.kept:
                    self.expected[name] = None
                continue
            key = element.keys.get(name) if element.born is Origin.CREATED else plan.known(guard.variable, name)
            beyond = element.born is Origin.CREATED and name not in element.required
            if key is not None or not (guard.replaces or beyond):
                self.expected[name] = key

    def spared_by(self, elements: Value) -> bool:
        """Whether the maps of a list's elements are harmless."""
        if type(elements) is not list:
            return False
        if self._name:
            elements = [element.get(self._name) if type(element) is dict else None for element in elements]
        return all(type(element) is dict and self.expected.keys().isdisjoint(element) for element in elements)

    def holds(self, number: int, item: Value, expected: Mapping[str, list[Value] | None]) -> bool:
        """Whether the map of row `number` is harmless."""
        if type(item) is not dict:
            return False
        if not self._replaces and expected.keys().isdisjoint(item):
            return True
        for name, values in expected.items():
            value = item.get(name, _ABSENT)
            if value is _ABSENT:
                if self._replaces:
                    return False
            elif values is None or type(value) is not type(values[number]) or value != values[number]:
                return False
        return True


def _taker(names: tuple[str, ...], is_bare: bool) -> Callable[[Iterable[Parameters]], list[Row]]:
    """How rows are made of parameters."""
    if not names:
        return lambda parameters: [None for _ in parameters]
    getter: Callable[[Parameters], Row] = itemgetter(*names)
    if is_bare or len(names) > 1:
        return lambda parameters: list(map(getter, parameters))
    return lambda parameters: list(zip(map(getter, parameters)))  # noqa: B905 - one
