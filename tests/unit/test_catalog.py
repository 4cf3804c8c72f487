"""Which transactions that change the catalog conflict, as far as that does not depend on the server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sluice.errors import ConflictError
from sluice.persistence import nodes
from sluice.procedures.catalog import Catalog
from sluice.supervising.shared_state import SharedState
from sluice.values.model import Checkpoint, StreamSpec, Transform, VertexId


class Properties(dict[str, Any]):
    """As `mgp.Properties`, with a record of what was set."""

    def __init__(self, graph: Graph, vertex: Vertex) -> None:
        super().__init__()
        self._graph, self._vertex = graph, vertex

    def set(self, name: str, value: Any) -> None:
        self._graph.done.append(("set", self._vertex.id, name))
        self[name] = value


class Vertex:
    """As `mgp.Vertex`."""

    def __init__(self, graph: Graph, number: int) -> None:
        self.id = number
        self.labels: list[Any] = []
        self.properties = Properties(graph, self)
        self.out_edges: list[Any] = []
        self.in_edges: list[Any] = []

    def add_label(self, name: str) -> None:
        self.labels.append(SimpleNamespace(name=name))


class Graph:
    """As `mgp.Graph` of one transaction, with a record of what was done."""

    def __init__(self, first: int = 0) -> None:
        self.found: dict[int, Vertex] = {}
        self.done: list[tuple[str, int, str]] = []
        self.walks = 0
        self._next = first

    @property
    def vertices(self) -> Iterator[Vertex]:
        self.walks += 1
        return iter(list(self.found.values()))

    def get_vertex_by_id(self, number: int) -> Vertex:
        if number not in self.found:
            raise IndexError
        return self.found[number]

    def create_vertex(self) -> Vertex:
        vertex = self.found[self._next] = Vertex(self, self._next)
        self._next += 1
        return vertex

    def create_edge(self, start: Vertex, end: Vertex, kind: Any) -> None:
        edge = SimpleNamespace(from_vertex=start, to_vertex=end, type=kind)
        start.out_edges.append(edge)
        end.in_edges.append(edge)
        self.done.append(("edge", start.id, kind.name))

    def delete_edge(self, edge: Any) -> None:
        edge.from_vertex.out_edges.remove(edge)
        self.done.append(("no edge", edge.from_vertex.id, edge.type.name))


@pytest.fixture(autouse=True)
def _mgp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mgp", SimpleNamespace(EdgeType=lambda name: SimpleNamespace(name=name)))


def spec(name: str) -> StreamSpec:
    return StreamSpec(f"uid of {name}", name, "localhost:9092", "topic", Transform("/t.py", "", ""))


def add(graph: Graph, shared: SharedState, *names: str) -> None:
    for name in names:
        Catalog(graph, shared).add(spec(name), [Checkpoint({})])


def changes_of(graph: Graph, vertex: int) -> list[str]:
    """What was done to a vertex, in order."""
    return [f"{what} {name}" for what, number, name in graph.done if number == vertex]


def test_a_property_is_written_before_a_relationship_so_that_transactions_conflict_on_memgraph_3() -> None:
    graph, shared = Graph(), SharedState(history=1)
    add(graph, shared, "a")
    [catalog] = shared.catalogs()
    before = graph.found[catalog].properties[nodes.REVISION]
    graph.done.clear()
    add(graph, shared, "b", "c")
    one = [f"set {nodes.REVISION}", f"edge {nodes.HAS_STREAM}"]
    assert changes_of(graph, catalog) == one + one
    # Memgraph takes writing what is there already for no change at all.
    assert graph.found[catalog].properties[nodes.REVISION] == before + 2
    graph.done.clear()
    streams = Catalog(graph, shared)
    streams.remove(streams.find("b"))
    assert changes_of(graph, catalog) == [f"set {nodes.REVISION}", f"no edge {nodes.HAS_STREAM}"]


def test_a_stream_that_is_replaced_is_one_change() -> None:
    graph, shared = Graph(), SharedState(history=1)
    add(graph, shared, "a")
    [catalog] = shared.catalogs()
    graph.done.clear()
    streams = Catalog(graph, shared)
    streams.claim()
    streams.remove(streams.find("a"))
    streams.add(spec("a"), [Checkpoint({})])
    assert changes_of(graph, catalog).count(f"set {nodes.REVISION}") == 1
    assert [stream.name for stream in streams.streams()] == ["a"]


@pytest.mark.parametrize(("generation", "following"), [(4, 5), (0, 1), (-1, 1), (-(2**63), 1), ("x", 1), (None, 1)])
def test_a_start_makes_a_run_that_no_edit_has_ended_before(generation: object, following: int) -> None:
    graph, shared = Graph(), SharedState(history=1)
    add(graph, shared, "a")
    [stream] = Catalog(graph, shared).streams()
    stream.set(generation=generation)
    assert stream.next_generation == following


def test_every_catalog_that_there_is_conflicts() -> None:
    graph, shared = Graph(), SharedState(history=1)
    for _ in range(2):
        vertex = graph.create_vertex()
        vertex.add_label(nodes.CATALOG)
        vertex.properties.set("schema_version", 1)
    graph.done.clear()
    add(graph, shared, "a")
    assert changes_of(graph, 0)[0] == changes_of(graph, 1)[0] == f"set {nodes.REVISION}"


def test_an_edited_revision_is_written_over() -> None:
    graph, shared = Graph(), SharedState(history=1)
    add(graph, shared, "a")
    [catalog] = shared.catalogs()
    graph.found[catalog].properties[nodes.REVISION] = "x"
    add(graph, shared, "b")
    assert graph.found[catalog].properties[nodes.REVISION] == 1


def test_two_transactions_that_see_no_catalog_do_not_both_make_one() -> None:
    shared = SharedState(history=1)
    first, second = Graph(), Graph(first=100)
    add(first, shared, "a")
    with pytest.raises(ConflictError, match="creating the first stream of this graph.*try again"):
        add(second, shared, "a")
    assert shared.catalogs() == [0]


def test_a_create_that_fails_is_in_nobodys_way() -> None:
    shared = SharedState(history=1)
    failing = Catalog(Graph(), shared)
    failing.claim()
    failing.give_up()
    add(Graph(first=100), shared, "a")
    assert shared.catalogs() == [100]


def test_what_was_made_before_is_kept_by_a_create_that_fails() -> None:
    graph, shared = Graph(), SharedState(history=1)
    add(graph, shared, "a")
    failing = Catalog(graph, shared)
    failing.claim()
    failing.give_up()
    assert shared.catalogs() == [0]


def test_the_graph_is_not_walked_once_the_supervisor_has_looked() -> None:
    graph, shared = Graph(), SharedState(history=1)
    Catalog(graph, shared)
    assert graph.walks == 1
    shared.no_catalog = True
    Catalog(graph, shared)
    assert graph.walks == 1
    assert shared.take_catalog_wanted()
    assert not shared.take_catalog_wanted()


def test_one_name_is_never_listed_twice() -> None:
    graph, shared = Graph(), SharedState(history=1)
    add(graph, shared, "s", "t", "s")
    catalog = Catalog(graph, shared)
    assert [stream.name for stream in catalog.streams()] == ["s", "s_2", "t"]
    assert catalog.find("s").id < catalog.find("s_2").id
    assert catalog.find("s").id == VertexId(1)
