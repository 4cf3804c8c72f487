"""Patterns: `(a:Label {name: value})-[:TYPE]->(b)`, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.cypher.lexer import Kind
from sluice.folding.expressions import Expression, labels, map_literal
from sluice.folding.query import Edge, MapParameter, Node, Pattern
from sluice.folding.source import NotUnderstood, Source
from sluice.folding.words import RESERVED


class Patterns:
    """Takes the patterns of one text; gives every vertex and edge a variable."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def pattern(self) -> Pattern:
        """Take a pattern."""
        nodes, edges = [self._node()], []
        while self._source.is_symbol("-") or self._source.is_symbol("<"):
            edge = self._edge()
            nodes.append(self._node())
            left, right = nodes[-2].variable, nodes[-1].variable
            edge.source, edge.target = (right, left) if edge.source == "right" else (left, right)
            edges.append(edge)
        return Pattern(nodes, edges)

    def _node(self) -> Node:
        source = self._source
        opening = source.token.start
        source.expect("(")
        node = Node(self._variable(), labels(source))
        if not node.variable:
            node.variable = self._new_variable(opening)
        node.properties, node.map = self._properties()
        source.expect(")")
        return node

    def _edge(self) -> Edge:
        """Take an edge; its source says only which of its sides that is."""
        source = self._source
        to_left = source.accept_symbol("<")
        source.expect("-")
        edge = Edge("", "left", "", directed=True)
        opening = source.token.start
        if source.accept_symbol("["):
            edge.variable, edge.types = self._variable(), self._types()
            edge.properties, edge.map = self._properties()
            if source.is_symbol("*"):
                raise NotUnderstood("it has a path of variable length")
            source.expect("]")
        elif not source.is_symbol("-"):
            raise source.unexpected("an edge")
        edge.variable = edge.variable or self._new_variable(opening)
        source.expect("-")
        to_right = source.accept_symbol(">")
        edge.directed = to_left != to_right
        edge.source = "right" if to_left and edge.directed else "left"
        return edge

    def _types(self) -> tuple[str, ...]:
        source, types = self._source, []
        if source.accept_symbol(":"):
            types.append(source.name())
            while source.accept_symbol("|"):
                source.accept_symbol(":")
                types.append(source.name())
        return tuple(types)

    def _variable(self) -> str:
        if self._source.token.kind in (Kind.NAME, Kind.QUOTED_NAME):
            return self._source.name(RESERVED)
        return ""

    def _properties(self) -> tuple[Mapping[str, Expression], MapParameter | None]:
        token = self._source.token
        if token.kind is Kind.PARAMETER:
            self._source.take()
            return {}, MapParameter(token.value, token.start, self._source.previous_end)
        return (map_literal(self._source) if self._source.is_symbol("{") else {}), None

    def _new_variable(self, opening: int) -> str:
        """A variable that no text can have. It marks the bracket that it belongs after."""
        return f"@{opening}"
