"""Vertices as `mgp` gives them to a procedure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

Vertex = Any
"`mgp.Vertex`: outside a server there is no `mgp` to take the type from."


def new_vertex(graph: Any, label: str, properties: Mapping[str, Any]) -> Vertex:
    """Makes a vertex. `graph`: `mgp.Graph`."""
    vertex = graph.create_vertex()
    vertex.add_label(label)
    for name, value in properties.items():
        vertex.properties.set(name, value)
    return vertex


def connect(graph: Any, start: Vertex, end: Vertex, kind: str) -> None:
    """Makes a relationship."""
    graph.create_edge(start, end, sys.modules["mgp"].EdgeType(kind))


def properties_of(vertex: Vertex) -> dict[str, Any]:
    """All of a vertex's properties."""
    return {item.name: item.value for item in vertex.properties.items()}


def ends(vertex: Vertex, kind: str) -> Iterator[Vertex]:
    """Where a vertex's relationships of one type lead."""
    return (edge.to_vertex for edge in vertex.out_edges if edge.type.name == kind)


def text_of(value: Any) -> str:
    """A property's value as text, whatever somebody has written there; empty if it is not there."""
    return "" if value is None else str(value)


def has_label(vertex: Vertex, label: str) -> bool:
    """Whether a vertex has a label."""
    return any(candidate.name == label for candidate in vertex.labels)
