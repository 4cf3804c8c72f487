"""`python -m tests.hosts.classes` makes the file that the sandbox's JVM finds its classes in, if it is not there."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import neo4j

from sandbox import class_cache
from sandbox.engine import USER, Engine

OPTIONS = "ARCADEDB_JVM_ARGS"  # a variable that `arcadedb_embedded` adds to the JVM's arguments
TIMEOUT = 120.0  # seconds that the JVM may take to write the file, at its end

QUERIES = (
    "UNWIND range(1, 100) AS k CREATE (:A {k: k})-[:R {k: k}]->(:B)",
    "UNWIND $rows AS row MERGE (a:A {k: row.k}) ON CREATE SET a.n = 1 ON MATCH SET a += row MERGE (a)-[r:R]->(:C)",
    "MATCH (a:A)-[r]->(b) WHERE a.k > 10 AND NOT b:C RETURN a.k AS k, count(r) AS n ORDER BY k LIMIT 5",
    "MATCH (a:A) WITH a, CASE WHEN a.k % 2 = 0 THEN 'even' ELSE 'odd' END AS kind SET a.kind = kind",
    "MATCH (c:C) DETACH DELETE c",
)
"What clients do with a graph, so that the classes for that are among them."


def make() -> bool:
    """Make the file; False if this JVM, which may be older than 25, made none."""
    class_cache.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=class_cache.FOLDER) as scratch:
        made = Path(scratch, "made.aot")
        os.environ[OPTIONS] = f"-XX:+IgnoreUnrecognizedVMOptions -XX:AOTCacheOutput={made}"
        engine = Engine(Path(scratch, "graph"), subprocess.DEVNULL)
        engine.start()
        try:
            engine.wait_until_up()
            auth = (USER, engine.password)
            with neo4j.GraphDatabase.driver(f"bolt://127.0.0.1:{engine.port}", auth=auth) as driver:
                for query in QUERIES:
                    driver.execute_query(query, rows=[{"k": k, "v": "x"} for k in range(200)])
        finally:
            engine.stop(TIMEOUT)
        if made.exists():
            made.rename(class_cache.path())  # at once: whoever starts a sandbox meanwhile sees all of it, or nothing
    return class_cache.path().exists()


if __name__ == "__main__" and not class_cache.path().exists():
    print(f"the sandbox's classes: {class_cache.path() if make() else 'this JVM keeps none'}")
