"""
The metadata nodes as a procedure sees them: in the caller's transaction, including its uncommitted changes.

Catalog nodes are found at remembered ids, streams over their relationships: O(streams). The whole graph is scanned only
if no remembered id is right, before the supervisor's first check, since `mgp` has no other way to find a vertex.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from sluice.errors import ConflictError, SettingError, StreamNotFound, StreamRunning
from sluice.host.installation import Installation
from sluice.persistence import nodes
from sluice.persistence.schema import SCHEMA_VERSION, check_version
from sluice.supervising.shared_state import SharedState
from sluice.values.failed_message import now
from sluice.values.model import (
    Checkpoint,
    Status,
    StreamSpec,
    VertexId,
    effective_status,
    encode_positions,
)
from sluice.values.parked_message import ParkedMessage, message_of

Graph = Any
"`mgp.Graph`: outside a server there is no `mgp` to take the type from."

Vertex = Any

FIRST_STREAM = (
    "another transaction is creating the first stream of this graph, or did so after this one began; nothing was "
    "changed, try again"
)


class StreamNode:
    """A stream's metadata node, for as long as the procedure call lasts."""

    def __init__(self, vertex: Vertex, name: str, installation: Installation) -> None:
        """
        Args:
            name: what it is called: the node's `name`, unless another stream has the same (`nodes.distinct_names`).
            installation: of this server.
        """
        self._vertex = vertex
        self._installation = installation
        self.name = name

    @property
    def id(self) -> VertexId:
        """The vertex's id."""
        return VertexId(self._vertex.id)

    def get(self, name: str) -> Any:
        """A property, or None."""
        return self._vertex.properties.get(name)

    @property
    def next_generation(self) -> int:
        """The next run's generation: above those of all earlier runs, even if the numbers were reset by hand."""
        known = [self.get("generation")]
        for checkpoint in self._checkpoints():
            known += [checkpoint.properties.get(name) for name in ("generation", "ended_generation")]
        return 1 + max((number for number in known if isinstance(number, int)), default=0)

    def text(self, name: str) -> str:
        """A property as text, whatever somebody has written there; empty if it is not there."""
        return _text(self._vertex, name)

    @property
    def generation(self) -> int:
        """The number of STARTs; 0 if unknown, after an edit by hand."""
        try:
            return nodes.generation_of({"generation": self.get("generation")})
        except SettingError:
            return 0

    @property
    def uid(self) -> str:
        """Tells the stream from another of the same name."""
        return str(self.get("uid"))

    @property
    def status(self) -> Status:
        """The status that SHOW reports."""
        return effective_status(
            running=self._is_started and not self.is_copied, generation=self.generation, checkpoint=self.checkpoint()
        )

    @property
    def is_copied(self) -> bool:
        """Whether it was started by another server, from which its nodes were copied: it runs there."""
        return self._is_started and not self._installation.owns(self.get("installation"))

    @property
    def _is_started(self) -> bool:
        return bool(self.get("running"))

    @property
    def spec(self) -> StreamSpec:
        """What CREATE requested. Raises SettingError if the node was edited into something invalid."""
        return nodes.spec_of({name: self.get(name) for name in nodes.SPEC_PROPERTIES})

    @property
    def spec_without_config(self) -> StreamSpec:
        """The same with the default configuration, whatever the node holds. Raises as `spec`."""
        return nodes.spec_of({name: self.get(name) for name in nodes.SPEC_PROPERTIES if name != "config"})

    def check_stopped(self, what: str) -> None:
        """Raises StreamRunning if the stream runs; `what` says what cannot be done then."""
        if self.status is Status.RUNNING:
            remedy = f"has to be stopped before it can be {what}: STOP STREAM {self.name}"
            raise StreamRunning(f"Kafka stream {self.name} is running, and {remedy}")

    def checkpoint(self) -> Checkpoint:
        """How far the stream got. If that is unknown, because the node was edited or deleted, its `error` is set."""
        try:
            nodes.uid_of({"uid": self.get("uid")})
            nodes.generation_of({"generation": self.get("generation")})
            for checkpoint in self._checkpoints():
                return nodes.checkpoint_of({item.name: item.value for item in checkpoint.properties.items()})
        except SettingError as error:
            return self._lost(f"{error}; put it right and START it, or DROP it and CREATE it anew")
        return self._lost(f"{self._gone}: where it was is not known; DROP it and CREATE it anew")

    def move(self, positions: Mapping[int, int], topic_id: str) -> None:
        """
        Moves a stopped stream to other positions: the only thing that a procedure writes into a checkpoint.

        A batch that is still in flight conflicts with this, or is stopped by the fence afterwards. In either case its
        worker reads here that its run has ended.

        Raises:
            StreamNotFound: the checkpoint node does not exist.
        """
        if not self._checkpoints():
            raise StreamNotFound(f"Kafka stream {self.name}, {self._gone}; DROP it and CREATE it anew")
        moved = {"positions": encode_positions(positions), "leader_epochs": None, "topic_id": topic_id}
        for name, value in (moved | nodes.ended_properties(self.generation, Status.STOPPED, None)).items():
            self._checkpoints()[0].properties.set(name, value)

    def _checkpoints(self) -> list[Vertex]:
        """One, unless the graph was edited by hand."""
        return [vertex for vertex in _ends(self._vertex, nodes.HAS_CHECKPOINT) if self._owns(vertex)]

    def parked(self) -> list[ParkedMessage]:
        """The stream's parked messages, in no order. Raises ValueError if somebody edited their nodes."""
        return [
            message_of({item.name: item.value for item in vertex.properties.items()})
            for checkpoint in self._checkpoints()
            for vertex in _ends(checkpoint, nodes.HAS_PARKED)
            if _has_label(vertex, nodes.PARKED) and self._owns(vertex)
        ]

    def _owns(self, vertex: Vertex) -> bool:
        """Whether a vertex belongs to this stream: a relationship drawn by hand may lead to any vertex."""
        owner = vertex.properties.get(nodes.OWNER)
        return owner is not None and owner == self.get("uid")

    @property
    def _gone(self) -> str:
        """The error for a stream without a checkpoint."""
        if any(_ends(self._vertex, nodes.HAS_CHECKPOINT)):
            return "what its relationship CHECKPOINT leads to is not its checkpoint, and is left alone"
        return "the stream's checkpoint node was deleted"

    def _lost(self, reason: str) -> Checkpoint:
        return Checkpoint(
            positions={},
            ended_generation=self.generation,
            ended_status=Status.ERROR,
            error=f"Kafka stream {self.name}, {reason}",
        )

    def set(self, **properties: Any) -> None:
        """Writes properties; None removes one."""
        for name, value in properties.items():
            self._vertex.properties.set(name, value)


class Catalog:
    """All streams, in one transaction. The constructor raises SchemaError if the nodes have another schema version."""

    def __init__(self, graph: Graph, exchange: SharedState) -> None:
        self._graph = graph
        self._exchange = exchange
        self._claimed = False
        self._made: VertexId | None = None
        "The catalog that this call has created."
        self._vertices = list(self._remembered()) or list(self._walked())
        self._vertices.sort(key=lambda vertex: int(vertex.id))
        if not self._vertices:
            exchange.want_catalog()
        for vertex in self._vertices:
            check_version(vertex.properties.get("schema_version"), vertex.id)

    def streams(self) -> list[StreamNode]:
        """All streams, ordered by name."""
        found = {
            VertexId(vertex.id): vertex
            for catalog in self._vertices
            for vertex in _ends(catalog, nodes.HAS_STREAM)
            if _has_label(vertex, nodes.STREAM)
        }
        installation = self._exchange.host.installation
        names = nodes.distinct_names({stream: _text(vertex, "name") for stream, vertex in found.items()})
        return sorted(
            (StreamNode(found[stream], names[stream], installation) for stream in found), key=lambda stream: stream.name
        )

    def find(self, name: str) -> StreamNode:
        """
        The stream of that name.

        Raises:
            StreamNotFound: there is none.
        """
        stream = self.get(name)
        if stream is None:
            raise StreamNotFound(f"Kafka stream {name}, stream not found")
        return stream

    def get(self, name: str) -> StreamNode | None:
        """The stream of that name; None if there is none."""
        return next((stream for stream in self.streams() if stream.name == name), None)

    def add(self, spec: StreamSpec, positions: Mapping[int, int], topic_id: str) -> None:
        """
        Writes the nodes of a new, stopped stream that begins there; `topic_id` is Kafka's, if known. Raises as `claim`.
        """
        self.claim()
        stream = self._new_vertex(
            nodes.STREAM,
            {**nodes.spec_properties(spec), "running": False, "generation": 0, "changed_at": now()},
        )
        checkpoint = self._new_vertex(
            nodes.CHECKPOINT,
            {
                **nodes.checkpoint_properties(Checkpoint(positions=positions, topic_id=topic_id)),
                nodes.OWNER: spec.uid,
            },
        )
        self._connect(stream, checkpoint, nodes.HAS_CHECKPOINT)
        self._connect(self._vertices[0], stream, nodes.HAS_STREAM)

    def remove(self, stream: StreamNode) -> None:
        """
        Takes a stream out of the catalog.

        Its nodes stay, marked as dropped, until its worker has ended: deleting the checkpoint here would conflict with
        the batch in flight.
        """
        self.claim()
        for edge in stream._vertex.in_edges:
            if edge.type.name == nodes.HAS_STREAM and _has_label(edge.from_vertex, nodes.CATALOG):
                self._graph.delete_edge(edge)
        stream.set(dropped=True, running=False)
        self._exchange.announce_dropped(stream.id)

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
            self._exchange.forget_catalog(self._made)

    def _remembered(self) -> Iterator[Vertex]:
        for catalog in self._exchange.catalogs():
            try:
                vertex = self._graph.get_vertex_by_id(catalog)
            except IndexError:
                continue  # deleted, or created by another transaction that is not committed
            if _has_label(vertex, nodes.CATALOG):
                yield vertex

    def _walked(self) -> Iterator[Vertex]:
        if self._exchange.no_catalog:
            return  # the supervisor has checked, and is signalled to check again
        for vertex in self._graph.vertices:
            if _has_label(vertex, nodes.CATALOG):
                self._exchange.announce_catalog(VertexId(vertex.id))
                yield vertex

    def _make(self) -> None:
        vertex = self._new_vertex(nodes.CATALOG, {"schema_version": SCHEMA_VERSION, nodes.REVISION: 1})
        # Two transactions that each create a catalog have no vertex in common on which they could conflict.
        if not self._exchange.begin_catalog(VertexId(vertex.id)):
            raise ConflictError(FIRST_STREAM)
        self._made = VertexId(vertex.id)
        self._vertices.append(vertex)

    def _new_vertex(self, label: str, properties: dict[str, Any]) -> Vertex:
        vertex = self._graph.create_vertex()
        vertex.add_label(label)
        for name, value in properties.items():
            vertex.properties.set(name, value)
        return vertex

    def _connect(self, start: Vertex, end: Vertex, kind: str) -> None:
        self._graph.create_edge(start, end, sys.modules["mgp"].EdgeType(kind))


def _ends(vertex: Vertex, kind: str) -> Iterator[Vertex]:
    """Where a vertex's relationships of one type lead."""
    return (edge.to_vertex for edge in vertex.out_edges if edge.type.name == kind)


def _text(vertex: Vertex, name: str) -> str:
    """A property as text, whatever somebody has written there; empty if it is not there."""
    value = vertex.properties.get(name)
    return "" if value is None else str(value)


def _has_label(vertex: Vertex, label: str) -> bool:
    return any(candidate.name == label for candidate in vertex.labels)
