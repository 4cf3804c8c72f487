"""CREATE, START, STOP and DROP take part in the caller's transaction, in the graph and in what runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import neo4j
import pytest

from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.test_kit import NewStream, Run, Stream, created, metadata, numbers, refusal
from tests.kafka import KafkaBroker

Canary = Callable[[], None]
Begin = Callable[[], neo4j.Transaction]


@pytest.fixture
def new_stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> NewStream:
    return lambda **where: Stream(run, kafka, tmp_path, new_stream_name(), **where)


@pytest.fixture
def stream(new_stream: NewStream) -> Stream:
    return new_stream()


@pytest.fixture
def canary(new_stream: NewStream, stream: Stream) -> Canary:
    """
    Starts another stream on the topic of `stream` and returns when it has imported everything: so the supervisor has
    looked, and a stream that had been started before would have imported something as well.
    """
    other = new_stream(topic=stream.topic)
    other.create()

    def sing() -> None:
        other.start()
        other.await_count(stream.kafka.topics.watermarks(stream.topic)[1])
        other.stop()

    return sing


@pytest.fixture
def begin(host: Host) -> Iterator[Begin]:
    """`begin()` begins an explicit transaction; it is rolled back after the test unless it was ended before."""
    with ExitStack() as ending:

        def begin() -> neo4j.Transaction:
            session = ending.enter_context(host.driver().session())
            transaction = session.begin_transaction()
            ending.callback(transaction.close)
            return transaction

        yield begin


def test_a_create_that_is_rolled_back_made_nothing(stream: Stream, begin: Begin) -> None:
    before = metadata(stream.run)
    transaction = begin()
    stream.within(transaction).create()
    assert stream.status is None
    transaction.rollback()
    assert stream.status is None
    assert metadata(stream.run) == before
    # The first CREATE of a graph that is rolled back is in the way of others for a moment.
    eventually(lambda: created(stream), timeout=30)
    assert stream.status == "stopped"


def test_a_start_that_is_rolled_back_started_nothing(stream: Stream, canary: Canary, begin: Begin) -> None:
    stream.send(numbers(0, 5))
    stream.create()
    transaction = begin()
    stream.within(transaction).start()
    transaction.rollback()
    canary()
    assert (stream.status, stream.count) == ("stopped", 0)
    stream.start()
    stream.await_values(numbers(0, 5))


@pytest.mark.parametrize("verb", [Stream.stop, Stream.drop], ids=["stop", "drop"])
def test_a_stop_or_drop_that_is_rolled_back_ended_nothing(
    stream: Stream, begin: Begin, verb: Callable[[Stream], None]
) -> None:
    stream.create()
    stream.start()
    stream.send(numbers(0, 5))
    stream.await_values(numbers(0, 5))
    transaction = begin()
    verb(stream.within(transaction))
    stream.send(numbers(5, 10))
    stream.await_values(numbers(0, 10))
    transaction.rollback()
    assert stream.status == "running"
    stream.send(numbers(10, 15))
    stream.await_values(numbers(0, 15))
    stream.stop()
    assert stream.status == "stopped"


def test_a_start_in_a_transaction_begins_to_consume_only_when_it_is_committed(
    stream: Stream, canary: Canary, begin: Begin
) -> None:
    stream.send(numbers(0, 5))
    stream.create()
    transaction = begin()
    inside = stream.within(transaction)
    inside.start()
    assert (inside.status, stream.status) == ("running", "stopped")
    canary()
    assert stream.count == 0
    transaction.commit()
    assert stream.status == "running"
    stream.await_values(numbers(0, 5))


def test_a_transaction_sees_what_it_has_itself_written(stream: Stream, begin: Begin) -> None:
    before = metadata(stream.run)
    stream.send(["1"])
    transaction = begin()
    inside = stream.within(transaction)
    inside.create()
    assert inside.status == "stopped"
    assert [row["params"] for row in inside.test()] == [{"value": "1"}]
    inside.start()
    assert inside.status == "running"
    inside.stop()
    assert inside.status == "stopped"
    inside.drop()
    assert inside.status is None
    transaction.commit()
    assert metadata(stream.run) == before
    assert stream.count == 0


def test_create_and_start_may_be_one_transaction(stream: Stream, begin: Begin) -> None:
    stream.send(numbers(0, 5))
    transaction = begin()
    stream.within(transaction).create()
    stream.within(transaction).start()
    transaction.commit()
    stream.await_values(numbers(0, 5))


def test_an_error_in_a_transaction_takes_back_what_it_did_before(stream: Stream, begin: Begin) -> None:
    before = metadata(stream.run)
    transaction = begin()
    inside = stream.within(transaction)
    inside.create()
    expected = f"sluice.errors.StreamExists: Kafka stream {stream.name}, a stream of that name exists already"
    assert refusal(inside.create) == expected
    transaction.rollback()
    assert stream.status is None
    assert metadata(stream.run) == before


@pytest.mark.memgraph_only("the sandbox ends no transaction of another client")
@pytest.mark.parametrize(
    "call", ["CALL streams.test($name, 1) YIELD query", "CALL streams.try_transform($uri, ['1']) YIELD query"]
)
def test_a_call_that_is_terminated_says_so_and_changes_nothing(stream: Stream, run: Run, call: str) -> None:
    slow = stream.script("import time\ndef stream(batch):\n    time.sleep(25)\n    return []")
    stream.create(transform_uri=slow)
    stream.send(numbers(0, 1))

    def terminated() -> bool:
        for row in run("SHOW TRANSACTIONS"):
            if any("CALL streams." in query for query in row["query"]):
                run(f"TERMINATE TRANSACTIONS '{row['transaction_id']}'")
                return True
        return False

    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(refusal, run, call, name=stream.name, uri=slow)
        eventually(terminated)
        assert calling.result(15).startswith("sluice.errors.CallAborted: aborted by TERMINATE TRANSACTIONS")
    assert stream.status == "stopped"


def test_a_running_stream_can_be_replaced_in_one_transaction(stream: Stream, begin: Begin) -> None:
    stream.create()
    stream.start()
    stream.send(numbers(0, 10))
    stream.await_values(numbers(0, 10))
    transaction = begin()
    replacement = stream.within(transaction)
    replacement.label = f"{stream.label}_again"
    replacement.drop()
    replacement.create()
    replacement.start()
    transaction.commit()
    replacement.run = stream.run
    replacement.await_values(numbers(0, 10))
    replacement.send(numbers(10, 15))
    replacement.await_values(numbers(0, 15))
    assert stream.values == numbers(0, 10)
    assert stream.status == "running"


def test_of_two_creates_of_one_name_at_once_at_most_one_wins(host: Host, new_stream: NewStream) -> None:
    topic = new_stream().topic
    metadata(host.run)
    for _ in range(5):
        stream = new_stream(topic=topic)
        together = threading.Barrier(2)

        def create(stream: Stream = stream, together: threading.Barrier = together) -> bool:
            together.wait(10)
            try:
                stream.create()
            except neo4j.exceptions.Neo4jError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            won = sum(pool.map(lambda _, create=create: create(), range(2)))
        listed = [row for row in host.run("CALL streams.show() YIELD name") if row["name"] == stream.name]
        assert won <= 1
        assert len(listed) == won


def test_two_open_transactions_that_create_one_name_cannot_both_commit(stream: Stream, begin: Begin) -> None:
    metadata(stream.run)
    first, second = begin(), begin()
    stream.within(first).create()
    committed = 0
    with suppress(neo4j.exceptions.Neo4jError):
        stream.within(second).create()
        second.commit()
        committed += 1
    with suppress(neo4j.exceptions.Neo4jError):
        first.commit()
        committed += 1
    assert committed == 1
    names = [row["name"] for row in stream.run("CALL streams.show() YIELD name")]
    assert names.count(stream.name) == 1


def test_stop_and_start_during_ingestion_never_conflict_and_nothing_is_lost_or_twice(stream: Stream) -> None:
    stream.create(size=2)
    for turn in range(20):
        before = stream.count
        stream.send(numbers(100 * turn, 100 * turn + 100))
        stream.start()
        stream.await_at_least(before + 1)
        stream.stop()
        assert stream.status == "stopped"
    stream.start()
    stream.await_values(numbers(0, 2000))
