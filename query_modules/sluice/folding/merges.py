"""
A text into what it merges: the vertices and relationships that it creates unless it finds them.

Those are what MERGE names, and what OPTIONAL MATCH looks for in a text that creates something. A plain MATCH is not one
of them: where it finds nothing, nothing is created.

Where a text is understood only in part, it merges whatever has a label that it names; where it is not understood at
all, everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError
from sluice.folding.access_reader import access_of
from sluice.folding.expressions import Expression, Form
from sluice.folding.parser import parse
from sluice.folding.query import (
    Assignment,
    Create,
    Edge,
    Loop,
    Match,
    Merge,
    Node,
    Pattern,
    Query,
    Set,
    Unwind,
    With,
)
from sluice.folding.token_stream import NotUnderstood
from sluice.values.merge_keys import ANY_LABEL, MergeShape

MAX_MERGED = 32
"Vertices and relationships that one text merges; one that merges more counts as not understood."


class ValueSource(NamedTuple):
    """Where a value comes from."""

    chain: tuple[ValueSource, ...]
    "The lists that UNWIND or FOREACH goes through to get to it, the outermost first; empty: none."
    path: tuple[str, ...]
    """
    The keys that lead to the value: from the parameters where there is no list, else from an element of the innermost;
    empty without a list: a constant.
    """
    constant: Value = None


class Merged(NamedTuple):
    """One vertex or relationship that a text merges, or many of the same shape."""

    shape: MergeShape
    chain: tuple[ValueSource, ...]
    "The lists whose elements have the values."
    values: tuple[ValueSource, ...]
    "Where the value of each of `shape.known` comes from, in the order of their names."


class Merges(NamedTuple):
    """All that a text merges."""

    merged: tuple[Merged, ...]
    everything: bool = False


ALL = Merges((), everything=True)
NONE = Merges(())


def merges_of(text: str) -> Merges:
    """What the queries of this text merge."""
    try:
        query = parse(text)
        access_of(query)  # raises if it makes no sense
        found = tuple(_Reader(query).merged())
    except NotUnderstood:
        return _by_labels(text)
    return Merges(found) if len(found) <= MAX_MERGED else ALL


def may_merge(text: str) -> bool:
    """Whether the text has any of the words without which nothing is merged; quick, and never wrongly False."""
    words = text.upper()
    return "MERGE" in words or "CALL" in words or ("CREATE" in words and "MATCH" in words)


@dataclass(slots=True)
class _Element:
    """What a text says of a variable's vertex or relationship."""

    labels: set[str] = field(default_factory=set)
    properties: dict[str, Expression] = field(default_factory=dict)
    "What it is looked for by."
    is_new: bool = False
    "Whether CREATE makes it, so that nobody else can know it."
    is_merged: bool = False
    "Whether it is created unless it is found: conditions that come later are none of what it is looked for by."
    gained_labels: set[str] = field(default_factory=set)
    gains: set[str] = field(default_factory=set)
    gains_any: bool = False
    changed: set[str] = field(default_factory=set)
    "Properties that do not keep the value that they were looked for by."


class _Reader:
    """Goes through the clauses of one query."""

    def __init__(self, query: Query) -> None:
        self._elements: dict[str, _Element] = {}
        self._lists: dict[str, tuple[ValueSource, ...]] = {}
        "Variables of UNWIND and FOREACH -> the lists that lead to them."
        self._aliases: dict[str, ValueSource] = {}
        "Names that WITH gives to values."
        self._merged: list[tuple[Pattern, list[Node | Edge]]] = []
        "Patterns, and what is created unless it is found."
        self._optional: list[tuple[Pattern, list[Node | Edge]]] = []
        creates = False
        for clause in query.clauses:
            creates |= isinstance(clause, Create)
            self._read(clause)
        if creates:
            self._merged += self._optional

    def merged(self) -> Iterator[Merged]:
        """What the query merges. Raises NotUnderstood."""
        for pattern, elements in self._merged:
            for element in elements:
                if isinstance(element, Edge):
                    yield from self._edge(element)
                elif not pattern.edges:
                    yield self._vertex(element)

    def _read(self, clause: object) -> None:
        if isinstance(clause, (Unwind, Loop)):
            source = self._source(clause.list)
            if source is not None:
                self._lists[clause.variable] = (*source.chain, source)
        elif isinstance(clause, With):
            sources = {name: self._source(value) for name, value in clause.values.items()}
            self._aliases |= {name: source for name, source in sources.items() if source is not None}
            self._where(clause.conditions, self._elements)
        elif isinstance(clause, Match):
            self._match(clause)
        elif isinstance(clause, Create):
            for pattern in clause.patterns:
                for element in self._new(pattern):
                    self._elements[element.variable].is_new = True
        elif isinstance(clause, Merge):
            new = self._new(clause.pattern)
            for element in new:
                self._elements[element.variable].is_merged = True
            self._merged.append((clause.pattern, new))
            self._assign(clause.actions)
        elif isinstance(clause, Set):
            self._assign(clause.items)

    def _match(self, clause: Match) -> None:
        found: dict[str, _Element] = {}
        for pattern in clause.patterns:
            new = self._new(pattern)
            found |= {element.variable: self._elements[element.variable] for element in new}
            for node in pattern.nodes:
                known = self._elements[node.variable]
                if not known.is_merged and (not clause.is_optional or node.variable in found):
                    self._describe(node)
            if clause.is_optional:
                self._optional.append((pattern, new))
        # The conditions of an OPTIONAL MATCH keep no row away, so they say nothing of what was there before.
        self._where(clause.conditions, found if clause.is_optional else self._elements)
        if clause.is_optional:
            for element in found.values():
                element.is_merged = element.gains_any = True

    def _new(self, pattern: Pattern) -> list[Node | Edge]:
        """The vertices and relationships that the pattern is the first to name."""
        new = []
        for element in pattern.elements:
            if element.variable not in self._elements:
                self._elements[element.variable] = _Element()
                self._describe(element)
                new.append(element)
        return new

    def _describe(self, element: Node | Edge) -> None:
        known = self._elements[element.variable]
        known.labels |= set(element.labels if isinstance(element, Node) else element.types)
        for name, value in element.properties.items():
            known.properties.setdefault(name, value)

    def _where(self, conditions: Iterable[Expression], elements: Mapping[str, _Element]) -> None:
        elements = {name: element for name, element in elements.items() if not element.is_merged}
        for condition in conditions:
            if condition.form is Form.LABELS and condition.name in elements:
                elements[condition.name].labels |= set(condition.labels)
            for one, other in condition.equations:
                if one.name in elements:
                    elements[one.name].properties.setdefault(one.property, other)

    def _assign(self, items: Iterable[Assignment]) -> None:
        for item in items:
            element = self._elements[item.variable]
            if item.labels:
                element.gained_labels |= set(item.labels)
            elif item.property:
                self._set(element, item.property, item.value)
            elif item.value is not None and item.value.form is Form.MAP:
                for name, value in item.value.entries.items():
                    self._set(element, name, value)
            else:
                element.gains_any = True

    def _set(self, element: _Element, name: str, value: Expression | None) -> None:
        element.gains.add(name)
        if name in element.properties and value != element.properties[name]:
            element.changed.add(name)

    def _source(self, value: Expression) -> ValueSource | None:
        """Where the value comes from; None: that is not known."""
        if value.form is Form.KEY and value.key is not None:
            return ValueSource((), value.key.path, value.key.constant)
        if value.form not in (Form.NAME, Form.PROPERTY):
            return None
        step = (value.property,) if value.form is Form.PROPERTY else ()
        if value.name in self._lists:
            return ValueSource(self._lists[value.name], step)
        alias = self._aliases.get(value.name)
        if alias is None or (step and not alias.chain and not alias.path):
            return None
        return ValueSource(alias.chain, (*alias.path, *step), alias.constant)

    def _vertex(self, node: Node) -> Merged:
        element = self._elements[node.variable]
        shape = MergeShape(
            is_edge=False,
            labels=frozenset(element.labels | element.gained_labels | (set() if element.labels else {ANY_LABEL})),
            names=frozenset(element.properties),
            known=frozenset(),
            gains=None if element.gains_any else frozenset(element.gains),
            required=frozenset(element.labels),
        )
        return _merged(shape, self._values(element))

    def _edge(self, edge: Edge) -> Iterator[Merged]:
        element, ends = self._elements[edge.variable], (self._elements[edge.source], self._elements[edge.target])
        if any(end.is_new for end in ends):
            return
        if not element.labels:
            raise NotUnderstood("it looks for relationships of any type")
        for source, target in [ends] if edge.directed else [ends, ends[::-1]]:
            parts = {"": element, "<": source, ">": target}
            names = {mark + name for mark, part in parts.items() for name in part.properties}
            shape = MergeShape(True, frozenset(element.labels), frozenset(names), frozenset(), None)
            values = {mark + name: value for mark, part in parts.items() for name, value in self._values(part).items()}
            yield _merged(shape, values)

    def _values(self, element: _Element) -> dict[str, ValueSource]:
        """The properties whose values can be found out, and where."""
        found = {name: self._source(value) for name, value in element.properties.items() if name not in element.changed}
        return {name: source for name, source in found.items() if source is not None}


def _merged(shape: MergeShape, values: Mapping[str, ValueSource]) -> Merged:
    """The shape with those of the values that can be looked up together: all on the way to the innermost list."""
    chain = max((source.chain for source in values.values()), key=len, default=())
    together = {name: source for name, source in values.items() if chain[: len(source.chain)] == source.chain}
    known = sorted(together)
    return Merged(shape._replace(known=frozenset(known)), chain, tuple(together[name] for name in known))


def _by_labels(text: str) -> Merges:
    """What a text merges that is not understood: all of the labels and types that it names."""
    try:
        found = list(takewhile(lambda token: token.kind is not Kind.END, tokens(text)))
    except ClauseError:
        return ALL if may_merge(text) else NONE
    words = {token.text.upper() for token in found if token.kind is Kind.NAME}
    if "CALL" in words:
        return ALL  # a procedure may merge what its arguments say
    if "MERGE" not in words and not {"CREATE", "MATCH"} <= words:
        return NONE
    labels = _labels(found)
    if labels is None:
        return ALL
    vertices = MergeShape(False, labels | {ANY_LABEL}, frozenset(), frozenset(), None)
    relationships = MergeShape(True, labels, frozenset(), frozenset(), None)
    return Merges((Merged(vertices, (), ()), Merged(relationships, (), ())))


def _labels(found: list[Token]) -> frozenset[str] | None:
    """All names that may be labels or types; None: some are computed."""
    labels = set()
    brackets = []
    for token, following in zip(found, [*found[1:], None], strict=True):
        if token.kind is not Kind.SYMBOL:
            continue
        if token.text in "([{":
            brackets.append(token.text)
        elif token.text in ")]}" and brackets:
            brackets.pop()
        elif token.text in ":|" and following is not None:
            if following.kind in (Kind.NAME, Kind.QUOTED_NAME):
                labels.add(following.value)
            elif token.text == ":" and brackets[-1:] != ["{"]:
                return None
    return frozenset(labels)
