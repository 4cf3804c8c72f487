"""A query's text, taken apart: what `parser` makes, and `access` and the rewrites read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from sluice.cypher.lexer import Kind, Token
from sluice.folding.expressions import Expression
from sluice.folding.words import CLOCKS, RANDOM


@dataclass(slots=True)
class Node:
    """A vertex in a pattern."""

    variable: str
    "Its name; if it has none, one that no text can have: `@` and the offset of its bracket."
    labels: tuple[str, ...] = ()
    properties: Mapping[str, Expression] = field(default_factory=dict)
    map: Token | None = None
    "The parameter that stands for all properties."


@dataclass(slots=True)
class Edge:
    """An edge in a pattern, from `source` to `target` as the arrow points; left to right if it has no arrow."""

    variable: str
    source: str
    target: str
    directed: bool
    types: tuple[str, ...] = ()
    properties: Mapping[str, Expression] = field(default_factory=dict)
    map: Token | None = None


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

    One of: `property` gets `value`, or is removed if that is None; `labels` are set, or removed if `removes`; the
    properties of the map `value` are added to those of the variable, or take their place if `replaces`.
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
    """MATCH or OPTIONAL MATCH patterns WHERE all of the conditions hold."""

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
    """FOREACH (variable IN list | the following clauses, up to `LoopEnd`)."""

    list: Expression
    variable: str


@dataclass(slots=True)
class LoopEnd:
    """The end of the innermost FOREACH."""


@dataclass(slots=True)
class With:
    """WITH kept, value AS name WHERE conditions, without aggregation, order or limits."""

    kept: set[str] | None
    "The variables it hands on; None: all."
    values: dict[str, Expression]
    conditions: list[Expression]


Clause = Unwind | Match | Create | Merge | Set | Delete | Loop | LoopEnd | With


class Part(Enum):
    """What stands in the place of a cut once the text is folded."""

    NOTHING = auto()
    ROW = auto()
    "The row itself, so that the clauses after a WITH know it."
    VALUE = auto()
    "The value of the parameter, or of a property of it."
    OWNER = auto()
    "The same, with a property of that asked for right after it."
    MAP = auto()
    "The value, which is a map: all that a vertex or an edge gets here."


class Cut(NamedTuple):
    """A piece of the text, and what stands in its place once the text is folded."""

    start: int
    end: int
    part: Part = Part.NOTHING
    value: tuple[str, str] = ("", "")
    "The parameter, and the property of it; no property: the parameter's value itself."
    before: str = ""
    "Text in front of the value."


@dataclass(frozen=True, slots=True)
class Query:
    """A text that is understood."""

    text: str
    tokens: Sequence[Token]
    clauses: Sequence[Clause]
    cuts: Sequence[Cut]
    "In the order of the text."
    end: int
    "Where the last clause ends in the text."

    @property
    def names(self) -> frozenset[str]:
        """Every name in the text, whatever it names, in lower case."""
        return frozenset(token.value.lower() for token in self.tokens if token.kind in (Kind.NAME, Kind.QUOTED_NAME))

    @property
    def is_volatile(self) -> bool:
        """Whether it asks a clock or a random generator."""
        texts = [token.text for token in self.tokens]
        return any(
            following[:1] == ["("] and (word in RANDOM or (word in CLOCKS and following == ["(", ")"]))
            for number, word in enumerate(token.value.lower() for token in self.tokens)
            for following in [texts[number + 1 : number + 3]]
        )


def patterns_of(clause: Clause) -> Sequence[Pattern]:
    """The patterns that a clause looks for or makes."""
    if isinstance(clause, Match | Create):
        return clause.patterns
    return [clause.pattern] if isinstance(clause, Merge) else []
