"""What a query reads and writes: all that has to be known to move its text's queries and to fold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from sluice.folding.expressions import Key


class Origin(Enum):
    """Where the vertices and edges of a variable come from."""

    MATCHED = auto()
    "They exist before the query; if not, nothing happens."
    MERGED = auto()
    "They exist, or are created."
    CREATED = auto()
    "They are new, so that no other query can know them yet."


class OverwriteCheck(NamedTuple):
    """A map that is written over a vertex, whose keys have to be checked in each query."""

    map: Key
    replaces: bool
    "Whether properties that are not in the map are removed."
    kept: frozenset[str] = frozenset()
    "Properties that have, in the map of each element of a list, the value by which the vertex is looked for."


@dataclass(slots=True)
class Element:
    """What a text says about the vertices, or the edges, of one variable. Not changed once it is part of an Access."""

    variable: str
    origin: Origin
    clause: int
    "Number of the clause that names it first."
    labels: set[str] = field(default_factory=set)
    "Labels of a vertex: all it must have, or all it gets. Types of an edge: one of them; empty: any."
    properties: dict[str, Key | None] = field(default_factory=dict)
    "Properties that it must have, or gets -> the value; None: not known."
    watched: set[str] = field(default_factory=set)
    "Properties that decide in other ways whether it is found."
    alone: bool = True
    "Whether a vertex is looked for by itself, not at the end of an edge."
    map: Key | None = None
    "The parameter from which a new one gets all its other properties."
    open: bool = False
    "Whether a new one may get any property beyond those that are known."
    ends: tuple[str, str] | None = None
    "Of an edge: the variables of its source and its target."
    directed: bool = True
    checks: list[OverwriteCheck] = field(default_factory=list)

    @property
    def is_edge(self) -> bool:
        """Whether it is an edge, not a vertex."""
        return self.ends is not None

    @property
    def keys(self) -> Mapping[str, Key]:
        """The properties of which each query has one value that is known."""
        return {name: key for name, key in self.properties.items() if key is not None and not key.lists}


class Action(Enum):
    """What a query may do to vertices and edges."""

    CREATED = auto()
    DELETED = auto()
    LABELLED = auto()
    "Gets or loses a label."
    ASSIGNED = auto()
    "Gets or loses a property, or gets another value."
    REPLACED = auto()
    "All properties may change."
    RESET = auto()
    "All properties may change but those by which it is looked for."
    EXTENDED = auto()
    "Properties may change, but none by which any vertex is looked for: an OverwriteCheck sees to that."


class Read(NamedTuple):
    """A property of a variable whose value is read."""

    variable: str
    name: str


class Write(NamedTuple):
    """One thing that a query may do to the vertices or edges of a variable."""

    action: Action
    variable: str
    name: str = ""
    "The label or the property, if it is one."

    @property
    def value(self) -> str | None:
        """What changes its value: a property, `:` and a label, empty for all properties; None: nothing that is read."""
        if self.action in (Action.CREATED, Action.DELETED):
            return None
        return f":{self.name}" if self.action is Action.LABELLED else self.name


class MergeTraits(NamedTuple):
    """What is particular about a MERGE."""

    repeatable: bool
    "Whether doing it for two rows gives the same in either order, whatever the rows hold."
    form: tuple[frozenset[str], frozenset[str]] | None
    "Labels and properties of one that is a single vertex and does nothing else. It commutes with others of its form."
    keys: frozenset[Key | None]
    """
    What it looks for; None: an integer that is not known before the query runs. Two queries may find the same by
    numbers that are equal and not the same, 1 and 1.0, and what is made has the number of the first.
    """


class Trait(Enum):
    """Something that is true of a query as a whole."""

    VOLATILE = auto()
    "It asks a clock or a random generator."
    UNORDERED = auto()
    "Memgraph may take the rows of an UNWIND through it in another order, or through one part of it before the next."
    AMBIGUOUS = auto()
    "What it sets may depend on the order in which matches are found."


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """What one text reads and writes. Equal to itself only."""

    elements: Mapping[str, Element]
    "By variable."
    reads: frozenset[Read]
    writes: frozenset[Write]
    "To what other queries may know, and what is created."
    merges: Mapping[int, MergeTraits]
    "By the number of the clause."
    traits: frozenset[Trait]

    def known(self, variable: str, name: str) -> Key | None:
        """The value that the property has throughout the query; None: that is not known beforehand."""
        element = self.elements[variable]
        if element.origin is Origin.CREATED:
            if name in element.properties or element.open:
                return element.keys.get(name)
            return None if element.map is None else Key((*element.map.path, name))
        return None if any(rule(self, element, name) for rule in FORGETTING) else element.keys.get(name)

    @property
    def sought(self) -> list[Element]:
        """What has to be found, by MATCH or MERGE."""
        return [element for element in self.elements.values() if element.origin is not Origin.CREATED]

    @property
    def looked_for(self) -> set[str]:
        """The properties of vertices that decide whether something is found."""
        return {name for item in self.sought if not item.is_edge for name in item.properties.keys() | item.watched}


def assigned(access: Access, element: Element, name: str) -> bool:
    """Whether the query sets the property of the element, or of another that may be the same."""
    return any(
        write.action is Action.ASSIGNED and write.name == name
        for write in access.writes
        if access.elements[write.variable].is_edge is element.is_edge
    )


def replaced(access: Access, element: Element, _: str) -> bool:
    """Whether the query replaces all properties of the element, or of another that may be the same."""
    return any(
        write.action is Action.REPLACED
        for write in access.writes
        if access.elements[write.variable].is_edge is element.is_edge
    )


FORGETTING: tuple[Callable[[Access, Element, str], bool], ...] = (assigned, replaced)
"When the value by which something was looked for need not be its value any more."
