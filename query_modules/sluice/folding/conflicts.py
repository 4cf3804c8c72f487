"""
Which queries must not change places, and which must not be rows of the same UNWIND.

Two queries may change places if neither finds what the other changes, and neither reads or writes a value that the
other writes. Whether two vertices can be the same is told by the values of their properties: a property has one value,
so a vertex that is looked for by `id: 1` is none that is looked for, or made, by `id: 2`. That holds for queries next
to each other, and only such ever change places: whoever writes an `id` conflicts with all that look for one.

Within an UNWIND, MATCH and WHERE see the graph as it was before the first row; MERGE sees what earlier rows made, and
the values in SET, CREATE and MERGE are the newest. So a row whose MATCH could find what an earlier row changed is
strictly after it: in another query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from sluice.folding.expressions import Key
from sluice.folding.plan import Access, Action, Change, Element, Origin, Plan

Slot = tuple[Key, ...]
"Values of one query that are compared with as many of another."


class Conflict(NamedTuple):
    """Queries of two texts, the first of them earlier, stay in order if their values in the slots are all equal."""

    first: Slot
    second: Slot
    "Both empty: they always conflict."
    strict: bool
    "Whether they also must not be rows of one query."


_ALWAYS: Slot = ()


def conflicts(first: Plan, second: Plan) -> set[Conflict]:
    """
    When a query of `first` and a later one of `second` have to stay in this order.

    `strict` says something only where both are the same plan.
    """
    return set(_conflicts(first, second))


def _conflicts(first: Plan, second: Plan) -> Iterator[Conflict]:
    same = first is second
    if same and first.ambiguous:
        yield Conflict(_ALWAYS, _ALWAYS, strict=True)
    if first.volatile and second.volatile:
        yield Conflict(_ALWAYS, _ALWAYS, strict=False)
    for change, found in product(first.changes, _found(second)):
        if not _commute(first, change, second, found):
            strict = same and (first.unordered or found.born is Origin.MATCHED or change.action is not Action.CREATED)
            for mine, yours in _finds(first, change, second, found):
                yield Conflict(mine, yours, strict)
    for found, change in product(_found(first), second.changes):
        if not _commute(second, change, first, found):
            for yours, mine in _finds(second, change, first, found):
                yield Conflict(mine, yours, same and first.unordered)
    for one, other in product(first.touches, second.touches):
        if (one.writes or other.writes) and (one.name == other.name or "" in (one.name, other.name)):
            for mine, yours in _same_element(first, one, second, other):
                yield Conflict(mine, yours, same and first.unordered)


def _found(plan: Plan) -> list[Element]:
    """What has to be found, by MATCH or MERGE."""
    return [element for element in plan.elements.values() if element.born is not Origin.CREATED]


def _commute(writer: Plan, change: Change, finder: Plan, found: Element) -> bool:
    """Whether the change and what is found are one MERGE twice, which gives the same in either order."""
    made = writer.elements[change.variable]
    if change.action is not Action.CREATED or made.born is not Origin.MERGED or found.born is not Origin.MERGED:
        return False
    one, other = writer.merges[made.clause], finder.merges[found.clause]
    if writer is finder and made.clause == found.clause:
        return one.repeatable
    return one.form is not None and one.form == other.form


def _finds(writer: Plan, change: Change, finder: Plan, found: Element) -> Iterator[tuple[Slot, Slot]]:
    """When what `found` stands for depends on the change: the values of the writer and those of the finder."""
    changed = writer.elements[change.variable]
    if (changed.ends is None) is (found.ends is None):
        within = _within_edge if found.ends else _within_vertex
        if within(writer, change, changed, found):
            yield from _equal(writer, changed, finder, found)


def _within_vertex(writer: Plan, change: Change, changed: Element, found: Element) -> bool:
    """Whether the change can matter, whatever the values are."""
    if change.action is Action.CREATED:
        # What is looked for at the end of an edge takes a new edge as well, which is a change of its own.
        return found.alone and found.labels <= changed.labels and _may_have(changed, found.required)
    if change.action is Action.LABELLED:
        return change.name in found.labels
    return _within_values(writer, change, found)


def _within_edge(writer: Plan, change: Change, changed: Element, found: Element) -> bool:
    if changed.labels and found.labels and changed.labels.isdisjoint(found.labels):
        return False
    if change.action is Action.CREATED:
        return _may_have(changed, found.required)
    return _within_values(writer, change, found)


def _may_have(made: Element, required: set[str]) -> bool:
    return made.open or made.map is not None or required <= made.required


def _within_values(writer: Plan, change: Change, found: Element) -> bool:
    looked_at = found.required | found.watched
    if change.action is Action.ASSIGNED:
        return change.name in looked_at
    if change.action is Action.REPLACED:
        return any(writer.known(change.variable, name) is None for name in looked_at)
    return True


def _equal(writer: Plan, changed: Element, finder: Plan, found: Element) -> Iterator[tuple[Slot, Slot]]:
    """The values that have to be equal for `changed` to be what `found` looks for."""
    own = _pairs(writer, changed.variable, found.keys)
    if found.ends is None or changed.ends is None:
        yield _slots(own)
        return
    ways = [changed.ends] if changed.directed and found.directed else [changed.ends, changed.ends[::-1]]
    for way in ways:
        at_ends = (
            pair
            for end, other in zip(way, found.ends, strict=True)
            for pair in _pairs(writer, end, finder.elements[other].keys)
        )
        yield _slots([*own, *at_ends])


def _same_element(first: Plan, one: Access, second: Plan, other: Access) -> Iterator[tuple[Slot, Slot]]:
    """The values that have to be equal for two variables to stand for the same vertex or edge."""
    mine, yours = first.elements[one.variable], second.elements[other.variable]
    if (mine.ends is None) is not (yours.ends is None):
        return
    if mine.ends is None or yours.ends is None:
        yield _slots(_both(first, mine.variable, second, yours.variable))
        return
    if mine.labels and yours.labels and mine.labels.isdisjoint(yours.labels):
        return
    own = _both(first, mine.variable, second, yours.variable)
    ways = [mine.ends] if mine.directed and yours.directed else [mine.ends, mine.ends[::-1]]
    for way in ways:
        at_ends = (pair for end, twin in zip(way, yours.ends, strict=True) for pair in _both(first, end, second, twin))
        yield _slots([*own, *at_ends])


def _both(first: Plan, one: str, second: Plan, other: str) -> list[tuple[Key, Key]]:
    """The properties of two variables of which both values are known."""
    keys = second.elements[other].keys
    stable = [name for name in keys if second.known(other, name) is not None]
    return _pairs(first, one, {name: keys[name] for name in stable})


def _pairs(plan: Plan, variable: str, keys: dict[str, Key]) -> list[tuple[Key, Key]]:
    """What the variable is known to have, beside what is asked of it."""
    return [(known, keys[name]) for name in sorted(keys) if (known := plan.known(variable, name)) is not None]


def _slots(pairs: Iterable[tuple[Key, Key]]) -> tuple[Slot, Slot]:
    pairs = list(dict.fromkeys(pairs))
    return tuple(mine for mine, _ in pairs), tuple(yours for _, yours in pairs)
