"""
The graph as a procedure sees it: each operation is a query in the caller's transaction.

A vertex that a procedure makes is written only when something asks for more than its labels and properties, at the
latest at the end of the call: ArcadeDB moves a vertex, and so gives it another id, when it gets another label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sandbox import native
from sandbox.upstream import Refused, Result
from sluice.bolt.values import Value

Ask = Callable[[str, Mapping[str, Value]], Result]
"Runs a query in the caller's transaction; raises Refused."


class Claim(Protocol):
    """What has to be asked before a vertex is changed."""

    def __call__(self, vertex_id: int, *, adds_edge: bool = False) -> None:
        """As `Claims.claim`; raises SerializationError."""


@dataclass(eq=False)
class VertexState:
    """A vertex. All handles that a call has of one vertex share its state."""

    id: int | None = None
    "None: made in this call and not written yet."
    labels: list[str] = field(default_factory=list)
    properties: dict[str, Value] | None = None
    "None: not read yet."
    deleted: bool = False


@dataclass(eq=False)
class EdgeState:
    """An edge."""

    id: int
    type: str
    start: VertexState
    end: VertexState
    properties: dict[str, Value]
    deleted: bool = False


class GraphView:
    """
    The graph for the length of one procedure call.

    Threads: for the thread that calls the procedure.
    """

    def __init__(self, ask: Ask, claim: Claim, *, mutable: bool) -> None:
        self.mutable = mutable
        self.valid = True
        "Until the call returns."
        self._ask_graph = ask
        self._claim = claim
        self._known: dict[int, VertexState] = {}
        self._unwritten: list[VertexState] = []

    def vertex(self, vertex_id: int) -> VertexState | None:
        """The vertex of that id, if there is one."""
        if vertex_id not in self._known:
            query = "MATCH (n) WHERE id(n) = $id RETURN labels(n), properties(n)"
            for labels, properties in self._ask(query, id=vertex_id):
                self._known[vertex_id] = VertexState(vertex_id, labels, properties)
        state = self._known.get(vertex_id)
        return None if state is None or state.deleted else state

    def vertices(self) -> Iterator[VertexState]:
        """All vertices there are."""
        self.flush()
        for vertex_id, labels in self._ask("MATCH (n) RETURN id(n), labels(n)"):
            yield self._known.setdefault(vertex_id, VertexState(vertex_id, labels))

    def edges(self, vertex: VertexState, *, outgoing: bool) -> list[EdgeState]:
        """The edges that leave, or reach, a vertex."""
        vertex_id = self.id_of(vertex)
        pattern = "(n)-[r]->(m)" if outgoing else "(n)<-[r]-(m)"
        # With the vertices at the other ends, which is what edges are followed for.
        query = (
            f"MATCH {pattern} WHERE id(n) = $id RETURN id(r), type(r), properties(r), id(m), labels(m), properties(m)"
        )
        edges = []
        for edge_id, kind, properties, other_id, labels, other_properties in self._ask(query, id=vertex_id):
            other = self._known.setdefault(other_id, VertexState(other_id, labels, other_properties))
            start, end = (vertex, other) if outgoing else (other, vertex)
            edges.append(EdgeState(edge_id, kind, start, end, properties))
        return edges

    def properties(self, vertex: VertexState) -> dict[str, Value]:
        """A vertex's properties; not to be changed."""
        if vertex.properties is None:
            query = "MATCH (n) WHERE id(n) = $id RETURN properties(n)"
            ((vertex.properties,),) = self._ask(query, id=vertex.id) or [[{}]]
        assert vertex.properties is not None
        return vertex.properties

    def id_of(self, vertex: VertexState) -> int:
        """A vertex's id; writes the vertex if it is new."""
        if vertex.id is None:
            labels = "".join(f":{_quoted(label)}" for label in vertex.labels)
            query = f"CREATE (n{labels}) SET n += $properties RETURN id(n)"
            ((vertex.id,),) = self._ask(query, properties=vertex.properties)
            self._known[vertex.id] = vertex
        return vertex.id

    def create_vertex(self) -> VertexState:
        """A new vertex."""
        vertex = VertexState(properties={})
        self._unwritten.append(vertex)
        return vertex

    def set_property(self, thing: VertexState | EdgeState, name: str, value: Value) -> None:
        """Write a property; None removes it."""
        if isinstance(thing, EdgeState):
            query = "MATCH (n)-[r]->() WHERE id(n) = $start AND id(r) = $id SET r += $change"
            self._ask(query, start=self.id_of(thing.start), id=thing.id, change={name: value})
        elif thing.id is not None:
            query = "MATCH (n) WHERE id(n) = $id SET n += $change"
            self._ask(query, id=self._claimed(thing), change={name: value})
        properties = thing.properties if isinstance(thing, EdgeState) else self.properties(thing)
        assert properties is not None
        properties.pop(name, None)
        if value is not None:
            properties[name] = value

    def set_label(self, vertex: VertexState, label: str, *, present: bool) -> None:
        """Give a vertex a label, or take one away. A vertex that is written already gets another id."""
        if (label in vertex.labels) == present:
            return
        if vertex.id is not None:
            verb = "SET" if present else "REMOVE"
            query = f"MATCH (n) WHERE id(n) = $id {verb} n:{_quoted(label)} RETURN id(n)"
            ((new_id,),) = self._ask(query, id=self._claimed(vertex))
            del self._known[vertex.id]
            vertex.id = new_id
            self._known[new_id] = vertex
        vertex.labels = [*vertex.labels, label] if present else [name for name in vertex.labels if name != label]

    def create_edge(self, start: VertexState, end: VertexState, kind: str) -> EdgeState:
        """A new edge."""
        query = (
            "MATCH (a) WHERE id(a) = $start MATCH (b) WHERE id(b) = $end "
            f"CREATE (a)-[r:{_quoted(kind)}]->(b) RETURN id(r)"
        )
        ((edge_id,),) = self._ask(
            query, start=self._claimed(start, adds_edge=True), end=self._claimed(end, adds_edge=True)
        )
        return EdgeState(edge_id, kind, start, end, {})

    def delete_edge(self, edge: EdgeState) -> None:
        """Take an edge out of the graph."""
        # By way of its vertex: ArcadeDB finds edges by their ids only by looking at all of them.
        query = "MATCH (a)-[r]->(b) WHERE id(a) = $start AND id(b) = $end AND id(r) = $id DELETE r"
        self._ask(query, start=self._claimed(edge.start), end=self._claimed(edge.end), id=edge.id)
        edge.deleted = True

    def delete_vertex(self, vertex: VertexState, *, detach: bool) -> None:
        """
        Take a vertex out of the graph, with its edges if `detach`.

        Raises:
            LogicErrorError: it has edges, and was not to be detached.
        """
        vertex_id = self._claimed(vertex)
        if not detach and self._ask("MATCH (n)--() WHERE id(n) = $id RETURN true LIMIT 1", id=vertex_id):
            raise native.LogicErrorError("Vertex has edges, detach it to delete it.")
        self._ask("MATCH (n) WHERE id(n) = $id DETACH DELETE n", id=vertex_id)
        vertex.deleted = True

    def flush(self) -> None:
        """Write what was made and not written yet."""
        while self._unwritten:
            vertex = self._unwritten.pop(0)
            if not vertex.deleted:
                self.id_of(vertex)

    def _claimed(self, vertex: VertexState, *, adds_edge: bool = False) -> int:
        """The id of a vertex that is to be changed. Raises SerializationError if somebody else changes it."""
        vertex_id = self.id_of(vertex)
        self._claim(vertex_id, adds_edge=adds_edge)
        return vertex_id

    def _ask(self, query: str, **parameters: Value) -> list[list[Value]]:
        try:
            return self._ask_graph(query, parameters).rows
        except Refused as error:
            if "TransientError" in error.code:
                raise native.SerializationError("Operation cannot be serialized.") from error
            raise native.UnknownError(str(error)) from error


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
