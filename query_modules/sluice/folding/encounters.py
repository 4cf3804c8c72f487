"""Whether what a query finds may depend on what another writes, whatever the values are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sluice.folding.access import Access, Action, Element, Origin, Write


class Encounter(NamedTuple):
    """A write of one text, and a vertex or an edge that another, or the same, looks for."""

    writer: Access
    write: Write
    finder: Access
    sought: Element

    @property
    def changed(self) -> Element:
        """What is written to."""
        return self.writer.elements[self.write.variable]


def matters(encounter: Encounter) -> bool:
    """Whether what is found may depend on the write."""
    creates, changed, sought = encounter.write.action is Action.CREATED, encounter.changed, encounter.sought
    if not may_be_same(changed, sought) or not any(rule(encounter) for rule in SEARCH_RULES):
        return False
    merges = creates and changed.origin is sought.origin is Origin.MERGED
    return not (merges and any(rule(encounter) for rule in COMMUTING))


def may_be_same(one: Element, other: Element) -> bool:
    """Whether both are vertices, or edges that may have the same type."""
    if one.is_edge is not other.is_edge:
        return False
    return not (one.is_edge and one.labels and other.labels and one.labels.isdisjoint(other.labels))


# Writes on which it may depend what is found, whatever the values are


def new_vertex(encounter: Encounter) -> bool:
    """A new vertex with all labels and properties that are looked for."""
    changed, sought = encounter.changed, encounter.sought
    # What is looked for at the end of an edge takes a new edge as well, which is a write of its own.
    is_vertex = encounter.write.action is Action.CREATED and not changed.is_edge
    return is_vertex and sought.alone and sought.labels <= changed.labels and _may_have(changed, sought)


def new_edge(encounter: Encounter) -> bool:
    """A new edge with all properties that are looked for."""
    is_edge = encounter.write.action is Action.CREATED and encounter.changed.is_edge
    return is_edge and _may_have(encounter.changed, encounter.sought)


def deletion(encounter: Encounter) -> bool:
    """What is deleted is not found."""
    return encounter.write.action is Action.DELETED


def label_change(encounter: Encounter) -> bool:
    """A label that is looked for comes or goes."""
    return encounter.write.action is Action.LABELLED and encounter.write.name in encounter.sought.labels


def key_change(encounter: Encounter) -> bool:
    """A property that is looked for changes."""
    return encounter.write.action is Action.ASSIGNED and encounter.write.name in encounter.sought.properties


def condition_change(encounter: Encounter) -> bool:
    """A property changes that a condition reads."""
    return encounter.write.action is Action.ASSIGNED and encounter.write.name in encounter.sought.watched


def replacement(encounter: Encounter) -> bool:
    """All properties are replaced, and one that is looked for is not known to stay."""
    write, sought = encounter.write, encounter.sought
    return write.action in (Action.REPLACED, Action.RESET) and any(
        encounter.writer.known(write.variable, name) is None for name in sought.properties.keys() | sought.watched
    )


SEARCH_RULES: tuple[Callable[[Encounter], bool], ...] = (
    new_vertex,
    new_edge,
    deletion,
    label_change,
    key_change,
    condition_change,
    replacement,
)


def _may_have(made: Element, sought: Element) -> bool:
    return made.open or made.map is not None or sought.properties.keys() <= made.properties.keys()


# Pairs of MERGEs that give the same in either order


def repeated_merge(encounter: Encounter) -> bool:
    """One MERGE, for two rows."""
    writer, number = encounter.writer, encounter.changed.clause
    is_same = writer is encounter.finder and number == encounter.sought.clause
    return is_same and writer.merges[number].repeatable


def bare_merges(encounter: Encounter) -> bool:
    """Two MERGEs of the same labels and properties that do nothing else."""
    one = encounter.writer.merges[encounter.changed.clause]
    other = encounter.finder.merges[encounter.sought.clause]
    return one.form is not None and one.form == other.form


COMMUTING: tuple[Callable[[Encounter], bool], ...] = (repeated_merge, bare_merges)
