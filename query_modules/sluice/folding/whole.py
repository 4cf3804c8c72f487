"""
Whether the texts of a batch can run one after the other, each with all its queries at once.

Most batches can: vertices, then the edges between them. This is seen by looking at all queries of a text together,
which costs a fraction of placing them one by one. Chains come one after the other, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import ge, gt
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding.chain import chains
from sluice.folding.text_queue import QueryGroup, TextRows

MAX_TEXTS_PER_BATCH = 6
"Each is compared with each."


class Column(NamedTuple):
    """The queries of one text, none of which has to be by itself."""

    found: TextRows
    slots: Sequence[Sequence[Value]]
    "For each slot of the text, the value of each query."
    chains: bool
    "Whether the queries may become chains."

    @property
    def is_never_together(self) -> bool:
        """Whether no two of the queries may run as one, whatever their values are."""
        return len(self.found.indices) > 1 and (self.found.queue.number, 1) in self.found.queue.always

    def earliest(self, slot: int, values: Iterable[Value]) -> Iterable[float]:
        """The index of the first query that has each of the values in the slot; beyond all if there is none."""
        first = dict(zip(reversed(self.slots[slot]), reversed(self.found.indices), strict=True))
        return map(first.get, values, repeat(float("inf")))


def whole_order(columns: Sequence[Column]) -> list[QueryGroup] | None:
    """
    Groups of all queries, those of one text one after the other, in an order that does the same; None: there is none.
    """
    if len(columns) > MAX_TEXTS_PER_BATCH:
        return None
    groups = []
    for column in columns:
        found = next(filter(None, (way(column) for way in GROUPING)), None)
        if found is None or column.is_never_together:
            return None
        groups.append((column, found))
    order: list[QueryGroup] = []
    while groups:
        first = next((one for one in groups if _is_first(one[0], [other for other, _ in groups])), None)
        if first is None:
            return None
        groups.remove(first)
        order += first[1]
    return order


def _is_first(one: Column, columns: Sequence[Column]) -> bool:
    """Whether all queries of one text may run before all of the others, those that came before them, too."""
    return not any(rule(one, other) for other in columns if other is not one for rule in KEEPING_BACK)


# How the queries of one text are grouped


def all_at_once(column: Column) -> list[QueryGroup] | None:
    """In one group, if no query finds what an earlier one of its text has done."""
    queue, indices, rows, _ = column.found
    for table, read, strictly in queue.reads:
        for wrote, written in queue.writes:
            if strictly and wrote == table and not all(map(ge, column.earliest(written, column.slots[read]), indices)):
                return None
    return [QueryGroup(queue.text, list(indices), list(rows))]


def in_chains(column: Column) -> list[QueryGroup] | None:
    """A group for each chain."""
    queue, indices, rows, _ = column.found
    links = queue.links(rows) if column.chains else None
    return links and [
        QueryGroup(
            queue.text,
            [indices[number] for number in chain],
            [rows[number] for number in chain],
            links[0][chain[0]] if len(chain) > 1 else None,
        )
        for chain in chains(*links) or ()
    ]


GROUPING: tuple[Callable[[Column], list[QueryGroup] | None], ...] = (all_at_once, in_chains)
"The first that gives groups is used."

# What keeps a text from running before another


def always_after(one: Column, other: Column) -> bool:
    """Its queries stay after those of the other, whatever their values are, and some come after one of those."""
    is_after = any(number == other.found.queue.number for number, _ in one.found.queue.always)
    return is_after and other.found.indices[0] < one.found.indices[-1]


def after_values(one: Column, other: Column) -> bool:
    """A query has a value in common with an earlier one of the other, and stays after it."""
    return not all(
        all(map(gt, other.earliest(written, one.slots[read]), one.found.indices))
        for table, read, _ in one.found.queue.reads
        for wrote, written in other.found.queue.writes
        if wrote == table
    )


KEEPING_BACK: tuple[Callable[[Column, Column], bool], ...] = (always_after, after_values)
