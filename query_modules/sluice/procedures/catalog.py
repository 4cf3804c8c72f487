"""
All streams as a procedure sees them: in the caller's transaction, including its uncommitted changes.

Catalog nodes are found at remembered ids, streams over their relationships: O(streams). The whole graph is scanned only
if no remembered id is right, before the supervisor's first check, since `mgp` has no other way to find a vertex.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sluice.errors import ConflictError, StreamNotFound
from sluice.persistence import nodes
from sluice.persistence.names import distinct_names
from sluice.persistence.schema import SCHEMA_VERSION, check_version
from sluice.procedures.stream_node import StreamNode, add_checkpoints
from sluice.procedures.vertices import Vertex, connect, ends, has_label, new_vertex, text_of
from sluice.supervising.shared_state import SharedState
from sluice.values.failed_message import now
from sluice.values.model import Checkpoint, StreamSpec, VertexId

Graph = Any
"`mgp.Graph`: outside a server there is no `mgp` to take the type from."

FIRST_STREAM = (
    "another transaction is creating the first stream of this graph, or did so after this one began; nothing was "
    "changed, try again"
)


class Catalog:
    """All streams, in one transaction. The constructor raises SchemaError if the nodes have another schema version."""

    def __init__(self, graph: Graph, shared: SharedState) -> None:
        self.graph = graph
        self._shared = shared
        self._claimed = False
        self._made: VertexId | None = None
        "The catalog that this call has created."
        self._vertices = list(self._remembered()) or list(self._walked())
        self._vertices.sort(key=lambda vertex: int(vertex.id))
        if not self._vertices:
            shared.want_catalog()
        for vertex in self._vertices:
            check_version(vertex.properties.get("schema_version"), vertex.id)

    def streams(self) -> list[StreamNode]:
        """All streams, ordered by name."""
        found = {
            VertexId(vertex.id): vertex
            for catalog in self._vertices
            for vertex in ends(catalog, nodes.HAS_STREAM)
            if has_label(vertex, nodes.STREAM)
        }
        installation = self._shared.host.installation
        names = distinct_names({stream: text_of(vertex.properties.get("name")) for stream, vertex in found.items()})
        return sorted(
            (StreamNode(found[stream], names[stream], installation) for stream in found), key=lambda stream: stream.name
        )

    def find(self, name: str) -> StreamNode:
        """The stream of that name. Raises StreamNotFound: there is none."""
        stream = self.get(name)
        if stream is None:
            raise StreamNotFound(f"Kafka stream {name}, stream not found")
        return stream

    def get(self, name: str) -> StreamNode | None:
        """The stream of that name; None if there is none."""
        return next((stream for stream in self.streams() if stream.name == name), None)

    def add(self, spec: StreamSpec, checkpoints: Sequence[Checkpoint]) -> None:
        """Writes the nodes of a new, stopped stream whose lanes begin there. Raises as `claim`."""
        self.claim()
        stream = new_vertex(
            self.graph,
            nodes.STREAM,
            {**nodes.spec_properties(spec), "running": False, "generation": 0, "changed_at": now()},
        )
        add_checkpoints(self.graph, stream, checkpoints)
        connect(self.graph, self._vertices[0], stream, nodes.HAS_STREAM)

    def remove(self, stream: StreamNode) -> None:
        """
        Takes a stream out of the catalog.

        Its nodes stay, marked as dropped, until its worker has ended: deleting the checkpoint here would conflict with
        the batch in flight.
        """
        self.claim()
        for edge in stream.vertex.in_edges:
            if edge.type.name == nodes.HAS_STREAM and has_label(edge.from_vertex, nodes.CATALOG):
                self.graph.delete_edge(edge)
        stream.set(dropped=True, running=False)
        self._shared.announce_dropped(stream.id)

    def claim(self) -> None:
        """
        Makes this transaction conflict with every other that adds or removes a stream, at once: before any relationship
        of a catalog is changed, since Memgraph 3 lets two transactions add relationships to one vertex.

        Raises:
            mgp.SerializationError: another transaction does so, or did since this one began.
            ConflictError: the same, and the other one creates, or created, the catalog.
        """
        if self._claimed:
            return
        for catalog in self._vertices:
            revision = catalog.properties.get(nodes.REVISION)
            catalog.properties.set(nodes.REVISION, revision + 1 if isinstance(revision, int) else 1)
        if not self._vertices:
            self._make()
        self._claimed = True

    def give_up(self) -> None:
        """To be called if the procedure fails: its transaction, and a catalog made in it, will never be committed."""
        if self._made is not None:
            self._shared.forget_catalog(self._made)

    def _remembered(self) -> Iterator[Vertex]:
        for catalog in self._shared.catalogs():
            try:
                vertex = self.graph.get_vertex_by_id(catalog)
            except IndexError:
                continue  # deleted, or created by another transaction that is not committed
            if has_label(vertex, nodes.CATALOG):
                yield vertex

    def _walked(self) -> Iterator[Vertex]:
        if self._shared.no_catalog:
            return  # the supervisor has checked, and is signalled to check again
        for vertex in self.graph.vertices:
            if has_label(vertex, nodes.CATALOG):
                self._shared.announce_catalog(VertexId(vertex.id))
                yield vertex

    def _make(self) -> None:
        vertex = new_vertex(self.graph, nodes.CATALOG, {"schema_version": SCHEMA_VERSION, nodes.REVISION: 1})
        # Two transactions that each create a catalog have no vertex in common on which they could conflict.
        if not self._shared.begin_catalog(VertexId(vertex.id)):
            raise ConflictError(FIRST_STREAM)
        self._made = VertexId(vertex.id)
        self._vertices.append(vertex)
