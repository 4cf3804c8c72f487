"""A query's text, taken apart: what `grammar` makes and `effects` reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sluice.folding.expressions import Expression


class MapParameter(NamedTuple):
    """A parameter that stands for all properties of a vertex or an edge, and where it is in the text."""

    name: str
    start: int
    end: int


@dataclass(slots=True)
class Node:
    """A vertex in a pattern."""

    variable: str
    "Its name; one that no text can have where it has none."
    labels: tuple[str, ...] = ()
    properties: Mapping[str, Expression] = field(default_factory=dict)
    map: MapParameter | None = None


@dataclass(slots=True)
class Edge:
    """An edge in a pattern, from vertex to vertex as the arrow points; left to right where there is none."""

    variable: str
    source: str
    target: str
    directed: bool
    types: tuple[str, ...] = ()
    properties: Mapping[str, Expression] = field(default_factory=dict)
    map: MapParameter | None = None


@dataclass(slots=True)
class Pattern:
    """Vertices and the edges between them, in a row."""

    nodes: list[Node]
    edges: list[Edge]

    @property
    def elements(self) -> Iterator[Node | Edge]:
        """All vertices and edges."""
        yield from self.nodes
        yield from self.edges


@dataclass(slots=True)
class Assignment:
    """
    What one item of SET or REMOVE does to a variable.

    One of: `property` gets `value`, or is removed where that is None; `labels` are set, or removed where `removes`; all
    properties that `value` has are added, or replace those there were where `replaces`.
    """

    variable: str
    property: str = ""
    labels: tuple[str, ...] = ()
    value: Expression | None = None
    replaces: bool = False
    removes: bool = False


@dataclass(slots=True)
class Unwind:
    """UNWIND list AS variable."""

    list: Expression
    variable: str


@dataclass(slots=True)
class Match:
    """MATCH or OPTIONAL MATCH patterns WHERE conditions, all of which have to hold."""

    patterns: list[Pattern]
    conditions: list[Expression]
    is_optional: bool = False


@dataclass(slots=True)
class Create:
    """CREATE patterns."""

    patterns: list[Pattern]


@dataclass(slots=True)
class Merge:
    """MERGE pattern, and what ON CREATE and ON MATCH do."""

    pattern: Pattern
    actions: list[Assignment]


@dataclass(slots=True)
class Set:
    """SET or REMOVE."""

    items: list[Assignment]


@dataclass(slots=True)
class Delete:
    """DELETE or DETACH DELETE."""

    variables: list[str]


@dataclass(slots=True)
class Loop:
    """FOREACH (variable IN list | the clauses that follow, up to `LoopEnd`)."""

    list: Expression
    variable: str


@dataclass(slots=True)
class LoopEnd:
    """The end of the innermost FOREACH."""


@dataclass(slots=True)
class With:
    """WITH kept, value AS name WHERE conditions; nothing that gathers, orders or counts rows."""

    kept: set[str] | None
    "Variables that stay; None: all."
    values: dict[str, Expression]
    conditions: list[Expression]


Clause = Unwind | Match | Create | Merge | Set | Delete | Loop | LoopEnd | With


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of the text, and what stands in its place once the text is folded."""

    start: int
    end: int
    parameter: str = ""
    "The parameter whose value is to stand here; empty: nothing is."
    property: str = ""
    "The property of the value that is to stand here; empty: the value itself."
    before: str = ""
    "Text in front of the value."
    is_looked_into: bool = False
    "Whether a property of that is asked for right after it."
    is_map: bool = False
    "Whether the value, a map then, is all that a vertex or an edge gets in this place."
    carries_row: bool = False
    "Whether the row itself is to stand here, so that what follows knows it."


@dataclass(slots=True)
class Query:
    """A text that is understood."""

    clauses: list[Clause]
    cuts: list[Cut]
    "In the order of the text."
    names: frozenset[str]
    "Every name in the text, whatever it names, in lower case."
    end: int
    "Where the last clause ends in the text."
    looks_for_elements: bool
    "Whether IN is used: Memgraph treats `x IN name` otherwise than `x IN name[0]`."
