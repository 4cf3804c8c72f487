"""Whether two graphs are the same but for the ids of their vertices and edges."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any, NamedTuple


class Graph(NamedTuple):
    """What a database holds."""

    vertices: list[tuple[int, list[str], dict[str, Any]]]
    "Id, labels, properties. Those at the ends of edges may be left out."
    edges: list[tuple[int, int, str, dict[str, Any]]]
    "Ids of source and target, type, properties."


def form(graph: Graph) -> tuple[Any, ...]:
    """
    The same for graphs that differ in nothing but ids.

    Vertices are told apart by their labels and properties, then by their neighbours', and so on. Graphs that this
    cannot tell apart (rings of vertices without a difference) do not come out of a wrong order of queries.
    """
    colours = {end: "" for source, target, _, _ in graph.edges for end in (source, target)}
    colours |= {vertex: _shown(sorted(labels), properties) for vertex, labels, properties in graph.vertices}
    for _ in range(len(colours)):
        around: dict[int, list[str]] = {vertex: [] for vertex in colours}
        for source, target, kind, properties in graph.edges:
            edge = _shown(kind, properties)
            around[source].append(f">{edge}{colours[target]}")
            around[target].append(f"<{edge}{colours[source]}")
        renewed = {vertex: _digest(colour, around[vertex]) for vertex, colour in colours.items()}
        is_stable = len(set(renewed.values())) == len(set(colours.values()))
        colours = renewed
        if is_stable:
            break
    edges = Counter((colours[one], colours[other], _shown(kind, values)) for one, other, kind, values in graph.edges)
    return tuple(sorted(colours.values())), tuple(sorted(edges.items()))


def _shown(name: object, properties: dict[str, Any]) -> str:
    return repr((name, sorted(properties.items())))


def _digest(colour: str, around: list[str]) -> str:
    return blake2b(repr((colour, sorted(around))).encode(), digest_size=16).hexdigest()
