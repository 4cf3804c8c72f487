"""
Whether the texts of a batch can run one after the other, each with all its queries at once.

Most batches can: vertices, then the edges between them. This is seen by looking at all queries of a text together,
which costs a fraction of placing them one by one. Chains come one after the other, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import ge, gt
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding.template import Row
from sluice.folding.text_queue import Group, TextQueue

MAX_TEXTS_PER_BATCH = 6
"Each is compared with each."


class Column(NamedTuple):
    """The queries of one text."""

    number: int
    "Of its lane."
    lane: TextQueue
    indices: Sequence[int]
    "Which queries of the batch they are, ascending."
    rows: Sequence[Row]
    slots: Sequence[Sequence[Value]]
    "For each slot of the lane, the value that each query has there."


def whole_order(columns: Sequence[Column], *, chains: bool) -> list[Group] | None:
    """
    Groups of all queries, those of one text one after the other, in an order that does the same; None: there is none.
    """
    if len(columns) > MAX_TEXTS_PER_BATCH:
        return None
    groups = []
    for column in columns:
        found = _groups(column, chains=chains)
        if found is None:
            return None
        groups.append((column, found))
    order: list[Group] = []
    while groups:
        first = next((one for one in groups if all(_may_precede(one[0], other[0]) for other in groups)), None)
        if first is None:
            return None
        groups.remove(first)
        order += first[1]
    return order


def _groups(column: Column, *, chains: bool) -> list[Group] | None:
    """All queries of a text as one group, or a group for each chain of them."""
    lane, indices, rows = column.lane, column.indices, column.rows
    if len(indices) > 1 and (column.number, 1) in lane.always:
        return None
    if _runs_at_once(column):
        return [Group(lane.text, list(indices), list(rows))]
    found = lane.chains(rows) if chains else None
    if found is None:
        return None
    members, sought = found
    return [
        Group(
            lane.text,
            [indices[number] for number in chain],
            [rows[number] for number in chain],
            sought[chain[0]] if len(chain) > 1 else None,
        )
        for chain in members
    ]


def _runs_at_once(column: Column) -> bool:
    """Whether no query finds what another one of its text has done before."""
    lane = column.lane
    return all(
        all(map(ge, _earliest(column, written, column.slots[read]), column.indices))
        for table, read, behind in lane.reads
        for wrote, written in lane.writes
        if behind and wrote == table
    )


def _may_precede(one: Column, other: Column) -> bool:
    """Whether all queries of one text may run before all of another, those that came before them, too."""
    if one is other:
        return True
    if any(number == other.number for number, _ in one.lane.always) and other.indices[0] < one.indices[-1]:
        return False
    return all(
        all(map(gt, _earliest(other, written, one.slots[read]), one.indices))
        for table, read, _ in one.lane.reads
        for wrote, written in other.lane.writes
        if wrote == table
    )


def _earliest(column: Column, slot: int, values: Iterable[Value]) -> Iterable[float]:
    """The index of the first query that has each of the values in the slot; beyond all where there is none."""
    first = dict(zip(reversed(column.slots[slot]), reversed(column.indices), strict=True))
    return map(first.get, values, repeat(float("inf")))
