"""
Messages per second from Kafka into the graph: Sluice and others, the same messages, the same run.

They take turns, so that a machine that gets slower is slower for all. The rate is that of the database's users: from
the first message that is there until a query sees all of them. How far the graph is meanwhile, the storage's own counts
say: a query that counts 100,000 vertices takes 2.14.1 as long as 20,000 more of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import neo4j

from tests.bench.contenders import CONTENDERS, Job
from tests.bench.topics import Broker, produce
from tests.bench.workloads import WORKLOADS, Workload, final
from tests.hosts import ServerHost

PATIENCE = 180.0
"Seconds for one measurement."

BEGINNING = 45.0
"... and until its first message is there. Native streams do not begin now and then, on a busy machine."

MAX_TRIES = 3
"How often what did not begin is measured again."

MIN_BACKOFF, MAX_BACKOFF = 0.01, 1.0
"Seconds between two looks at how far the graph is."

STORAGE_INFO = ("SHOW STORAGE INFO", "SHOW STORAGE INFO ON CURRENT DATABASE")
"Either has the counts of vertices and relationships, by version."

METADATA = 10
"More vertices and relationships than a stream of ours has of its own; those of a dropped one go a moment later."

SLOW = frozenset({"unfolded", "client"})
"Contenders that get a fourth of the messages."


class NotBegun(Exception):
    """Nothing was in the graph for too long."""


class Case(NamedTuple):
    """What is measured."""

    workload: str
    batch: int
    partitions: int = 1
    streams: int = 1


def measure(
    host: ServerHost,
    broker: Broker,
    folder: Path,
    case: Case,
    messages: int,
    contenders: list[str],
    rounds: int,
) -> dict[str, Any]:
    """Rounds of all contenders, in turns."""
    result: dict[str, Any] = {**case._asdict(), "messages": messages, "rates": {name: [] for name in contenders}}
    result["cpu"] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in contenders:
            count = messages // 4 if name in SLOW else messages
            topics = produce(broker, WORKLOADS[case.workload].messages(count), case.streams, case.partitions)
            job = Job(host, broker.bootstrap, folder, case.workload, case.batch, topics)
            job.partitions = case.partitions
            rate, cpu = _measured(job, name, count)
            result["rates"][name].append(rate)
            result["cpu"][name].append(cpu)
    return result


def _measured(job: Job, name: str, messages: int) -> tuple[float, float]:
    for _ in range(MAX_TRIES - 1):
        with suppress(NotBegun):
            return _rate(job, name, messages)
    return _rate(job, name, messages)


def _rate(job: Job, name: str, messages: int) -> tuple[float, float]:
    """Messages a second, and microseconds of processor time for each."""
    workload, wanted = WORKLOADS[job.workload], final(job.workload, messages)
    prepare(job.host, job.workload, messages)
    with job.host.new_driver() as driver, driver.session() as session:
        progress = _progress(session, workload)
        before, there = cpu_seconds(job.host.pid), progress()
        with CONTENDERS[name](job):
            began, first = time.monotonic(), 0
            deadline = began + PATIENCE
            while True:
                now, seen = time.monotonic(), progress() - there
                if seen >= wanted - METADATA:
                    cpu = cpu_seconds(job.host.pid) - before
                    if _seen(session, workload.done) == wanted:
                        break
                if seen > METADATA and not first:
                    began, first = now, seen
                if not first and now > began + BEGINNING:
                    raise NotBegun(f"{name}, {job.workload}: nothing after {BEGINNING:g} s")
                if now > deadline:
                    raise TimeoutError(f"{name}, {job.workload}: {seen} of {wanted} after {PATIENCE:g} s")
                time.sleep(_pause(now - began, seen - first, wanted - seen))
    return messages * (1 - first / wanted) / max(now - began, 1e-6), cpu / messages * 1e6


def _progress(session: neo4j.Session, workload: Workload) -> Callable[[], int]:
    """A look at how much the graph holds that costs the server next to nothing; what is not committed may count."""
    if workload.per_message:
        for statement in STORAGE_INFO:
            with suppress(neo4j.exceptions.Neo4jError, KeyError):
                _stored(session, statement, 1)
                return partial(_stored, session, statement, workload.per_message)
    return partial(_seen, session, workload.done)


def _stored(session: neo4j.Session, statement: str, per_message: int) -> int:
    info = {record["storage info"]: record["value"] for record in session.run(statement)}
    return (int(info["vertex_count"]) + int(info["edge_count"])) // per_message


def prepare(host: ServerHost, workload: str, messages: int) -> None:
    """The graph as it has to be before."""
    host.run("MATCH (n:Node) DETACH DELETE n")
    host.run("CREATE INDEX ON :Node(id)")
    before = WORKLOADS[workload].before
    if before is not None:
        host.run(before, n=messages)
    if host.is_memgraph:
        host.run("FREE MEMORY")


def cpu_seconds(session: int) -> float:
    """Processor time that the processes of a session have used so far: a host, and its transforms."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
    return ticks / 100


def _pause(seconds: float, done: int, left: int) -> float:
    """
    How long to wait before the next look, in seconds: counting a large graph takes a core for a while, so it is done
    the more seldom the farther away the end is, but never for more than a twentieth of the time that has passed.
    """
    if done <= 0:
        return MIN_BACKOFF
    return max(MIN_BACKOFF, min(left * seconds / done / 4, seconds / 20, MAX_BACKOFF))


def _seen(session: neo4j.Session, query: str) -> int:
    record = session.run(query).single()
    return int((record and record["n"]) or 0)
