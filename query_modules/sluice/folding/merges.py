"""
A text into what it merges: the vertices and relationships that it creates unless it finds them.

Those are what MERGE names, and what OPTIONAL MATCH looks for in a text that creates something. What a plain MATCH looks
for is not among them: if it finds nothing, nothing is created.

A text that is understood only in part merges everything that has a label it names; one that is not understood at all
merges everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import NamedTuple

from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError
from sluice.folding.access import Access, Element, Origin
from sluice.folding.access_reader import access_of
from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.parser import parse
from sluice.folding.query import Assignment, Clause, Create, Edge, Match, Merge, Query, Set, patterns_of
from sluice.folding.token_stream import NotUnderstood
from sluice.values.merge_keys import ANY_LABEL, MergeShape

MAX_MERGED = 32
"Vertices and relationships that one text merges; one that merges more counts as not understood."


class Merged(NamedTuple):
    """One vertex or relationship that a text merges, or many of the same shape."""

    shape: MergeShape
    lists: tuple[Key, ...]
    "The lists whose elements have the values, the outermost first."
    values: tuple[Key, ...]
    "The value of each of `shape.known`, in the order of their names."


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
        found = tuple(_merged(query, access_of(query)))
    except NotUnderstood:
        return _by_labels(text)
    return Merges(found) if len(found) <= MAX_MERGED else ALL


def may_merge(text: str) -> bool:
    """Whether the text has any of the words without which nothing is merged; quick, and never wrongly False."""
    words = text.upper()
    return "MERGE" in words or "CALL" in words or ("CREATE" in words and "MATCH" in words)


class _Sought(NamedTuple):
    """What the clause that creates a vertex or a relationship, unless it finds it, looks for."""

    labels: frozenset[str]
    properties: Mapping[str, Expression]
    is_alone: bool
    "Whether the first pattern that names it is a vertex."
    is_optional: bool


def _merged(query: Query, access: Access) -> Iterator[Merged]:
    """What the query merges, vertices and relationships in the order of its clauses."""
    sought = {
        variable: found
        for number, clause in enumerate(query.clauses)
        if isinstance(clause, Merge) or (isinstance(clause, Match) and clause.is_optional)
        for variable, found in _sought(clause)
        if access.elements[variable].clause == number
    }
    creates = any(isinstance(clause, Create) for clause in query.clauses)
    assignments = list(assignments_of(query))
    values = {name: values_of(access.elements[name], sought.get(name), assignments) for name in access.elements}
    for variable, found in sought.items():
        element = access.elements[variable]
        if found.is_optional and not creates:
            continue
        if found.is_alone:
            yield _vertex(variable, found, values[variable], assignments)
        elif element.is_edge and all(access.elements[end].origin is not Origin.CREATED for end in element.ends or ()):
            yield from _edges(element, found, values)


def _sought(clause: Clause) -> Iterator[tuple[str, _Sought]]:
    """The variables of a clause, and what it looks for."""
    conditions = clause.conditions if isinstance(clause, Match) else []
    places = [(pattern, item) for pattern in patterns_of(clause) for item in pattern.elements]
    for variable in dict.fromkeys(item.variable for _, item in places):
        mine = [(pattern, item) for pattern, item in places if item.variable == variable]
        labels = {name for _, item in mine for name in (item.types if isinstance(item, Edge) else item.labels)}
        labels.update(*(one.labels for one in conditions if one.form is Form.LABELS and one.name == variable))
        equations = [pair for condition in conditions for pair in condition.equations if pair[0].name == variable]
        properties = {one.property: other for one, other in reversed(equations)}
        for _, item in reversed(mine):
            properties |= item.properties
        yield variable, _Sought(frozenset(labels), properties, not mine[0][0].edges, isinstance(clause, Match))


def assignments_of(query: Query) -> Iterator[Assignment]:
    """What SET and REMOVE do, map literals taken apart."""
    for clause in query.clauses:
        items = clause.items if isinstance(clause, Set) else clause.actions if isinstance(clause, Merge) else []
        for item in items:
            if item.value is not None and item.value.form is Form.MAP and not item.property:
                yield from (Assignment(item.variable, name, value=value) for name, value in item.value.entries.items())
            else:
                yield item


def values_of(element: Element, sought: _Sought | None, assignments: list[Assignment]) -> Mapping[str, Key | None]:
    """The properties by which a vertex or a relationship is looked for, and their values; None: not known."""
    values = {name: element.properties.get(name) for name in (sought.properties if sought else element.properties)}
    for item in assignments:
        name, value = item.property, item.value
        if item.variable == element.variable and values.get(name) is not None:
            is_same = value is not None and (value.key == values[name] or (sought and value == sought.properties[name]))
            values[name] = values[name] if is_same else None
    return values


def _vertex(variable: str, sought: _Sought, values: Mapping[str, Key | None], assignments: list[Assignment]) -> Merged:
    mine = [item for item in assignments if item.variable == variable]
    gains_any = sought.is_optional or any(not item.property and not item.labels for item in mine)
    gained = {label for item in mine for label in item.labels}
    shape = MergeShape(
        is_edge=False,
        labels=sought.labels | gained | (frozenset() if sought.labels else {ANY_LABEL}),
        names=frozenset(values),
        known=frozenset(),
        gains=None if gains_any else frozenset(item.property for item in mine if item.property),
        required=sought.labels,
    )
    return together(shape, values)


def _edges(element: Element, sought: _Sought, values: Mapping[str, Mapping[str, Key | None]]) -> Iterator[Merged]:
    if not sought.labels:
        raise NotUnderstood("it looks for relationships of any type")
    for found in at_ends(element, values):
        yield together(MergeShape(True, sought.labels, frozenset(found), frozenset(), None), found)


def at_ends(element: Element, values: Mapping[str, Mapping[str, Key | None]]) -> Iterator[Mapping[str, Key | None]]:
    """
    The values of a vertex; or those of a relationship and of its ends (`<` and `>`), in both directions if it has none.
    """
    ends = element.ends
    if ends is None:
        yield values[element.variable]
        return
    for source, target in [ends] if element.directed else [ends, ends[::-1]]:
        marked = {"": element.variable, "<": source, ">": target}
        yield {mark + name: value for mark, one in marked.items() for name, value in values[one].items()}


def together(shape: MergeShape, values: Mapping[str, Key | None]) -> Merged:
    """The shape with those of the values that can be looked up together: all on the way to the innermost list."""
    known = {name: key for name, key in values.items() if key is not None}
    lists = max((key.lists for key in known.values()), key=len, default=())
    names = sorted(name for name, key in known.items() if lists[: len(key.lists)] == key.lists)
    return Merged(shape._replace(known=frozenset(names)), lists, tuple(known[name] for name in names))


def _by_labels(text: str) -> Merges:
    """What a text merges that is not understood: everything with the labels and types that it names."""
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
