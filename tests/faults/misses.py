"""
`python -m tests.faults.misses`: a plain driver, no stream, and a vertex that an index does not find.

Memgraph 2.14.1 begins a look-up by a label-property index at the first entry of the value. If that very entry is just
being removed, by its garbage collector or by a rollback, or being put in, the look-up finds nothing at all. Values have
entries besides the one that counts wherever the property is set again, even to the same value, and wherever vertices of
other labels have a property of that name: Memgraph 2.14.1 puts those into the index as well.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import neo4j

from tests.hosts import MemgraphHost
from tests.hosts.host import HostOptions
from tests.hosts.options import setting

KEYS = 50
ROUNDS = 20  # look-ups of each key in one query


class Case(NamedTuple):
    """Who writes what while every key is looked up."""

    name: str
    write: str

    def __str__(self) -> str:
        return self.name


CASES = (
    Case("the property is never written again", "UNWIND range(1, $keys) AS id MERGE (n:Person {id: id}) SET n.at = 1"),
    Case("the property is set to what it was", "UNWIND range(1, $keys) AS id MERGE (n:Person {id: id}) SET n.id = id"),
    Case(
        "vertices of another label have it too",
        "UNWIND range(1, $keys) AS id MATCH (n:Person {id: id}) CREATE (:Visit {id: id})",
    ),
)

LOOK_UP = (
    "UNWIND range(1, $rounds) AS round UNWIND range(1, $keys) AS id MATCH (n:Person {id: id}) RETURN count(n) AS n"
)


class Found(NamedTuple):
    """What there was to see."""

    look_ups: int
    missed: int
    "Look-ups that found nothing."
    twice: int
    "Vertices that MERGE has made though there was one."


def main() -> None:
    """One line for each case."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.misses", description=__doc__)
    parser.add_argument("--memgraph-bin", type=Path, required=True, metavar="PATH")
    parser.add_argument("--memgraph-pythonpath", type=Path, metavar="DIR", help="its Python's confluent_kafka")
    parser.add_argument("--setting", type=setting, action="append", default=[], metavar="SLUICE_X=VALUE")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N", help="for each case (default: 30)")
    parser.add_argument("--gc-cycle", type=int, default=1, metavar="N", help="seconds; Memgraph's default is 30")
    arguments = parser.parse_args()
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            options = HostOptions(dict(arguments.setting), [f"--storage-gc-cycle-sec={arguments.gc_cycle}"])
            binary, packages = arguments.memgraph_bin.resolve(), arguments.memgraph_pythonpath
            host = MemgraphHost(Path(folder), binary, packages, options)
            host.start()
            try:
                found = watch(host, case, arguments.seconds)
            finally:
                host.close()
        print(f"{case.name}: {found.look_ups} look-ups, {found.missed} found nothing; {found.twice} made twice")


def watch(host: MemgraphHost, case: Case, seconds: float) -> Found:
    """Two connections, for so many seconds: one writes, one looks up all keys, which are there from first to last."""
    host.run("CREATE INDEX ON :Person(id)")
    host.run("UNWIND range(1, $keys) AS id CREATE (:Person {id: id})", keys=KEYS)
    until = time.monotonic() + seconds
    counts: list[int] = []
    with host.new_driver() as driver:
        writer = threading.Thread(target=_repeat, args=(driver, until, lambda session: _write(session, case)))
        writer.start()
        _repeat(driver, until, lambda session: counts.append(_look_up(session)))
        writer.join()
    (row,) = host.run("MATCH (n:Person) RETURN count(n) AS n")
    # A vertex that is there twice is found twice.
    missed = sum(max(0, ROUNDS * KEYS - count) for count in counts)
    return Found(ROUNDS * KEYS * len(counts), missed, row["n"] - KEYS)


def _repeat(driver: neo4j.Driver, until: float, step: Callable[[neo4j.Session], None]) -> None:
    with driver.session() as session:
        while time.monotonic() < until:
            step(session)


def _write(session: neo4j.Session, case: Case) -> None:
    session.execute_write(lambda transaction: transaction.run(case.write, keys=KEYS).consume())


def _look_up(session: neo4j.Session) -> int:
    record = session.run(LOOK_UP, rounds=ROUNDS, keys=KEYS).single(strict=True)
    return int(record["n"])


if __name__ == "__main__":
    main()
