"""Triggers that run in, or after, the transactions of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.integration.configured import Configured
from tests.integration.test_kit import Run, numbers
from tests.kafka import KafkaBroker

pytestmark = pytest.mark.memgraph_only("the sandbox has no triggers")

UPSERTS = """
def stream(batch):
    return [("MERGE (n:LABEL {value: $value}) SET n.seen = coalesce(n.seen, 0) + 1", {"value": message.decode()})
            for message in batch]
"""

TOUCH = "UNWIND updatedVertices AS u WITH u.vertex AS v SET v.touched = coalesce(v.touched, 0) + 1"

FAIL = "UNWIND updatedVertices AS u WITH u.vertex AS v WHERE {} SET v.touched = 1 / size([])"


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Configured:
    stream = Configured(run, kafka, tmp_path, new_stream_name())
    run(f"CREATE INDEX ON :{stream.label}(value)")
    return stream


@contextmanager
def trigger(run: Run, statement: str, phase: str = "BEFORE COMMIT") -> Iterator[None]:
    """There is a trigger named `every` that runs on each update of a vertex."""
    create = f"CREATE TRIGGER every ON () UPDATE {phase} EXECUTE {statement}"
    eventually(lambda: [run(create)], timeout=20)
    try:
        yield
    finally:
        eventually(lambda: [run("DROP TRIGGER every")], timeout=20)


@pytest.mark.parametrize("phase", ["BEFORE COMMIT", "AFTER COMMIT"])
def test_streams_get_on_beside_a_trigger_on_every_update(stream: Configured, phase: str) -> None:
    stream.configured(None, UPSERTS, size=100)
    with trigger(stream.run, TOUCH, phase):
        stream.start()
        for end in (2500, 5000):  # what is created in a transaction does not count as updated
            stream.send(numbers(0, 2500))
            stream.await_position(end, timeout=60)
        assert stream.values == numbers(0, 2500)
        assert stream.run(f"MATCH (n:{stream.label}) RETURN sum(n.seen) AS seen") == [{"seen": 5000}]
        query = f"MATCH (n:{stream.label}) WHERE n.touched IS NOT NULL RETURN count(n) AS count"
        # After a commit the trigger has a transaction of its own, which conflicts with the stream's next, and is lost.
        least = 2500 if phase == "BEFORE COMMIT" else 1
        eventually(lambda: stream.run(query)[0]["count"] >= least, timeout=20)
        stream.await_no_reason()
        assert (stream.info["messages"], stream.errors()) == (5000, [])
        stream.stop()


def test_a_trigger_that_fails_at_our_vertices_is_named_with_the_way_to_restrict_it(stream: Configured) -> None:
    stream.configured({"on_error": "skip"}, UPSERTS, size=100)
    stream.start()
    stream.send(numbers(0, 100))
    stream.await_position(100)
    with trigger(stream.run, FAIL.format("true")):
        stream.send(numbers(100, 500))
        reason = stream.await_reason("WHERE v.sluice_uid IS NULL", timeout=20)
        assert "Trigger 'every' caused the transaction to fail" in reason
        assert (stream.status, stream.info["failed"]) == ("running", 0)
    stream.await_position(500, timeout=30)
    with trigger(stream.run, FAIL.format(f"v.sluice_uid IS NULL AND v.value = '{numbers(5, 6)[0]}'")):
        stream.send(numbers(0, 10))
        stream.await_position(510, timeout=60)
    assert stream.values == numbers(0, 500)
    (failed,) = stream.errors()
    assert failed["payload"] == numbers(5, 6)[0]
    assert "Trigger 'every' caused the transaction to fail" in failed["error"]
    assert stream.run(f"MATCH (n:{stream.label}) RETURN sum(n.seen) AS seen") == [{"seen": 509}]
