"""
What the benchmarks send: messages of a kind, the transform for them, and how to see how far the graph is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

EDGES_SOURCE = """
def stream(batch):
    queries = []
    for message in batch:
        words = message.decode().split()
        if len(words) == 1:
            queries.append(("CREATE (:Node {id: $id})", {"id": words[0]}))
        else:
            query = "MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m)"
            queries.append((query, {"from_id": words[0], "to_id": words[1]}))
    return queries
"""

UPSERT_SOURCE = """
import json

def stream(batch):
    queries = []
    for message in batch:
        entity = json.loads(message)
        queries.append(("MERGE (n:Node {id: $id}) SET n.name = $name, n.age = $age, n.seen = $seen", entity))
    return queries
"""

MAP_SOURCE = """
import json

def stream(batch):
    queries = []
    for message in batch:
        entity = json.loads(message)
        query = "MERGE (n:Node {id: $id}) SET n += $properties"
        queries.append((query, {"id": entity.pop("id"), "properties": entity}))
    return queries
"""

READY_SOURCE = """
from sluice import ready

globals().update(ready.configured("cypher", {"query": "MERGE (n:Node {id: $value.id}) SET n += $value"}))
"""
"What `sluice:cypher` does with the messages of `map`."

WIDE_SOURCE = """
import json

def stream(batch):
    return [("CREATE (n:Node) SET n = $row", {"row": json.loads(message)}) for message in batch]
"""

COUNTER_SOURCE = """
def stream(batch):
    return [("MATCH (n:Node {id: $id}) SET n.count = n.count + 1", {"id": message.decode()}) for message in batch]
"""

CHAIN_SOURCE = """
def stream(batch):
    queries = []
    for message in batch:
        number = int(message)
        if number == 0:
            queries.append(("CREATE (:Node {id: $id})", {"id": number}))
        else:
            query = "MATCH (n:Node {id: $last}) CREATE (n)-[:Edge]->(:Node {id: $id})"
            queries.append((query, {"last": number - 1, "id": number}))
    return queries
"""

BUSY_SOURCE = """
import time

def stream(batch):
    queries = []
    for message in batch:
        until = time.thread_time() + 0.0001
        while time.thread_time() < until:
            pass
        queries.append(("MERGE (:Node {id: $id})", {"id": message.decode()}))
    return queries
"""
"100 us of processor time for each message."

SLOW_SOURCE = """
import time

def stream(batch):
    queries = []
    for message in batch:
        time.sleep(0.005)
        queries.append(("MERGE (:Node {id: $id})", {"id": message.decode()}))
    return queries
"""
"5 ms of waiting for each message, as for a service."

COUNT_VERTICES = "MATCH (n:Node) RETURN count(n) AS n"
COUNT_EDGES = "MATCH (:Node)-[e:Edge]->(:Node) RETURN count(e) AS n"
COUNT_BOTH = "MATCH (n:Node) OPTIONAL MATCH (n)-[e:Edge]->() RETURN count(DISTINCT n) + count(e) AS n"
SUM_COUNTERS = "MATCH (n:Node) RETURN sum(n.count) AS n"
SUM_SEEN = "MATCH (n:Node) RETURN sum(n.seen) AS n"


@dataclass(frozen=True)
class Workload:
    """Messages of one kind."""

    source: str
    "The transform script, the specification's `stream(batch)`."
    messages: Callable[[int], list[bytes]]
    "So many messages, the same ones each time."
    done: str
    "A query that gives n: how many messages are in the graph; for upserts, the sum that all of them leave."
    before: str | None = None
    "What the graph holds before, with $n; None: nothing."
    per_message: int = 1
    "Vertices and relationships that each message makes; 0: not always as many."


def _numbers(n: int) -> list[bytes]:
    return [b"%d" % i for i in range(n)]


def _edges(n: int) -> list[bytes]:
    rng = random.Random(7)
    return [b"%d %d" % (rng.randrange(n), rng.randrange(n)) for _ in range(n)]


def _mixed(n: int) -> list[bytes]:
    """Half vertices, half edges between vertices that are there by then, in random order."""
    rng = random.Random(8)
    messages, made = [b"0"], 1
    while len(messages) < n:
        if rng.random() < 0.5:
            messages.append(b"%d" % made)
            made += 1
        else:
            messages.append(b"%d %d" % (rng.randrange(made), rng.randrange(made)))
    return messages


def _upserts(n: int) -> list[bytes]:
    rng = random.Random(9)
    keys = [rng.randrange(max(1, n // 4)) for _ in range(n)]
    return [json.dumps({"id": k, "name": f"name {k}", "age": i % 90, "seen": i}).encode() for i, k in enumerate(keys)]


def _inserts(n: int) -> list[bytes]:
    """Each key once, so that no two streams have one in common."""
    return [json.dumps({"id": i, "name": f"name {i}", "age": i % 90, "seen": i}).encode() for i in range(n)]


def _wide(n: int) -> list[bytes]:
    return [json.dumps({"id": i, **{f"p{j}": f"value {i} {j}" for j in range(20)}}).encode() for i in range(n)]


def _counters(n: int) -> list[bytes]:
    rng = random.Random(10)
    return [b"%d" % rng.randrange(1000) for _ in range(n)]


MAKE_NODES = "UNWIND range(0, $n - 1) AS i CREATE (:Node {id: toString(i)})"
MAKE_COUNTERS = "UNWIND range(0, 999) AS i CREATE (:Node {id: toString(i), count: 0})"

WORKLOADS = {
    "vertices": Workload(EDGES_SOURCE, _numbers, COUNT_VERTICES),
    "edges": Workload(EDGES_SOURCE, _edges, COUNT_EDGES, MAKE_NODES),
    "mixed": Workload(EDGES_SOURCE, _mixed, COUNT_BOTH),
    "upsert": Workload(UPSERT_SOURCE, _upserts, SUM_SEEN, per_message=0),
    "map": Workload(MAP_SOURCE, _upserts, SUM_SEEN, per_message=0),
    "ready": Workload(READY_SOURCE, _upserts, SUM_SEEN, per_message=0),
    "inserts": Workload(UPSERT_SOURCE, _inserts, COUNT_VERTICES),
    "counter": Workload(COUNTER_SOURCE, _counters, SUM_COUNTERS, MAKE_COUNTERS, 0),
    "chain": Workload(CHAIN_SOURCE, _numbers, COUNT_VERTICES, per_message=2),
    "busy": Workload(BUSY_SOURCE, _numbers, COUNT_VERTICES),
    "slow": Workload(SLOW_SOURCE, _numbers, COUNT_VERTICES),
    "wide": Workload(WIDE_SOURCE, _wide, COUNT_VERTICES),
}


def final(name: str, n: int) -> int:
    """What `done` gives once all n messages are in the graph."""
    if WORKLOADS[name].done == SUM_SEEN:
        last = {json.loads(message)["id"]: i for i, message in enumerate(WORKLOADS[name].messages(n))}
        return sum(last.values())
    return n
