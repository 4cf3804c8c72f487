"""A stream's metadata nodes as a procedure sees them: in the caller's transaction, with its uncommitted changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sluice.errors import SettingError, StreamNotFound, StreamRunning
from sluice.host.installation import Installation
from sluice.persistence import nodes
from sluice.procedures.vertices import Vertex, connect, ends, has_label, new_vertex, properties_of, text_of
from sluice.values.dealing import dealt_to, joined
from sluice.values.lane import Lane, key_of
from sluice.values.model import Checkpoint, Status, StreamSpec, VertexId, effective_status
from sluice.values.parked_message import ParkedMessage, message_of
from sluice.values.position import Partition, Position, encode_leader_epochs, encode_positions, encode_topic_ids
from sluice.values.topic_selector import only_topic


class Parked(NamedTuple):
    """A parked message of a stream."""

    lane: int
    "The number of the lane that has parked it."
    message: ParkedMessage
    vertex: Vertex


class StreamNode:
    """
    A stream's metadata node, for as long as the procedure call lasts. What was read once is known: `mgp` takes longer
    for it than all else that is made of it.
    """

    def __init__(self, vertex: Vertex, name: str, installation: Installation) -> None:
        """
        Args:
            name: what it is called: the node's `name`, unless another stream has the same (`distinct_names`).
            installation: of this server.
        """
        self.vertex = vertex
        self._installation = installation
        self.name = name
        self._read: dict[str, Any] = {}
        self._found: list[Vertex] | None = None

    @property
    def id(self) -> VertexId:
        """The vertex's id."""
        return VertexId(self.vertex.id)

    def get(self, name: str) -> Any:
        """A property, or None."""
        if name not in self._read:
            self._read[name] = self.vertex.properties.get(name)
        return self._read[name]

    @property
    def next_generation(self) -> int:
        """The next run's generation: above those of all earlier runs, even if the numbers were reset by hand."""
        known = [self.get("generation")]
        for checkpoint in self._checkpoints():
            known += [checkpoint.properties.get(name) for name in ("generation", "ended_generation")]
        return 1 + max([0, *(number for number in known if isinstance(number, int))])

    def text(self, name: str) -> str:
        """A property as text, whatever somebody has written there; empty if it is not there."""
        return text_of(self.get(name))

    @property
    def only_topic(self) -> str:
        """The topic of a stream that can only ever read one; empty: there may be several."""
        return only_topic(self.text("topic"))

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
        return self.status_at(self.checkpoint())

    def status_at(self, checkpoint: Checkpoint) -> Status:
        """The same, with the checkpoint that was read already, which is most of the work."""
        return effective_status(
            running=self._is_started and not self.is_copied, generation=self.generation, checkpoint=checkpoint
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
        """
        How far the stream got, with all of its lanes. If that is unknown, because a node was edited or deleted, its
        `error` is set.
        """
        return joined(self.lanes(), self.generation)

    def lanes(self) -> list[Checkpoint]:
        """How far each lane got. If that is unknown for any, one checkpoint whose `error` is set."""
        try:
            return self.known_lanes()
        except StreamNotFound as error:
            return [self._lost(str(error))]
        except SettingError as error:
            return [self._lost(f"{error}; correct it and START the stream, or DROP it and CREATE it again")]

    def known_lanes(self) -> list[Checkpoint]:
        """How far each lane got. Raises SettingError, StreamNotFound: a node was edited, or deleted."""
        nodes.uid_of({"uid": self.get("uid")})
        nodes.generation_of({"generation": self.get("generation")})
        if not isinstance(topic := self.get("topic"), str):
            shown = list(topic) if isinstance(topic, tuple) else topic  # as the server has it
            raise SettingError(f"the topic must be printable text and not empty, got {shown!r}")
        found = [properties_of(checkpoint) for checkpoint in self._checkpoints()]
        if len(found) < max((nodes.lane_in(properties).of for properties in found), default=1):
            raise StreamNotFound(f"{self._gone}: its position is unknown; DROP it and CREATE it again")
        return [nodes.checkpoint_of(properties, self.only_topic) for properties in found]

    @property
    def lane_count(self) -> int:
        """How many lanes the stream has, by what its checkpoints say."""
        counts = [checkpoint.properties.get(nodes.LANES) for checkpoint in self._checkpoints()]
        return max((count for count in counts if isinstance(count, int)), default=1)

    def key(self, lane: int) -> str:
        """What stands for one of its lanes in the shared state."""
        return key_of(self.uid, lane)

    def move(
        self,
        positions: Mapping[Partition, int],
        leader_epochs: Mapping[Partition, Position],
        topic_ids: Mapping[str, str],
    ) -> None:
        """
        Moves a stopped stream to other positions: the only thing that a procedure writes into checkpoints that are
        there.

        A batch that is still in flight conflicts with this, or is stopped by the fence afterwards. In either case its
        worker reads here that its run has ended. Raises StreamNotFound: the checkpoint node does not exist.
        """
        found = self._checkpoints()
        if not found or len(found) < self.lane_count:
            raise StreamNotFound(f"Kafka stream {self.name}, {self._gone}; DROP it and CREATE it again")
        for lane, checkpoint in enumerate(found):
            mine = dealt_to(lane, self.spec, len(found), positions)
            moved = {
                "positions": encode_positions(mine, self.only_topic),
                "leader_epochs": encode_leader_epochs(mine, leader_epochs, self.only_topic),
                "topic_id": encode_topic_ids(topic_ids, self.only_topic),
            }
            for name, value in (moved | nodes.ended_properties(self.generation, Status.STOPPED, None)).items():
                checkpoint.properties.set(name, value)

    def _checkpoints(self) -> list[Vertex]:
        """One for each lane, in their order; fewer only if the graph was edited by hand."""
        if self._found is None:
            mine = [vertex for vertex in ends(self.vertex, nodes.HAS_CHECKPOINT) if self._owns(vertex)]
            self._found = mine if len(mine) == 1 else _in_order(mine)
        return self._found

    def parked(self) -> list[Parked]:
        """
        The stream's parked messages, in the order in which they were parked. Raises ValueError if somebody edited their
        nodes.
        """
        found = [
            Parked(lane, message_of(properties_of(vertex)), vertex)
            for lane, checkpoint in enumerate(self._checkpoints())
            for vertex in ends(checkpoint, nodes.HAS_PARKED)
            if has_label(vertex, nodes.PARKED) and self._owns(vertex)
        ]
        # Each lane has numbers of its own.
        several = len({one.lane for one in found}) > 1
        return sorted(found, key=lambda one: (one.message.time if several else "", one.message.number))

    def replace_checkpoints(self, graph: Any, checkpoints: Sequence[Checkpoint]) -> list[Vertex]:
        """
        Puts one node for each lane in the place of those that there are: a worker of these that has not ended yet finds
        its own gone, and the fence stops it. Parked messages have to be taken off them first.
        """
        for vertex in self._checkpoints():
            graph.detach_delete_vertex(vertex)
        self._found = None
        return add_checkpoints(graph, self.vertex, checkpoints)

    def _owns(self, vertex: Vertex) -> bool:
        """Whether a vertex belongs to this stream: a relationship drawn by hand may lead to any vertex."""
        owner = vertex.properties.get(nodes.OWNER)
        return owner is not None and owner == self.get("uid")

    @property
    def _gone(self) -> str:
        """The error for a stream without a checkpoint."""
        if self._checkpoints():
            return "the checkpoint node of one of the stream's lanes was deleted"
        if any(ends(self.vertex, nodes.HAS_CHECKPOINT)):
            return "its relationship CHECKPOINT leads to a vertex that is not its checkpoint, and that is left alone"
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
        self._read.clear()
        for name, value in properties.items():
            self.vertex.properties.set(name, value)


def _in_order(checkpoints: list[Vertex]) -> list[Vertex]:
    """The first of each lane, in the order of the lanes."""
    found: dict[int, Vertex] = {}
    for vertex in checkpoints:
        lane = vertex.properties.get(nodes.LANE)
        found.setdefault(lane if isinstance(lane, int) else 0, vertex)
    return [found[lane] for lane in sorted(found)]


def add_checkpoints(graph: Any, stream: Vertex, checkpoints: Sequence[Checkpoint]) -> list[Vertex]:
    """Makes a stream's checkpoint nodes, one for each lane."""
    made = []
    for number, checkpoint in enumerate(checkpoints):
        lane = nodes.lane_properties(Lane(number, len(checkpoints)))
        owner = {nodes.OWNER: stream.properties.get("uid")}
        more = nodes.history_properties(checkpoint) | nodes.end_properties(checkpoint) if checkpoint.generation else {}
        properties = nodes.checkpoint_properties(checkpoint) | more | owner | lane
        made.append(new_vertex(graph, nodes.CHECKPOINT, properties))
        connect(graph, stream, made[-1], nodes.HAS_CHECKPOINT)
    return made
