"""What the server says to queries of a transform: its limits, and what it does not take inside a transaction."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NoReturn

import neo4j
import pytest

from tests.eventually import eventually
from tests.hosts import ServerHost
from tests.integration.configured import Configured
from tests.integration.test_kit import OwnHost, Run, numbers
from tests.kafka import KafkaBroker

pytestmark = pytest.mark.memgraph_only("the sandbox has other limits, and other statements")

AS_TOLD = """
def stream(batch):
    return [query for message in batch for query in queries(message.decode())]


def queries(text):
    kept = ("CREATE (:LABEL {value: $value})", {"value": text})
    return [(text[1:], {"text": text}), kept] if text.startswith("!") else [kept]
"""
"A vertex for each message; one that begins with `!` is a query that comes before it."

REFUSED = [
    "CREATE INDEX ON :Anything(x)",
    "CREATE CONSTRAINT ON (n:Anything) ASSERT n.x IS UNIQUE",
    "STORAGE MODE IN_MEMORY_ANALYTICAL",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "SET GLOBAL TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "SET NEXT TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "USE DATABASE other",
    "FREE MEMORY",
    "CREATE SNAPSHOT",
    "CREATE USER somebody",
    "SET REPLICATION ROLE TO REPLICA WITH PORT 10000",
    "SHOW STORAGE INFO",
    "TERMINATE TRANSACTIONS '1'",
    "RETURN 1; RETURN 2",
    "COMMIT",
    "CREATE (:Half); COMMIT",
    "USING PERIODIC COMMIT 1 UNWIND [1, 2] AS x CREATE (:Half)",
    "LOAD CSV FROM '/no/such/file.csv' WITH HEADER AS row CREATE (:Half)",
    "CREATE (:Half {on: date('yesterday')})",
    "CREATE (:Half) WITH 1 AS one RETURN one / 0",
    "CALL no.such() YIELD *",
]

TAKEN = [
    "DUMP DATABASE",
    "UNWIND range(1, 1000000) AS x RETURN x, 'a row that nobody wants'",
    "EXPLAIN MATCH (n) RETURN n",
    "CALL mg.procedures() YIELD *",
    "CALL { UNWIND range(1, 3) AS x CREATE (:Whole) } RETURN 1",
    "  MATCH (n:Nobody) DETACH DELETE n ;",
]


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str) -> Configured:
    return Configured(run, kafka, tmp_path, stream_name)


def test_a_query_that_no_transaction_takes_is_an_error_of_its_message_alone(stream: Configured) -> None:
    stream.configured({"on_error": "skip"}, AS_TOLD, size=100)
    values = [value for index, query in enumerate(REFUSED) for value in (f"!{query}", f"{index:02}")]
    stream.send(values)
    stream.start()
    stream.await_position(len(values), timeout=90)
    assert stream.values == [f"{index:02}" for index in range(len(REFUSED))]
    assert stream.info["failed"] == len(REFUSED)
    assert {row["payload"] for row in stream.errors(100)} == {f"!{query}" for query in REFUSED}
    assert stream.run("MATCH (n:Half) RETURN count(n) AS count") == [{"count": 0}]


def test_a_query_that_a_transaction_takes_is_taken_and_what_it_returns_is_left_where_it_is(stream: Configured) -> None:
    stream.configured({"on_error": "skip"}, AS_TOLD, size=100)
    stream.send(f"!{query}" for query in TAKEN)
    stream.start()
    stream.await_position(len(TAKEN), timeout=60)
    assert stream.values == sorted(f"!{query}" for query in TAKEN)
    assert stream.errors() == []


@pytest.mark.soak
def test_a_transaction_that_takes_longer_than_the_server_allows_is_parted(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(arguments=["--query-execution-timeout-sec=2"])
    stream = Configured(host.run, kafka, tmp_path, "slow")
    stream.configured({"on_error": "skip"}, AS_TOLD, size=100)
    began = time.monotonic()
    host.run("UNWIND range(1, 100000) AS x WITH count(x) AS n RETURN n")
    # Together far beyond two seconds, each far below.
    a_moment = int(100_000 * 0.1 / (time.monotonic() - began))
    slow = f"!UNWIND range(1, {a_moment}) AS x WITH count(x) AS n RETURN n"
    # The lists are short: Memgraph makes each as a whole, and their memory must not be what ends the query.
    endless = "!UNWIND range(1, 100000) AS x UNWIND range(1, 100000) AS y WITH count(y) AS n RETURN n"
    stream.send([*[slow] * 60, endless, "after"])
    stream.start()
    stream.await_position(62, timeout=120)
    assert stream.values == sorted([*[slow] * 60, "after"])
    (entry,) = stream.errors()
    assert (entry["offset"], "timeout" in entry["error"]) == (60, True)


def test_where_memory_is_at_its_limit_a_stream_waits_and_counts_nothing_against_its_messages(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(arguments=["--memory-limit=256"])
    stream = Configured(host.run, kafka, tmp_path, "narrow")
    stream.configured({"on_error": "skip"}, AS_TOLD)
    stream.start()
    stream.send(["first"])
    stream.await_count(1)
    for count in (1000, 100):
        with pytest.raises(neo4j.exceptions.Neo4jError, match="Memory limit exceeded"):
            fill(host, count)
    stream.send([value * 5000 for value in numbers(0, 100)])
    stream.await_reason("Memory limit exceeded")
    info = stream.info
    assert (info["status"], info["failed"]) == ("running", 0)
    while host.run("MATCH (f:Filler) RETURN count(f) AS count")[0]["count"]:
        eventually(lambda: [host.run("MATCH (f:Filler) WITH f LIMIT 1000 DELETE f")])
        host.run("FREE MEMORY")
    stream.await_count(101, timeout=60)
    stream.await_no_reason()
    assert stream.errors() == []


LARGE = (
    "!UNWIND range(1, 30000000) AS x WITH collect(x) AS xs RETURN size(xs)",
    "!UNWIND range(1, 30000000) AS x CREATE (:Half {x: x})",
)


def test_a_message_that_takes_more_memory_than_the_server_has_is_an_error_of_its_own(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(arguments=["--memory-limit=400"])
    stream = Configured(host.run, kafka, tmp_path, "large")
    stream.configured({"on_error": "skip"}, AS_TOLD, size=100)
    good = numbers(0, 100)
    stream.send([*good[:40], LARGE[0], *good[40:80], LARGE[1], *good[80:]])
    stream.start()
    stream.await_position(102, timeout=120)
    assert stream.values == good
    errors = stream.errors()
    assert [(row["offset"], row["payload"]) for row in errors] == [(81, LARGE[1]), (40, LARGE[0])]
    for row in errors:
        assert "it takes more memory than there is, " in row["error"]
        assert " MiB of the 400 MiB of --memory-limit: Memory limit exceeded!" in row["error"]
    stream.await_no_reason()


def fill(host: ServerHost, count: int) -> NoReturn:
    """Makes vertices of ten kilobytes, so many in each transaction, until the server refuses one."""
    while True:
        host.run("UNWIND range(1, $count) AS x CREATE (:Filler {text: $text})", count=count, text="x" * 10_000)
