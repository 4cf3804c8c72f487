"""
The queries of a batch into groups of equal texts, each in the earliest group that its conflicts allow.

For every value that matters a table says in which group it was last used. So a query costs a few look-ups, however long
the batch is; and less where its text can run as a whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from operator import itemgetter
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding.conflicts import Conflict, Slot
from sluice.folding.expressions import EXACT
from sluice.folding.plan import Plan
from sluice.folding.template import Row
from sluice.folding.text_queue import Group, Parameters, TextQueue
from sluice.folding.whole import Column, whole_order

Query = tuple[str, Parameters]

_NUMBERS = (int, float)

_NEVER_MIXED = frozenset({str, int, bool, type(None)})
"Types of which no two values are equal to a MERGE and not the same."

_Readers = dict[tuple[str, Slot], set[tuple[str, Slot, bool]]]
"""
A slot of a text that comes first -> the slots of texts that stay after it if the values are equal, and whether
strictly.
"""


class _Feed(NamedTuple):
    """The queries of one text that are not placed yet."""

    number: int
    reads: list[tuple[int, int, int]]
    writes: list[tuple[int, int]]
    always: list[tuple[int, int]]
    groups: list[int]
    "The numbers of its groups so far, ascending."
    queries: Iterator[tuple[Row, tuple[Value, ...] | None]]
    "Rows and values in the slots; None: the query has to be by itself."


class Schedule:
    """How the queries of some texts are brought into groups. Never changes once it is made."""

    def __init__(self, plans: Mapping[str, Plan], conflicts: Callable[[Plan, Plan], Iterable[Conflict]]) -> None:
        """
        Args:
            plans: by text.
            conflicts: when a query of the first plan and a later one of the second have to stay in order.
        """
        looked_for = sorted({name for plan in plans.values() for name in plan.looked_for})
        self._lanes = {text: TextQueue(text, plan, looked_for) for text, plan in plans.items()}
        self._numbers = {text: number for number, text in enumerate(plans)}
        self._tables = 0
        self._is_simple = True
        "Whether nothing ever keeps the queries of a text out of one group."
        readers: _Readers = defaultdict(set)
        for first, second in product(plans, plans):
            for conflict in conflicts(plans[first], plans[second]):
                self._add(first, second, conflict, readers)
        self._share_tables(readers)

    def groups(self, queries: Sequence[Query], *, chains: bool = True) -> list[Group]:
        """
        Bring a batch into groups. Queries of texts that the schedule does not know stay where they are.

        Args:
            chains: whether queries may become chains, whose first one has to find something.
        """
        texts = list(map(itemgetter(0), queries))
        indices, parameters = self._sorted(texts, queries)
        rows = {text: self._lanes[text].rows(items) for text, items in parameters.items()}
        for text, (items, alone) in rows.items():
            self._lanes[text].check(items, alone)
        self._part_equal_numbers(rows)
        known = sum(map(len, indices.values())) == len(texts)
        if self._is_simple and known and not any(alone for _, alone in rows.values()):
            return [Group(text, found, rows[text][0]) for text, found in indices.items()]
        keys = {text: self._lanes[text].keys(items, alone) for text, (items, alone) in rows.items()}
        if known and not any(alone for _, alone in rows.values()):
            order = whole_order(
                [
                    Column(self._numbers[text], self._lanes[text], found, rows[text][0], keys[text])
                    for text, found in indices.items()
                ],
                chains=chains,
            )
            if order is not None:
                return order
        return self._placed(texts, rows, keys)

    def _sorted(
        self, texts: Sequence[str], queries: Sequence[Query]
    ) -> tuple[dict[str, list[int]], dict[str, list[Parameters]]]:
        """Of each text that is known, in the order in which they come first: which queries those are, and theirs."""
        if len(self._lanes) == 1 and texts.count(texts[0]) == len(texts) and texts[0] in self._lanes:
            return {texts[0]: list(range(len(texts)))}, {texts[0]: list(map(itemgetter(1), queries))}
        places: dict[str, list[int]] = {text: [] for text in dict.fromkeys(texts)}
        for index, text in enumerate(texts):
            places[text].append(index)
        indices = {text: found for text, found in places.items() if text in self._lanes}
        return indices, {text: [queries[index][1] for index in found] for text, found in indices.items()}

    def _part_equal_numbers(self, rows: Mapping[str, tuple[list[Row], set[int]]]) -> None:
        """
        Sends rows by themselves whose MERGE could find what another made of a number that is equal and not the same.
        """
        columns = [
            (alone, *column)
            for text, (items, alone) in rows.items()
            for column in self._lanes[text].merged(items, alone)
        ]
        if all(set(map(type, values)) <= _NEVER_MIXED for _, values, _ in columns):
            return
        spellings: dict[Value, set[str]] = defaultdict(set)
        for value in chain.from_iterable(values for _, values, _ in columns):
            if type(value) in _NUMBERS:
                spellings[value].add(repr(value))
        unknown = any(self._lanes[text].merges_unknown_numbers for text in rows)

        def is_mixed(value: Value) -> bool:
            if type(value) not in _NUMBERS:
                return type(value) not in _NEVER_MIXED
            is_float = type(value) is float
            return len(spellings[value]) > 1 or (is_float and (unknown or not abs(value) < EXACT))

        for alone, values, owners in columns:
            mixed = [number for number, value in enumerate(values) if is_mixed(value)]
            alone.update(mixed if owners is None else [owners[number] for number in mixed])

    def _add(self, first: str, second: str, conflict: Conflict, readers: _Readers) -> None:
        slots = _reduced(conflict)
        if slots is None:
            return
        self._is_simple &= first == second and not conflict.strict
        if slots == ((), ()):
            self._lanes[second].always.append((self._numbers[first], int(conflict.strict)))
        else:
            readers[first, slots[0]].add((second, slots[1], conflict.strict))

    def _share_tables(self, readers: _Readers) -> None:
        """Give slots that are read by the same others the same table."""
        tables: dict[frozenset[tuple[str, Slot, bool]], int] = {}
        for (text, slot), found in readers.items():
            table = tables.setdefault(frozenset(found), len(tables))
            lane = self._lanes[text]
            lane.writes.append((table, lane.slot(slot)))
        for same, table in tables.items():
            for text, slot, strict in same:
                lane = self._lanes[text]
                lane.reads.append((table, lane.slot(slot), int(strict)))
        self._tables = len(tables)

    def _placed(
        self,
        texts: list[str],
        rows: Mapping[str, tuple[list[Row], set[int]]],
        keys_of: Mapping[str, list[list[Value]]],
    ) -> list[Group]:
        """Each query into the first group of its text that is after all it has to come after."""
        feeds = {text: self._feed(text, *found, keys_of[text]) for text, found in rows.items()}
        tables: list[dict[Value, int]] = [{} for _ in range(self._tables)]
        last = [-1] * len(self._lanes)
        groups: list[Group] = []
        floor = 0
        for index, text in enumerate(texts):
            feed = feeds.get(text)
            row, keys = next(feed.queries) if feed is not None else (None, None)
            if feed is None or keys is None:
                groups.append(Group(text, [index], []))
                floor = len(groups)
                continue
            number, reads, writes, always, own, _ = feed
            # Without max(): a call costs more than all else here does, for each query.
            first = floor
            for table, slot, behind in reads:
                found = tables[table].get(keys[slot], -1) + behind
                if found > first:  # noqa: PLR1730
                    first = found
            for other, behind in always:
                found = last[other] + behind
                if found > first:  # noqa: PLR1730
                    first = found
            if own and own[-1] >= first:
                chosen = own[-1] if len(own) == 1 else own[bisect_left(own, first)]
                group = groups[chosen]
                group.indices.append(index)
                group.rows.append(row)
            else:
                chosen = len(groups)
                groups.append(Group(text, [index], [row]))
                own.append(chosen)
            for table, slot in writes:
                entries, key = tables[table], keys[slot]
                if entries.get(key, -1) < chosen:
                    entries[key] = chosen
            if last[number] < chosen:  # noqa: PLR1730
                last[number] = chosen
        return groups

    def _feed(self, text: str, rows: list[Row], alone: set[int], columns: list[list[Value]]) -> _Feed:
        lane = self._lanes[text]
        keys: list[tuple[Value, ...] | None] = list(zip(*columns, strict=True)) if columns else [()] * len(rows)
        for number in alone:
            keys[number] = None
        return _Feed(self._numbers[text], lane.reads, lane.writes, lane.always, [], zip(rows, keys, strict=True))


def _reduced(conflict: Conflict) -> tuple[Slot, Slot] | None:
    """The slots without the constants in them; None where those are never equal."""
    pairs = []
    for mine, yours in zip(conflict.first, conflict.second, strict=True):
        if mine.path or yours.path:
            pairs.append((mine, yours))
        elif mine.constant != yours.constant:
            return None
    return tuple(mine for mine, _ in pairs), tuple(yours for _, yours in pairs)
