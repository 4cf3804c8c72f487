"""Several clients CREATE, replace or drop one stream at the same time: there is one of a name, whatever the server."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import neo4j
import pytest

from tests.eventually import MOST_SLACK, eventually, within
from tests.hosts import Host, ScriptServer
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import EXAMPLE, OwnHost, Stream, created
from tests.kafka import KafkaBroker

MANAGED = {True: 48, False: 8}
"""
Transactions that drivers try again until they are committed: on Memgraph, which works on a few at a time, and on the
sandbox, which loads the scripts of all at once.
"""

DRIVERS = 6

MANAGED_SECONDS = {True: 30.0, False: 120.0}
"How long they may take."

PATIENT = {"SLUICE_BROKER_TIMEOUT": "30"}
"For machines that are busy with other tests as well."

OUTCOMES = {"exists already": "exists", "try again": "conflict", "conflicting transactions": "conflict"}
"What a CREATE that was not the one may end with, by a part of its text."


@pytest.fixture
def stream_on(kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Callable[[Host], Stream]:
    """A stream on a host, not created."""
    return lambda host: Stream(host.run, kafka, tmp_path, new_stream_name())


def outcome_of(session: neo4j.Session, stream: Stream, together: threading.Barrier) -> str:
    """How a CREATE in an explicit transaction ends that begins together with those of others."""
    transaction = session.begin_transaction()
    transaction.run("MATCH (n) RETURN count(n) AS count").consume()  # from here on it sees one state of the graph
    together.wait(20)
    try:
        stream.within(transaction).create()
        transaction.commit()
    except neo4j.exceptions.Neo4jError as error:
        transaction.close()
        return next((kind for text, kind in OUTCOMES.items() if text in str(error)), str(error))
    return "created"


def create_at_once(host: Host, stream: Stream, clients: int) -> Counter[str]:
    together = threading.Barrier(clients)
    with ExitStack() as sessions, ThreadPoolExecutor(clients) as pool:
        made = [sessions.enter_context(sessions.enter_context(host.new_driver()).session()) for _ in range(clients)]
        return Counter(pool.map(lambda session: outcome_of(session, stream, together), made))


def shown(host: Host) -> list[str]:
    return [row["name"] for row in host.run("CALL streams.show() YIELD name")]


@pytest.mark.parametrize("clients", [2, 8])
def test_of_several_first_creates_on_a_fresh_server_one_makes_the_stream(
    own_host: OwnHost, stream_on: Callable[[Host], Stream], clients: int
) -> None:
    host = own_host(env=PATIENT)
    stream = stream_on(host)
    outcomes = create_at_once(host, stream, clients)
    assert outcomes["created"] == 1, outcomes
    assert outcomes.keys() <= {"created", "exists", "conflict"}
    assert shown(host) == [stream.name]
    assert host.run("MATCH (c:SluiceCatalog) RETURN count(c) AS count") == [{"count": 1}]
    stream.start()
    stream.await_status("running")


@pytest.mark.parametrize("clients", [2, 8])
def test_of_several_creates_of_one_name_one_makes_the_stream(
    host: Host, stream_on: Callable[[Host], Stream], clients: int
) -> None:
    before, stream = stream_on(host), stream_on(host)
    before.create()
    outcomes = create_at_once(host, stream, clients)
    assert outcomes["created"] == 1, outcomes
    assert outcomes.keys() <= {"created", "exists", "conflict"}
    assert sorted(name for name in shown(host) if name in (before.name, stream.name)) == sorted(
        [before.name, stream.name]
    )


def test_a_first_create_that_is_rolled_back_is_in_nobodys_way_for_long(
    own_host: OwnHost, stream_on: Callable[[Host], Stream]
) -> None:
    host = own_host(env=PATIENT)
    stream = stream_on(host)
    with host.new_driver() as driver, driver.session() as session:
        transaction = session.begin_transaction()
        stream.within(transaction).create()
        assert "try again" in refused(stream)
        transaction.rollback()
    eventually(lambda: created(stream), timeout=30)
    assert shown(host) == [stream.name]


def refused(stream: Stream) -> str:
    with pytest.raises(neo4j.exceptions.Neo4jError) as caught:
        stream.create()
    return str(caught.value)


def test_one_transaction_may_create_and_drop_several_streams(
    empty_host: Host, stream_on: Callable[[Host], Stream]
) -> None:
    host = empty_host
    streams = [stream_on(host) for _ in range(3)]
    for _ in range(2):  # without a catalog, and with one
        with host.new_driver() as driver, driver.session() as session, session.begin_transaction() as transaction:
            for stream in streams:
                stream.within(transaction).create()
            streams[0].within(transaction).drop()
            streams[0].within(transaction).create()
            transaction.commit()
        assert shown(host) == sorted(stream.name for stream in streams)
        with host.new_driver() as driver, driver.session() as session, session.begin_transaction() as transaction:
            for stream in streams:
                stream.within(transaction).drop()
            transaction.commit()
        assert shown(host) == []


def test_managed_transactions_of_drivers_get_through(
    empty_host: Host, tmp_path: Path, kafka: KafkaBroker, script_server: ScriptServer
) -> None:
    host = empty_host
    words = {"uri": kafka.bootstrap, "topic": kafka.topics.create(), "script": script_server.serve("/t.py", EXAMPLE)}
    limit = MANAGED_SECONDS[host.is_memgraph]
    names = [f"managed_{number}" for number in range(MANAGED[host.is_memgraph])]

    def create(transaction: neo4j.ManagedTransaction, name: str) -> None:
        clause = f"CREATE STREAM {name} AS LOAD DATA KAFKA $uri WITH TOPIC $topic WITH TRANSFORM $script"
        transaction.run(clause, words).consume()

    with ExitStack() as ending:
        shim = ShimServer(tmp_path, host.port)
        ending.callback(shim.kill)
        shim.start()
        drivers = [
            ending.enter_context(
                neo4j.GraphDatabase.driver(
                    shim.uri, telemetry_disabled=True, max_transaction_retry_time=MOST_SLACK * limit
                )
            )
            for _ in range(DRIVERS)
        ]

        def run(number: int) -> None:
            with drivers[number % DRIVERS].session() as session:
                session.execute_write(create, names[number])

        with ThreadPoolExecutor(len(names)) as pool:
            began = time.monotonic()
            list(pool.map(run, range(len(names))))
            seconds = time.monotonic() - began
    assert shown(host) == sorted(names)
    print(f"{len(names)} managed transactions took {seconds:.1f} s")
    assert within(limit, began)
