"""
Which queries must not change places, and which must not be rows of the same UNWIND.

Two queries may change places if neither finds what the other changes, and neither reads or writes a value that the
other writes. Whether two vertices can be the same is told by the values of their properties: a property has one value,
so a vertex that is looked for by `id: 1` is not the one that is looked for, or made, by `id: 2`. That holds for queries
next to each other, and only such ever change places: a query that writes an `id` conflicts with all that look for one.

Within an UNWIND, MATCH and WHERE see the graph as it was before the first row; MERGE sees what earlier rows made, and
the values in SET, CREATE and MERGE are the newest. So a row whose MATCH could find what an earlier row changed has to
be strictly after it: in another query.

Each tuple of rules can be read, and in tests broken, one entry at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from sluice.folding.access import Access, Action, Element, Origin, Trait
from sluice.folding.encounters import Encounter, matters, may_be_same
from sluice.folding.expressions import Key

Slot = tuple[Key, ...]
"Values of one query that are compared with as many of another."

Slots = tuple[Slot, Slot]


class Conflict(NamedTuple):
    """Queries of two texts, the first of them earlier, stay in order if their values in the slots are all equal."""

    first: Slot
    second: Slot
    "Both empty: they always conflict."
    strict: bool
    "Whether they also must not be rows of one query."


def conflicts(first: Access, second: Access) -> set[Conflict]:
    """
    When a query of `first` and a later one of `second` have to stay in this order.

    `strict` means something only if both are the same.
    """
    return {conflict for rule in RULES for conflict in rule(first, second)}


# Pairs of texts


def matches_in_any_order(first: Access, second: Access) -> Iterator[Conflict]:
    """Queries whose effect depends on the order of matches are not rows of one query."""
    if first is second and Trait.AMBIGUOUS in first.traits:
        yield Conflict((), (), strict=True)


def clock_reads(first: Access, second: Access) -> Iterator[Conflict]:
    """Queries that ask a clock or a random generator do so in their order."""
    if Trait.VOLATILE in first.traits and Trait.VOLATILE in second.traits:
        yield Conflict((), (), strict=False)


def write_then_search(first: Access, second: Access) -> Iterator[Conflict]:
    """What is written first is found."""
    for write, sought in product(first.writes, second.sought):
        encounter = Encounter(first, write, second, sought)
        for mine, yours in _where_it_matters(encounter):
            yield Conflict(mine, yours, _is_strict(first, second, encounter))


def search_then_write(first: Access, second: Access) -> Iterator[Conflict]:
    """What is written later is not found."""
    for sought, write in product(first.sought, second.writes):
        for yours, mine in _where_it_matters(Encounter(second, write, first, sought)):
            yield Conflict(mine, yours, _is_strict(first, second))


def write_then_read(first: Access, second: Access) -> Iterator[Conflict]:
    """What is written first is read."""
    yield from _values(first, _written(first), second, second.reads)


def read_then_write(first: Access, second: Access) -> Iterator[Conflict]:
    """What is written later is not read."""
    yield from _values(first, first.reads, second, _written(second))


def write_twice(first: Access, second: Access) -> Iterator[Conflict]:
    """What is written last stays."""
    yield from _values(first, _written(first), second, _written(second))


RULES: tuple[Callable[[Access, Access], Iterator[Conflict]], ...] = (
    matches_in_any_order,
    clock_reads,
    write_then_search,
    search_then_write,
    write_then_read,
    read_then_write,
    write_twice,
)

# Queries of one text that must not be rows of the same UNWIND


def rows_out_of_order(access: Access, _: Encounter | None) -> bool:
    """Their order would not be kept."""
    return Trait.UNORDERED in access.traits


def match_sees_old_graph(_: Access, encounter: Encounter | None) -> bool:
    """MATCH would not find what an earlier row has written."""
    return encounter is not None and encounter.sought.origin is Origin.MATCHED


def merge_sees_creations_only(_: Access, encounter: Encounter | None) -> bool:
    """MERGE finds what earlier rows have created, and is not known to see their other changes."""
    return encounter is not None and encounter.write.action is not Action.CREATED


STRICT: tuple[Callable[[Access, Encounter | None], bool], ...] = (
    rows_out_of_order,
    match_sees_old_graph,
    merge_sees_creations_only,
)


def _is_strict(first: Access, second: Access, encounter: Encounter | None = None) -> bool:
    return first is second and any(rule(first, encounter) for rule in STRICT)


# Which ends of two edges have to be the same


def as_drawn(one: Element, _: Element) -> Iterable[tuple[str, str]]:
    """The sources, and the targets."""
    return [one.ends] if one.ends else []


def turned_round(one: Element, other: Element) -> Iterable[tuple[str, str]]:
    """If either has no direction: the source of one and the target of the other."""
    return [] if one.ends is None or (one.directed and other.directed) else [one.ends[::-1]]


DIRECTIONS: tuple[Callable[[Element, Element], Iterable[tuple[str, str]]], ...] = (as_drawn, turned_round)

# Values that have to be equal


def _where_it_matters(encounter: Encounter) -> Iterator[Slots]:
    """When what is found depends on the write: the values of the writer and those of the finder."""
    writer, _, finder, sought = encounter
    if matters(encounter):
        yield from _equal(writer, encounter.changed, sought, lambda variable: finder.elements[variable].keys)


def _written(access: Access) -> set[tuple[str, str]]:
    return {(write.variable, write.value) for write in access.writes if write.value is not None}


def _values(
    first: Access, mine: Iterable[tuple[str, str]], second: Access, yours: Iterable[tuple[str, str]]
) -> Iterator[Conflict]:
    """When a value of the first may be one of the second."""

    def stable(variable: str) -> Mapping[str, Key]:
        keys = second.elements[variable].keys
        return {name: key for name, key in keys.items() if second.known(variable, name) is not None}

    for (variable, name), (other_variable, other_name) in product(mine, yours):
        one, other = first.elements[variable], second.elements[other_variable]
        if (name == other_name or "" in (name, other_name)) and may_be_same(one, other):
            for slots in _equal(first, one, other, stable):
                yield Conflict(*slots, _is_strict(first, second))


def _equal(first: Access, one: Element, other: Element, keys_of: Callable[[str], Mapping[str, Key]]) -> Iterator[Slots]:
    """The values that have to be equal for two variables to stand for the same vertex or edge."""
    own = _pairs(first, one.variable, keys_of(other.variable))
    if other.ends is None:
        yield _slots(own)
        return
    for ends in (ends for direction in DIRECTIONS for ends in direction(one, other)):
        at_ends = [
            pair for end, twin in zip(ends, other.ends, strict=True) for pair in _pairs(first, end, keys_of(twin))
        ]
        yield _slots([*own, *at_ends])


def _pairs(access: Access, variable: str, keys: Mapping[str, Key]) -> list[tuple[Key, Key]]:
    """What the variable is known to have, beside what is asked of it."""
    return [(known, keys[name]) for name in sorted(keys) if (known := access.known(variable, name)) is not None]


def _slots(pairs: Iterable[tuple[Key, Key]]) -> Slots:
    pairs = list(dict.fromkeys(pairs))
    return tuple(mine for mine, _ in pairs), tuple(yours for _, yours in pairs)
