"""
The queries of a batch into groups of equal texts, each in the earliest group that its conflicts allow.

For every value that matters a table says in which group it was last used. So a query costs a few look-ups, however long
the batch is; and less if its text can run as a whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding import solitary
from sluice.folding.access import Access
from sluice.folding.conflicts import Conflict, Slot
from sluice.folding.plan import Plan
from sluice.folding.template import Row
from sluice.folding.text_queue import Parameters, QueryGroup, TextQueue, TextRows
from sluice.folding.whole import Column, whole_order
from sluice.values.same_query import parameters_of

TextAndParameters = tuple[str, Parameters]
"A query as a transform returns it."

_Readers = dict[tuple[str, Slot], set[tuple[str, Slot, bool]]]
"""
A text that comes first and a slot of it -> the texts that stay after it if the values are equal, their slots, and
whether strictly.
"""


class Schedule:
    """How the queries of some texts are brought into groups. Never changes once it is made."""

    def __init__(self, plans: Mapping[str, Plan], conflicts: Callable[[Access, Access], Iterable[Conflict]]) -> None:
        """
        Args:
            plans: by text.
            conflicts: when a query of the first text and a later one of the second have to stay in order.
        """
        looked_for = sorted({name for plan in plans.values() for name in plan.access.looked_for})
        self._queues = {
            text: TextQueue(number, text, plan, looked_for) for number, (text, plan) in enumerate(plans.items())
        }
        self._tables = 0
        self._is_simple = True
        "Whether nothing ever keeps the queries of a text out of one group."
        readers: _Readers = defaultdict(set)
        for first, second in product(plans, plans):
            for conflict in conflicts(plans[first].access, plans[second].access):
                self._add(first, second, conflict, readers)
        self._share_tables(readers)

    def groups(
        self, texts: Sequence[str], queries: Sequence[TextAndParameters], *, chains: bool = True
    ) -> list[QueryGroup]:
        """
        Bring a batch into groups. Queries of texts that the schedule does not know stay where they are.

        Args:
            texts: the text of each query.
            chains: whether queries may become chains, whose first one has to find something.
        """
        batch = self._taken(texts, queries)
        for rule in solitary.RULES:
            rule(batch)
        is_known = sum(len(found.indices) for found in batch) == len(texts)
        if is_known and self._is_simple and not any(found.alone for found in batch):
            return [QueryGroup(found.queue.text, found.indices, found.rows) for found in batch]
        columns = [Column(found, found.queue.keys(found), chains) for found in batch]
        if is_known and not any(found.alone for found in batch):
            order = whole_order(columns)
            if order is not None:
                return order
        return self._placed(texts, columns)

    def _taken(self, texts: Sequence[str], queries: Sequence[TextAndParameters]) -> list[TextRows]:
        """The queries of each text that is known, in the order in which the texts come first."""
        if len(self._queues) == 1 and texts.count(texts[0]) == len(texts) and texts[0] in self._queues:
            return [self._queues[texts[0]].taken(list(range(len(texts))), parameters_of(queries))]
        places: dict[str, list[int]] = {text: [] for text in dict.fromkeys(texts)}
        for index, text in enumerate(texts):
            places[text].append(index)
        return [
            self._queues[text].taken(indices, [queries[index][1] for index in indices])
            for text, indices in places.items()
            if text in self._queues
        ]

    def _add(self, first: str, second: str, conflict: Conflict, readers: _Readers) -> None:
        slots = _reduced(conflict)
        if slots is None:
            return
        self._is_simple &= first == second and not conflict.strict
        if slots == ((), ()):
            self._queues[second].always.append((self._queues[first].number, int(conflict.strict)))
        else:
            readers[first, slots[0]].add((second, slots[1], conflict.strict))

    def _share_tables(self, readers: _Readers) -> None:
        """Give slots that are read by the same others the same table."""
        tables: dict[frozenset[tuple[str, Slot, bool]], int] = {}
        for (text, slot), found in readers.items():
            table = tables.setdefault(frozenset(found), len(tables))
            queue = self._queues[text]
            queue.writes.append((table, queue.slot(slot)))
        for same, table in tables.items():
            for text, slot, strict in same:
                queue = self._queues[text]
                queue.reads.append((table, queue.slot(slot), int(strict)))
        self._tables = len(tables)

    def _placed(self, texts: Sequence[str], columns: Sequence[Column]) -> list[QueryGroup]:
        """Each query into the first group of its text that is after all it has to come after."""
        feeds = {column.found.queue.text: _Feed(column.found.queue, [], _in_turn(column)) for column in columns}
        tables: list[dict[Value, int]] = [{} for _ in range(self._tables)]
        last = [-1] * len(self._queues)
        groups: list[QueryGroup] = []
        floor = 0
        for index, text in enumerate(texts):
            feed = feeds.get(text)
            row, keys = next(feed.queries) if feed is not None else (None, None)
            if feed is None or keys is None:
                groups.append(QueryGroup(text, [index], []))
                floor = len(groups)
                continue
            queue, own, _ = feed
            # Without max(): a call costs more than all else here does, for each query.
            first = floor
            for table, slot, strictly in queue.reads:
                found = tables[table].get(keys[slot], -1) + strictly
                if found > first:  # noqa: PLR1730
                    first = found
            for other, strictly in queue.always:
                found = last[other] + strictly
                if found > first:  # noqa: PLR1730
                    first = found
            if own and own[-1] >= first:
                chosen = own[-1] if len(own) == 1 else own[bisect_left(own, first)]
                group = groups[chosen]
                group.indices.append(index)
                group.rows.append(row)
            else:
                chosen = len(groups)
                groups.append(QueryGroup(text, [index], [row]))
                own.append(chosen)
            for table, slot in queue.writes:
                entries, key = tables[table], keys[slot]
                if entries.get(key, -1) < chosen:
                    entries[key] = chosen
            if last[queue.number] < chosen:  # noqa: PLR1730
                last[queue.number] = chosen
        return groups


class _Feed(NamedTuple):
    """The queries of one text that are not placed yet."""

    queue: TextQueue
    groups: list[int]
    "The numbers of its groups so far, ascending."
    queries: Iterator[tuple[Row, tuple[Value, ...] | None]]
    "Rows and values in the slots; None: the query has to be by itself."


def _in_turn(column: Column) -> Iterator[tuple[Row, tuple[Value, ...] | None]]:
    rows, columns = column.found.rows, column.slots
    keys: list[tuple[Value, ...] | None] = list(zip(*columns, strict=True)) if columns else [()] * len(rows)
    for number in column.found.alone:
        keys[number] = None
    return zip(rows, keys, strict=True)


def _reduced(conflict: Conflict) -> tuple[Slot, Slot] | None:
    """The slots without their constants; None if those are never equal."""
    pairs = []
    for mine, yours in zip(conflict.first, conflict.second, strict=True):
        if mine.path or yours.path:
            pairs.append((mine, yours))
        elif mine.constant != yours.constant:
            return None
    return tuple(mine for mine, _ in pairs), tuple(yours for _, yours in pairs)
