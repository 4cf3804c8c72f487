"""A query module for the sandbox's own tests."""

import atexit
import os
import sys
import threading
import time

import fakehelper
import mgp

LOADED = time.monotonic_ns()

atexit.register(lambda: open(os.environ["FAKE_AT_EXIT"], "w").close() if "FAKE_AT_EXIT" in os.environ else None)


@mgp.read_proc
def repeat(ctx: mgp.ProcCtx, text: str, times: int = 2) -> mgp.Record(text=str, number=int):
    return [mgp.Record(text=text, number=number) for number in range(times)]


@mgp.read_proc
def echo(ctx: mgp.ProcCtx, value: mgp.Nullable[mgp.Any]) -> mgp.Record(value=mgp.Nullable[mgp.Any]):
    return mgp.Record(value=value)


@mgp.read_proc
def give(ctx: mgp.ProcCtx, what: str) -> mgp.Record(value=mgp.Nullable[mgp.Any]):
    values = {
        "big integer": 2**63,
        "bytes": b"bytes",
        "map with a number for a key": {1: 2},
        "tuple": (1, 2),
        "wrong type": None,
    }
    return None if what == "nothing" else mgp.Record(value=values[what])


@mgp.read_proc
def quiet(ctx: mgp.ProcCtx) -> mgp.Record():
    return mgp.Record()


@mgp.write_proc
def make(ctx: mgp.ProcCtx, label: str, properties: mgp.Map) -> mgp.Record(id=int, vertex=mgp.Vertex):
    vertex = ctx.graph.create_vertex()
    vertex.add_label(label)
    for name, value in properties.items():
        vertex.properties.set(name, value)
    return mgp.Record(id=vertex.id, vertex=vertex)


@mgp.write_proc
def make_and_fail(ctx: mgp.ProcCtx, label: str) -> mgp.Record():
    vertex = ctx.graph.create_vertex()
    vertex.add_label(label)
    _ = vertex.id
    _fail()


def _fail():
    raise fakehelper.HelperError("it broke")


@mgp.read_proc
def write_in_read(ctx: mgp.ProcCtx) -> mgp.Record():
    ctx.graph.create_vertex()
    return mgp.Record()


@mgp.read_proc
def look_up(ctx: mgp.ProcCtx, id: int) -> mgp.Record(labels=list, properties=mgp.Map):
    vertex = ctx.graph.get_vertex_by_id(id)
    return mgp.Record(
        labels=[label.name for label in vertex.labels],
        properties={item.name: item.value for item in vertex.properties.items()},
    )


@mgp.write_proc
def walk(ctx: mgp.ProcCtx, label: str) -> mgp.Record(journal=list):
    """Does to the graph what procedures do, and says what it sees."""
    journal = []
    graph = ctx.graph
    hub = graph.create_vertex()
    hub.add_label(label)
    spokes = []
    for number in range(3):
        spoke = graph.create_vertex()
        spoke.add_label(label + "Spoke")
        spoke.properties.set("number", number)
        graph.create_edge(hub, spoke, mgp.EdgeType("TO"))
        spokes.append(spoke)
    journal.append(["out", sorted(edge.to_vertex.properties.get("number") for edge in hub.out_edges)])
    journal.append(["types", sorted({edge.type.name for edge in hub.out_edges})])
    journal.append(["in", [edge.from_vertex.id == hub.id for edge in spokes[0].in_edges]])
    graph.delete_edge(next(iter(spokes[0].in_edges)))
    journal.append(["after delete_edge", len(list(hub.out_edges))])
    try:
        graph.delete_vertex(spokes[1])
    except mgp.LogicErrorError:
        journal.append(["delete_vertex", "refused"])
    graph.detach_delete_vertex(spokes[1])
    journal.append(["after detach_delete_vertex", len(list(hub.out_edges))])
    graph.delete_vertex(spokes[0])
    spokes[2].properties.set("number", None)
    journal.append(["without number", [item.name for item in spokes[2].properties.items()]])
    labels = sorted(vertex.labels[0].name for vertex in graph.vertices if vertex.labels)
    journal.append(["vertices", [name for name in labels if name.startswith(label)]])
    try:
        graph.get_vertex_by_id(spokes[1].id)
    except (IndexError, mgp.DeletedObjectError) as error:
        journal.append(["deleted", type(error).__name__])
    journal.append(["must abort", ctx.must_abort()])
    return mgp.Record(journal=journal)


@mgp.write_proc
def increment(ctx: mgp.ProcCtx, id: int) -> mgp.Record(value=int):
    vertex = ctx.graph.get_vertex_by_id(id)
    value = vertex.properties.get("value", 0) + 1
    vertex.properties.set("value", value)
    return mgp.Record(value=value)


@mgp.write_proc
def add_edge(ctx: mgp.ProcCtx, id: int) -> mgp.Record():
    ctx.graph.create_edge(ctx.graph.get_vertex_by_id(id), ctx.graph.create_vertex(), mgp.EdgeType("TO"))
    return mgp.Record()


@mgp.read_proc
def state(ctx: mgp.ProcCtx) -> mgp.Record(loaded=int, helper=int, threading=int, thread_alive=bool, argv=list):
    return mgp.Record(
        loaded=LOADED,
        helper=id(fakehelper),
        threading=id(sys.modules["threading"]),
        thread_alive=threading.current_thread().is_alive(),
        argv=open("/proc/self/cmdline").read().split("\0"),
    )


@mgp.read_proc
def wait_until_aborted(ctx: mgp.ProcCtx) -> mgp.Record():
    while True:
        ctx.check_must_abort()
        time.sleep(0.05)
