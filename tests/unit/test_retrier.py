"""What is asked for is applied again: what can be, once; what cannot, stays with its new error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from sluice.bolt.replies import Failure
from sluice.engine.retrier import GONE_TEXT, REMOVE, Retrier
from sluice.engine.writer import VIOLATION_TRIES
from sluice.errors import FenceLost, ScriptError, Stopped
from sluice.values.configuration import Configuration, Isolate
from sluice.values.model import Checkpoint
from sluice.values.parked_message import RetryRequest
from tests.unit.engine.fakes import BAD, CLIENT_ERROR, CONFLICT, RAISES, STOP, UNIQUE, FakeRun, FakeTransform, Server
from tests.unit.partitions import P0
from tests.unit.test_parked_message import keep


class Graph(Server):
    """A server with parked messages."""

    def __init__(self, values: Sequence[bytes], requests: Sequence[RetryRequest]) -> None:
        super().__init__(Checkpoint({P0: 50}, "t", messages=40, failed=len(values), parked=len(values), batches=7))
        self.parked = [keep(value, n) for n, value in enumerate(values, start=1)]
        self.requests = tuple(requests)


class Retry(FakeRun):
    """A retrier with all that it needs."""

    def __init__(self, graph: Graph, config: Configuration = STOP) -> None:
        super().__init__(config, size=4)
        self.transform = cast("Any", FakeTransform())
        self.graph = graph
        self.writer_of_it = self.writer(graph)
        self.retrier = Retrier(self.run, self.writer_of_it, self.transform)

    def all(self) -> Retry:
        while self.retrier.step():
            pass
        return self

    @property
    def held(self) -> Checkpoint:
        return self.writer_of_it.sink.held


ALL = RetryRequest(1, 99)


def test_a_refused_commit_shows_that_there_is_a_uniqueness_constraint():
    graph = Graph([b"m0"], [ALL])
    graph.refusals = [UNIQUE] * VIOLATION_TRIES
    Retry(graph).all()
    assert graph.unlabelled
    assert len(graph.parked) == 1
    graph = Graph([BAD], [ALL])
    Retry(graph).all()
    assert not graph.unlabelled


@pytest.mark.parametrize("places", [[], [0], [3], [9], [0, 9], [3, 4, 5], list(range(10))], ids=str)
@pytest.mark.parametrize("how", [BAD, RAISES])
def test_all_that_can_be_applied_is_and_the_rest_stays(places, how):
    values = [how if place in places else f"m{place}".encode() for place in range(10)]
    retry = Retry(Graph(values, [ALL])).all()
    assert retry.graph.applied == [value for value in values if value != how]
    left = retry.graph.parked
    assert [message.number - 1 for message in left] == places
    assert all((message.attempts, message.transform_sha256) == (1, "ab12") for message in left)
    assert {message.query for message in left} <= ({"bad"} if how == BAD else {None})
    held = retry.held
    assert (held.messages, held.failed, held.retry_completed) == (50 - len(places), len(places), 1)
    assert (held.positions, held.batches) == ({P0: 50}, 7)


def test_effect_and_removal_are_one_transaction():
    graph = Graph([b"a", b"b"], [ALL])
    Retry(graph).all()
    assert graph.transactions == [[REMOVE, "a", "b"], []]


def test_what_was_answered_is_not_asked_again():
    graph = Graph([b"a", b"b", b"c"], [RetryRequest(3, 1), RetryRequest(4, 3, 0, 3)])
    graph.held = Checkpoint({P0: 50}, "t", retry_completed=3)
    assert Retry(graph).all().held.retry_completed == 4
    assert graph.applied == [b"c"]


def test_never_is_all_or_nothing():
    graph = Graph([b"a", BAD, b"c"], [ALL])
    Retry(graph, Configuration(isolate=Isolate.NEVER)).all()
    assert (graph.applied, len(graph.parked)) == ([], 3)
    assert all(message.query == "bad" for message in graph.parked)


def _fails_to_load(retry: Retry, error: ScriptError) -> None:
    def load(_: object) -> None:
        raise error

    retry.transform.whole = load


def test_a_script_that_does_not_load_is_the_messages_error():
    retry = Retry(Graph([b"a"], [ALL]))
    _fails_to_load(retry, ScriptError("bad transform /t.py: SyntaxError"))
    retry.all()
    assert [message.error for message in retry.graph.parked] == ["bad transform /t.py: SyntaxError"]
    assert retry.held.retry_completed == 1


def test_a_script_that_does_not_load_in_time_is_nothing_against_the_message():
    retry = Retry(Graph([b"a"], [ALL]))
    text = "bad transform /t.py: loading it did not end within 10 s"
    _fails_to_load(retry, ScriptError(text, retryable=True))
    with pytest.raises(ScriptError):
        retry.all()
    assert [message.attempts for message in retry.graph.parked] == [0]
    assert retry.held.retry_completed == 0


def test_a_conflict_is_tried_again_until_it_is_over():
    graph = Graph([b"a", b"b"], [ALL])
    graph.refusals = [CONFLICT] * 3
    retry = Retry(graph).all()
    assert graph.applied == [b"a", b"b"]
    assert len(retry.cancel.waited) == 3
    assert retry.held.failed == 0


class Gone(Graph):
    """Somebody else has removed the messages meanwhile."""

    def _answer(self, tag: int, fields: list[Any]) -> Failure | None:
        if fields and fields[0] == REMOVE:
            return Failure(CLIENT_ERROR, f"Assertion failed: {GONE_TEXT}.")
        return super()._answer(tag, fields)


def test_what_somebody_else_has_removed_sends_back_to_the_checkpoint():
    retry = Retry(Gone([b"a", b"b"], [ALL]))
    with pytest.raises(FenceLost):
        retry.all()
    assert (retry.held.retry_completed, len(retry.graph.transactions)) == (0, 1)


def test_a_stop_leaves_the_rest_for_later():
    retry = Retry(Graph([b"a"], [ALL]))
    retry.cancel.set()
    with pytest.raises(Stopped):
        retry.all()
    assert (retry.held.retry_completed, retry.graph.transactions) == (0, [])
