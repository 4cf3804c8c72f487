"""
What SHOW costs in an empty graph and beside many other vertices.

    python -m tests.bench.show                               against the sandbox
    python -m tests.bench.show --memgraph-bin PATH           against that Memgraph
    python -m tests.bench.show --vertices 1000000 --json     with other numbers, and for machines

Prints medians in milliseconds, as a client sees them through the neo4j driver.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.mock_broker import MockBroker
from tests.hosts import Host, MemgraphHost, SandboxHost
from tests.hosts.host import REPOSITORY, HostOptions

STREAMS = 3
WARM_UP = 30  # calls that are not counted
CALLS = 200
VERTICES = 200_000
CHUNK = 10_000  # vertices made in one transaction

SHOW = "CALL streams.show() YIELD name, uri, topic, transform, status"
NOTHING = "RETURN 1 AS one"


@dataclass(frozen=True)
class Costs:
    """Medians in milliseconds. `nothing` is a query that does nothing: what the way to the host costs."""

    streams: int
    vertices: int
    show_alone: float
    show_beside: float
    nothing_alone: float
    nothing_beside: float

    @property
    def ratio(self) -> float:
        """How many times as much SHOW costs beside the vertices."""
        return self.show_beside / self.show_alone


def measure(host: Host, broker: MockBroker, vertices: int = VERTICES) -> Costs:
    """
    Make streams, time SHOW, fill the graph, time SHOW again.

    Args:
        host: one with an empty graph.
        vertices: how many to fill it with.
    """
    for number in range(STREAMS):
        topic = broker.create_topic(f"bench-{time.monotonic_ns()}")
        create = "CALL streams.create($name, $uri, $topic, $transform)"
        transform = str(REPOSITORY / "transforms" / "edges.py")
        host.run(create, name=f"bench_{number}", uri=broker.bootstrap, topic=topic, transform=transform)
    alone = [_median_ms(host, query) for query in (SHOW, NOTHING)]
    for start in range(0, vertices, CHUNK):
        end = min(start + CHUNK, vertices)
        host.run("UNWIND range($start, $end) AS number CREATE (:Other {number: number})", start=start, end=end - 1)
    beside = [_median_ms(host, query) for query in (SHOW, NOTHING)]
    return Costs(STREAMS, vertices, alone[0], beside[0], alone[1], beside[1])


def _median_ms(host: Host, query: str) -> float:
    for _ in range(WARM_UP):
        host.run(query)
    return statistics.median(_seconds(lambda: host.run(query)) for _ in range(CALLS)) * 1000


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.bench.show")
    parser.add_argument("--memgraph-bin", type=Path)
    parser.add_argument("--memgraph-pythonpath", type=Path)
    parser.add_argument("--vertices", type=int, default=VERTICES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, MockBroker() as broker:
        where = Path(folder) / "host"
        host = (
            MemgraphHost(where, options.memgraph_bin.resolve(), options.memgraph_pythonpath, HostOptions())
            if options.memgraph_bin
            else SandboxHost(where)
        )
        host.start()
        try:
            costs = measure(host, broker, options.vertices)
        finally:
            host.close()
    print(json.dumps({**asdict(costs), "ratio": costs.ratio}) if options.json else _table(host.name, costs))
    return 0


def _table(host: str, costs: Costs) -> str:
    beside = f"beside {costs.vertices:,}"
    return (
        f"{host}, {costs.streams} streams, medians of {CALLS} calls in ms\n\n"
        f"{'':8} {'alone':>10} {beside:>16} {'ratio':>7}\n"
        f"{'SHOW':8} {costs.show_alone:>10.2f} {costs.show_beside:>16.2f} {costs.ratio:>7.2f}\n"
        f"{'RETURN 1':8} {costs.nothing_alone:>10.2f} {costs.nothing_beside:>16.2f} "
        f"{costs.nothing_beside / costs.nothing_alone:>7.2f}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
