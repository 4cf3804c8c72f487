"""
What SHOW costs in an empty graph and beside many other vertices.

    python -m tests.bench.show                               against the sandbox
    python -m tests.bench.show --memgraph-bin PATH           against that Memgraph
    python -m tests.bench.show --vertices 1000000 --json     with other numbers, and for machines

Prints milliseconds, as a client sees them through the neo4j driver: what a tenth of the calls stays below, which is the
cost itself rather than what else the machine had to do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.mock_broker import MockBroker
from tests.bench.alone import host_of
from tests.hosts import Host
from tests.hosts.host import REPOSITORY

STREAMS = 3
WARM_UP = 30  # calls that are not counted
CALLS = 300
VERTICES = 200_000
CHUNK = 10_000  # vertices made in one transaction

SHOW = "CALL streams.show() YIELD name, uri, topic, transform, status"
NOTHING = "RETURN 1 AS one"


@dataclass(frozen=True)
class Costs:
    """
    Milliseconds that the quickest tenth of the calls stays below.

    `nothing` is a query that does nothing: what the way to the host costs.
    """

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


def measure(empty: Host, filled: Host, broker: MockBroker, vertices: int = VERTICES) -> Costs:
    """
    Make the same streams on two hosts, fill the graph of one, and time SHOW on both by turns, so that whatever else the
    machine does meanwhile slows both down alike.

    Args:
        empty, filled: two hosts with empty graphs.
        vertices: how many to fill the second with.
    """
    topics = [broker.create_topic(f"bench-{time.monotonic_ns()}") for _ in range(STREAMS)]
    transform = str(REPOSITORY / "transforms" / "edges.py")
    for host in (empty, filled):
        for number, topic in enumerate(topics):
            create = "CALL streams.create($name, $uri, $topic, $transform)"
            host.run(create, name=f"bench_{number}", uri=broker.bootstrap, topic=topic, transform=transform)
    for start in range(0, vertices, CHUNK):
        end = min(start + CHUNK, vertices) - 1
        filled.run("UNWIND range($start, $end) AS number CREATE (:Other {number: number})", start=start, end=end)
    show, nothing = (_costs_ms((empty, filled), query) for query in (SHOW, NOTHING))
    return Costs(STREAMS, vertices, *show, *nothing)


def _costs_ms(hosts: Sequence[Host], query: str) -> list[float]:
    """What a call costs, host by host."""
    for _ in range(WARM_UP):
        for host in hosts:
            host.run(query)
    rounds = [[_seconds(host, query) for host in hosts] for _ in range(CALLS)]
    return [statistics.quantiles(times, n=10)[0] * 1000 for times in zip(*rounds, strict=True)]


def _seconds(host: Host, query: str) -> float:
    began = time.perf_counter()
    host.run(query)
    return time.perf_counter() - began


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.bench.show")
    parser.add_argument("--memgraph-bin", type=Path)
    parser.add_argument("--memgraph-pythonpath", type=Path)
    parser.add_argument("--vertices", type=int, default=VERTICES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder, MockBroker() as broker, ExitStack() as ending:
        empty, filled = (host_of(Path(folder) / name, options) for name in ("empty", "filled"))
        for host in (empty, filled):
            ending.callback(host.close)
            host.start()
        costs = measure(empty, filled, broker, options.vertices)
    print(json.dumps({**asdict(costs), "ratio": costs.ratio}) if options.json else _table(empty.name, costs))
    return 0


def _table(host: str, costs: Costs) -> str:
    beside = f"beside {costs.vertices:,}"
    return (
        f"{host}, {costs.streams} streams, {CALLS} calls, quickest tenth below ... ms\n\n"
        f"{'':8} {'alone':>10} {beside:>16} {'ratio':>7}\n"
        f"{'SHOW':8} {costs.show_alone:>10.2f} {costs.show_beside:>16.2f} {costs.ratio:>7.2f}\n"
        f"{'RETURN 1':8} {costs.nothing_alone:>10.2f} {costs.nothing_beside:>16.2f} "
        f"{costs.nothing_beside / costs.nothing_alone:>7.2f}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
