"""What a query reads and what it changes: all that has to be known about a text to move and to fold its queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from sluice.folding.chain import Chain
from sluice.folding.expressions import Key
from sluice.folding.series import Series
from sluice.folding.template import Template


class Origin(Enum):
    """Where a variable's vertices and edges come from."""

    MATCHED = auto()
    "They are there before the query, or nothing happens."
    MERGED = auto()
    "They are there, or are made."
    CREATED = auto()
    "They are new, and nobody else can know them yet."


@dataclass(slots=True)
class Element:
    """What a text says about the vertices, or the edges, of one of its variables."""

    variable: str
    born: Origin
    clause: int
    "Number of the clause that first names it."
    labels: set[str] = field(default_factory=set)
    "Labels of a vertex: all it must have, or all it gets. Types of an edge: one of them; empty: any."
    keys: dict[str, Key] = field(default_factory=dict)
    "Properties of which the value is known beforehand: what is looked for, or what a new one gets."
    required: set[str] = field(default_factory=set)
    "Properties that it must have, or gets; `keys` are among them."
    watched: set[str] = field(default_factory=set)
    "Properties that are looked at otherwise, to find it."
    alone: bool = True
    "Whether a vertex is looked for by itself, not at the end of an edge."
    map: Key | None = None
    "The parameter that a new one gets all its other properties from."
    open: bool = False
    "Whether a new one may get any property beyond those that are known."
    ends: tuple[str, str] | None = None
    "Of an edge: the variables of its source and its target."
    directed: bool = True


class Action(Enum):
    """What may happen to vertices and edges."""

    CREATED = auto()
    DELETED = auto()
    LABELLED = auto()
    "Gets or loses a label."
    ASSIGNED = auto()
    "Gets or loses a property, or gets another value."
    REPLACED = auto()
    "All properties may change."


class Change(NamedTuple):
    """One thing that a query may do to the vertices or edges of a variable."""

    action: Action
    variable: str
    name: str = ""
    "The label or the property."


class Access(NamedTuple):
    """A property, or a label, of a variable that is read or written as a value."""

    variable: str
    name: str
    "`:` and a label, or a property; empty: all properties."
    writes: bool


class OverwriteCheck(NamedTuple):
    """A map that is written over a vertex, so that its keys have to be looked at in each query."""

    variable: str
    map: Key
    replaces: bool
    "Whether properties that are not in the map go."
    each: bool = False
    "Whether the key stands for a list, and each of its elements is such a map."
    name: str = ""
    "The property of each element that is the map; empty: the element itself."
    kept: frozenset[str] = frozenset()
    "Properties that each element's map has as they are."


class MergeKey(NamedTuple):
    """A value that a MERGE looks for: what `key` stands for, or something of each of its elements."""

    key: Key
    each: bool = False
    "Whether the key stands for a list, and the values are its elements."
    name: str = ""
    "The property of each element that is the value; empty: the element itself."


class Merging(NamedTuple):
    """What is particular about a MERGE."""

    repeatable: bool
    "Whether doing it for two rows gives the same in either order, whatever the rows hold."
    form: tuple[frozenset[str], frozenset[str]] | None
    "Labels and properties, where it is a single vertex and nothing else happens; such a MERGE commutes with its like."


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that matters about one text. Never changes, and is equal to itself only."""

    template: Template
    series: Series | None
    chain: Chain | None
    elements: Mapping[str, Element]
    changes: list[Change]
    touches: set[Access]
    guards: list[OverwriteCheck]
    merges: Mapping[int, Merging]
    "By the number of the clause."
    given: frozenset[MergeKey | None]
    """
    What those MERGEs look for; None: an integer that is not known beforehand. Two of them may find the same by numbers
    that are equal and not the same, 1 and 1.0, and what is made has the number of the first.
    """
    assigned: Mapping[bool, frozenset[str] | None]
    "Properties that vertices (False) and edges (True) which others know may get or lose; None: any."
    volatile: bool
    "Whether it asks a clock or a random generator."
    unordered: bool
    "Whether Memgraph may take the rows in another order: it joins parts of MATCH that do not hang together."
    ambiguous: bool
    "Whether what it sets may depend on the order in which several matches are found."

    def known(self, variable: str, name: str) -> Key | None:
        """The value that the property has while the query runs, however it is found and whatever the query does."""
        element = self.elements[variable]
        if element.born is Origin.CREATED:
            if name in element.keys or name in element.required or element.open:
                return element.keys.get(name)
            return None if element.map is None else Key((*element.map.path, name))
        assigned = self.assigned[element.ends is not None]
        return None if assigned is None or name in assigned else element.keys.get(name)

    @property
    def looked_for(self) -> set[str]:
        """The properties of vertices on which it depends whether something is found."""
        found = [item for item in self.elements.values() if item.born is not Origin.CREATED and item.ends is None]
        return {name for item in found for name in item.required | item.watched}
