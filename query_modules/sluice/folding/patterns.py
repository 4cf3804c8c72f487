"""Text into patterns: `(a:Label {name: value})-[:TYPE]->(b)`."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.cypher.lexer import Kind
from sluice.folding.expression_parser import labels, map_literal
from sluice.folding.expressions import Expression
from sluice.folding.query import Edge, MapParameter, Node, Pattern
from sluice.folding.token_stream import NotUnderstood, TokenStream
from sluice.folding.words import RESERVED


def pattern(source: TokenStream) -> Pattern:
    """Take a pattern. Every vertex and edge gets a variable."""
    nodes, edges = [_node(source)], []
    while source.at("-") or source.at("<"):
        edge, points_left = _edge(source)
        nodes.append(_node(source))
        ends = [node.variable for node in nodes[-2:]]
        edge.source, edge.target = reversed(ends) if points_left else ends
        edges.append(edge)
    return Pattern(nodes, edges)


def _node(source: TokenStream) -> Node:
    opening = source.token.start
    source.expect("(")
    node = Node(_variable(source, opening), labels(source), *_properties(source))
    source.expect(")")
    return node


def _edge(source: TokenStream) -> tuple[Edge, bool]:
    """Take an edge, without its ends, and whether it points to the left."""
    to_left = source.accept("<")
    source.expect("-")
    edge = Edge(f"@{source.token.start}", "", "", directed=True)
    if source.accept("["):
        edge.variable, edge.types = _variable(source, int(edge.variable[1:])), _types(source)
        edge.properties, edge.map = _properties(source)
        if source.at("*"):
            raise NotUnderstood("it has a path of variable length")
        source.expect("]")
    elif not source.at("-"):
        raise source.unexpected("an edge")
    source.expect("-")
    edge.directed = source.accept(">") != to_left
    return edge, to_left and edge.directed


def _types(source: TokenStream) -> tuple[str, ...]:
    types = []
    if source.accept(":"):
        types.append(source.name())
        while source.accept("|"):
            source.accept(":")
            types.append(source.name())
    return tuple(types)


def _variable(source: TokenStream, opening: int) -> str:
    """Take a variable. If there is none: one that no text can have, which tells the bracket that it belongs after."""
    if source.token.kind in (Kind.NAME, Kind.QUOTED_NAME):
        return source.name(RESERVED)
    return f"@{opening}"


def _properties(source: TokenStream) -> tuple[Mapping[str, Expression], MapParameter | None]:
    token = source.token
    if token.kind is Kind.PARAMETER:
        source.take()
        return {}, MapParameter(token.value, token.start, source.previous_end)
    return (map_literal(source) if source.at("{") else {}), None
