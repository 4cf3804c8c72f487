"""
Whether the texts of a batch can run one after the other, each with all its queries at once.

Most batches can: vertices, then the edges between them. This is seen by looking at all queries of a text together,
which costs a fraction of placing them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import ge, gt
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding.lane import Lane

MOST_TEXTS = 6
"Each is compared with each."


class Column(NamedTuple):
    """The queries of one text."""

    number: int
    "Of its lane."
    lane: Lane
    indices: Sequence[int]
    "Which queries of the batch they are, ascending."
    slots: Sequence[Sequence[Value]]
    "For each slot of the lane, the value that each query has there."


def whole_order(columns: Sequence[Column]) -> list[Column] | None:
    """The texts in an order in which all queries of each may run before all of the next; None: there is none."""
    if len(columns) > MOST_TEXTS or not all(map(_runs_at_once, columns)):
        return None
    left, order = list(columns), []
    while left:
        first = next((one for one in left if all(_may_precede(one, other) for other in left if other is not one)), None)
        if first is None:
            return None
        left.remove(first)
        order.append(first)
    return order


def _runs_at_once(column: Column) -> bool:
    """Whether no query has to be strictly behind another one of its text."""
    lane = column.lane
    if len(column.indices) > 1 and (column.number, 1) in lane.always:
        return False
    return all(
        all(map(ge, _earliest(column, written, column.slots[read]), column.indices))
        for table, read, behind in lane.reads
        for wrote, written in lane.writes
        if behind and wrote == table
    )


def _may_precede(one: Column, other: Column) -> bool:
    """Whether all queries of one text may run before all of another: those that came before them, too."""
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
