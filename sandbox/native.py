"""
What `mgp` stands on: the module `_mgp`, which inside Memgraph is made of C. `mgp.py` itself is PyPI's, unchanged.

Source: `src/query/procedure/py_module.cpp` in Memgraph, and what `mgp.py` calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from sandbox.graph import EdgeState, GraphView, VertexState

T = TypeVar("T")

SOURCE_TYPE_KAFKA = "SOURCE_TYPE_KAFKA"
SOURCE_TYPE_PULSAR = "SOURCE_TYPE_PULSAR"


class UnknownError(Exception):
    """Something failed."""


class UnableToAllocateError(Exception):
    """Never raised here."""


class InsufficientBufferError(Exception):
    """Never raised here."""


class OutOfRangeError(Exception):
    """Never raised here."""


class LogicErrorError(Exception):
    """What was asked cannot be done to the graph as it is."""


class DeletedObjectError(Exception):
    """The vertex or edge was deleted."""


class InvalidArgumentError(Exception):
    """An argument has a value that it cannot have."""


class KeyAlreadyExistsError(Exception):
    """Never raised here."""


class ImmutableObjectError(Exception):
    """A read procedure tried to write."""


class ValueConversionError(Exception):
    """The value cannot be a property."""


class SerializationError(Exception):
    """Another transaction wrote the same things."""


class AuthorizationError(Exception):
    """Never raised here."""


class _Items(Generic[T]):
    """An iterator as C has them: `get` gives the current item, `next` goes on; None at the end."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._current = next(items, None)

    def get(self) -> T | None:
        """The current item."""
        return self._current

    def next(self) -> T | None:
        """The one after it."""
        self._current = next(self._items, None)
        return self._current


class Graph:
    """The graph, for the length of a call."""

    def __init__(self, view: GraphView, aborting: Any = None) -> None:
        """
        Args:
            aborting: called without arguments, whether the call should end early.
        """
        self._view = view
        self._aborting = aborting

    def is_valid(self) -> bool:
        return self._view.valid

    def is_mutable(self) -> bool:
        return self._view.mutable

    def must_abort(self) -> bool:
        return bool(self._aborting and self._aborting())

    def get_vertex_by_id(self, vertex_id: int) -> Vertex:
        state = self._view.vertex(int(vertex_id))
        if state is None:
            raise IndexError("Unable to find the vertex with given ID.")
        return Vertex(self._view, state)

    def iter_vertices(self) -> _Items[Vertex]:
        return _Items(Vertex(self._view, state) for state in self._view.vertices())

    def create_vertex(self) -> Vertex:
        check_mutable(self._view)
        return Vertex(self._view, self._view.create_vertex())

    def create_edge(self, start: Vertex, end: Vertex, kind: str) -> Edge:
        check_mutable(self._view)
        return Edge(self._view, self._view.create_edge(start.alive(), end.alive(), kind))

    def delete_vertex(self, vertex: Vertex) -> None:
        check_mutable(self._view)
        self._view.delete_vertex(vertex.alive(), detach=False)

    def detach_delete_vertex(self, vertex: Vertex) -> None:
        check_mutable(self._view)
        self._view.delete_vertex(vertex.alive(), detach=True)

    def delete_edge(self, edge: Edge) -> None:
        check_mutable(self._view)
        self._view.delete_edge(edge.alive())


class _Handle:
    """What vertices and edges have in common."""

    def __init__(self, view: GraphView, state: Any) -> None:
        self._view = view
        self._state = state

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.get_id() == other.get_id()

    def __hash__(self) -> int:
        return hash(self.get_id())

    def is_valid(self) -> bool:
        return self._view.valid

    def underlying_graph_is_mutable(self) -> bool:
        return self._view.mutable

    def get_id(self) -> int:
        raise NotImplementedError

    def alive(self) -> Any:
        """The state behind the handle. Raises DeletedObjectError."""
        if self._state.deleted:
            raise DeletedObjectError("Cannot access an object that was deleted.")
        return self._state

    def _read(self) -> dict[str, Any]:
        raise NotImplementedError

    def all_properties(self) -> dict[str, Any]:
        """A copy of all properties; not of the C API."""
        return dict(self._read())

    def get_property(self, name: str) -> Any:
        return self._read().get(name)

    def iter_properties(self) -> _Items[tuple[str, Any]]:
        return _Items(iter(sorted(self._read().items())))

    def set_property(self, name: str, value: Any) -> None:
        check_mutable(self._view)
        self._view.set_property(self.alive(), name, storable(value))


class Vertex(_Handle):
    """A vertex, for the length of a call."""

    _state: VertexState

    def get_id(self) -> int:
        return self._view.id_of(self._state)

    def label_at(self, index: int) -> str:
        return str(self.alive().labels[index])

    def labels_count(self) -> int:
        return len(self.alive().labels)

    def add_label(self, label: str) -> None:
        check_mutable(self._view)
        self._view.set_label(self.alive(), label, present=True)

    def remove_label(self, label: str) -> None:
        check_mutable(self._view)
        self._view.set_label(self.alive(), label, present=False)

    def iter_in_edges(self) -> _Items[Edge]:
        return self._edges(outgoing=False)

    def iter_out_edges(self) -> _Items[Edge]:
        return self._edges(outgoing=True)

    def _edges(self, *, outgoing: bool) -> _Items[Edge]:
        return _Items(Edge(self._view, state) for state in self._view.edges(self.alive(), outgoing=outgoing))

    def _read(self) -> dict[str, Any]:
        return self._view.properties(self.alive())


class Edge(_Handle):
    """An edge, for the length of a call."""

    _state: EdgeState

    def get_id(self) -> int:
        return self._state.id

    def get_type_name(self) -> str:
        return self._state.type

    def from_vertex(self) -> Vertex:
        return Vertex(self._view, self._state.start)

    def to_vertex(self) -> Vertex:
        return Vertex(self._view, self._state.end)

    def _read(self) -> dict[str, Any]:
        return dict(self.alive().properties)


class Path:
    """There are none in the sandbox; the type exists because `mgp` names it."""

    @staticmethod
    def make_with_start(vertex: Vertex) -> Path:
        raise NotImplementedError("the sandbox has no paths")


class Message:
    """Of native streams, which the sandbox has not."""


class Messages:
    """Of native streams, which the sandbox has not."""


def check_mutable(view: GraphView) -> None:
    """Raises ImmutableObjectError in a read procedure."""
    if not view.mutable:
        raise ImmutableObjectError("Cannot modify an immutable object.")


def storable(value: Any) -> Any:
    """
    `value` as a property.

    Raises:
        ValueConversionError: it cannot be one; maps, which Memgraph does store, are refused by ArcadeDB.
    """
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueConversionError(f"the sandbox stores no properties of type {type(value).__name__}")
