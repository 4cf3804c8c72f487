"""What is asked for is applied again: what can be, once; what cannot, stays with its new error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import parse
from sluice.engine.retrier import CHANGE, GONE_TEXT, REMOVE, VIOLATION_TRIES, Retrier
from sluice.engine.retry_policy import RetryPolicy
from sluice.errors import FenceLost, QueryRefused, ScriptError, Stopped, TransformError, TransientFailure
from sluice.host.settings import Settings
from sluice.persistence import nodes
from sluice.scripting.process import PackedQueries
from sluice.values.configuration import Configuration, Isolate
from sluice.values.model import Checkpoint, CheckpointId, Desired, StreamSpec, Transform, VertexId
from sluice.values.parked_message import RetryRequest, message_of
from sluice.values.record import Records
from tests.unit.test_committer import Listener, Stop, packed
from tests.unit.test_parked_message import keep

CLIENT_ERROR = "Memgraph.ClientError.MemgraphError.MemgraphError"
BAD, RAISES = b"bad", b"raises"


class Graph:
    """Loopback and sink in one: the nodes that are parked, and a server that refuses bad messages."""

    def __init__(self, values: Sequence[bytes], requests: Sequence[RetryRequest]) -> None:
        self.parked = {VertexId(100 + n): keep(value, n) for n, value in enumerate(values, start=1)}
        self.requests = tuple(requests)
        self.held = Checkpoint({0: 50}, messages=40, failed=len(values), parked=len(values), batches=7)
        self.applied: list[str] = []
        self.transactions: list[list[str]] = []
        self.errors: list[Exception] = []
        self.unlabelled = 0
        self.notice = ""
        self._sent: tuple[PackedQueries, Checkpoint] | None = None

    def read_requests(self, stream_id):
        return self.requests

    def unlabel(self, checkpoint_id):
        self.unlabelled += 1

    def list_parked(self, checkpoint_id):
        return list(self.parked.items())

    def read_parked(self, uid, ids):
        assert uid == "u"
        return [(vertex, self.parked[vertex]) for vertex in ids]

    def send(self, queries: PackedQueries, reached: Checkpoint, properties: dict) -> None:
        assert properties == nodes.checkpoint_properties(reached)
        self._sent = (queries, reached)

    def settle(self) -> None:
        assert self._sent is not None
        queries, reached = self._sent
        requests = [parse(message).fields for message in MessageBuffer(1 << 20).feed(bytes(queries.frames))[::2]]
        texts = [query for query, *_ in requests]
        self.transactions.append(texts)
        if self.errors:
            raise self.errors.pop()
        if "bad" in texts:
            raise QueryRefused("refused", code=CLIENT_ERROR, index=texts.index("bad"))
        for query, parameters, *_ in requests:
            if query == REMOVE:
                for message in parameters["messages"]:
                    assert self.parked.pop(message["id"]).number == message["number"]
            elif query == CHANGE:
                for message in parameters["messages"]:
                    properties = self.parked[message["id"]].properties() | message["changes"]
                    self.parked[message["id"]] = message_of(properties)
            else:
                self.applied.append(query)
        self.held = reached


def pack(records: Records) -> PackedQueries:
    payloads = [record.value or b"" for record in records]
    if RAISES in payloads:
        raise TransformError("stream(batch) raised ValueError")
    return packed(*((payload.decode(), {"v": 1}) for payload in payloads))


def retry(graph: Graph, config: Configuration = Configuration(), *, pack=pack, stop=None) -> Graph:  # noqa: B008
    spec = StreamSpec("u", "people", "localhost:9092", "t", Transform("/t.py", "", "ab12"), batch_size=4, config=config)
    desired = Desired(VertexId(1), CheckpointId(VertexId(2), "u"), spec, generation=7, limit_batches=None)
    server: Any = graph
    listener: Any = Listener()
    retrier = Retrier(desired, Settings(), server, server, pack, stop or Stop(), listener, RetryPolicy())
    while retrier.step():
        pass
    return graph


ALL = RetryRequest(1, 99)


def test_a_refused_commit_shows_that_there_is_a_uniqueness_constraint():
    graph = Graph([b"m0"], [ALL])
    refused = QueryRefused("Unable to commit due to unique constraint violation on :U(id)", code=CLIENT_ERROR)
    graph.errors = [refused] * VIOLATION_TRIES
    assert retry(graph).unlabelled == 1
    assert len(graph.parked) == 1
    assert retry(Graph([BAD], [ALL])).unlabelled == 0


@pytest.mark.parametrize("places", [[], [0], [3], [9], [0, 9], [3, 4, 5], list(range(10))], ids=str)
@pytest.mark.parametrize("how", [BAD, RAISES])
def test_all_that_can_be_applied_is_and_the_rest_stays(places, how):
    values = [how if place in places else f"m{place}".encode() for place in range(10)]
    graph = retry(Graph(values, [ALL]))
    assert graph.applied == [value.decode() for value in values if value != how]
    left = list(graph.parked.values())
    assert [message.number - 1 for message in left] == places
    assert all((message.attempts, message.transform_sha256) == (1, "ab12") for message in left)
    assert {message.query for message in left} <= ({"bad"} if how == BAD else {None})
    held = graph.held
    assert (held.messages, held.failed, held.retry_completed, held.positions) == (
        50 - len(places),
        len(places),
        1,
        {0: 50},
    )
    assert held.batches == 7


def test_effect_and_removal_are_one_transaction():
    graph = retry(Graph([b"a", b"b"], [ALL]))
    assert graph.transactions == [[REMOVE, "a", "b"], []]


def test_what_was_answered_is_not_asked_again():
    graph = Graph([b"a", b"b", b"c"], [RetryRequest(3, 1), RetryRequest(4, 3, 0, 3)])
    graph.held = Checkpoint({}, retry_completed=3)
    assert retry(graph).applied == ["c"]
    assert graph.held.retry_completed == 4


def test_never_is_all_or_nothing():
    graph = retry(Graph([b"a", BAD, b"c"], [ALL]), Configuration(isolate=Isolate.NEVER))
    assert (graph.applied, len(graph.parked)) == ([], 3)
    assert all(message.query == "bad" for message in graph.parked.values())


def test_a_script_that_does_not_load_is_the_messages_error():
    def broken(records):
        raise ScriptError("bad transform /t.py: SyntaxError")

    graph = retry(Graph([b"a"], [ALL]), pack=broken)
    assert [message.error for message in graph.parked.values()] == ["bad transform /t.py: SyntaxError"]
    assert graph.held.retry_completed == 1


def test_a_script_that_does_not_load_in_time_is_nothing_against_the_message():
    def slow(records):
        raise ScriptError("bad transform /t.py: loading it did not end within 10 s", retryable=True)

    graph = Graph([b"a"], [ALL])
    with pytest.raises(ScriptError):
        retry(graph, pack=slow)
    assert [message.attempts for message in graph.parked.values()] == [0]
    assert graph.held.retry_completed == 0


CONFLICT = "Cannot resolve conflicting transactions."


def test_a_conflict_is_tried_again_until_it_is_over():
    graph = Graph([b"a", b"b"], [ALL])
    graph.errors = [TransientFailure(CONFLICT, code="Memgraph.TransientError.X.Y", index=1)] * 3
    stop = Stop()
    assert retry(graph, stop=stop).applied == ["a", "b"]
    assert len(stop.waited) == 3
    assert graph.held.failed == 0


def test_what_somebody_else_has_removed_sends_back_to_the_checkpoint():
    graph = Graph([b"a", b"b"], [ALL])
    graph.errors = [QueryRefused(f"Assertion failed: {GONE_TEXT}.", code=CLIENT_ERROR, index=0)]
    with pytest.raises(FenceLost):
        retry(graph)
    assert (graph.held.retry_completed, len(graph.parked), len(graph.transactions)) == (0, 2, 1)


def test_a_stop_leaves_the_rest_for_later():
    graph = Graph([b"a"], [ALL])
    stop = Stop()
    stop.set = True
    with pytest.raises(Stopped):
        retry(graph, stop=stop)
    assert (graph.held.retry_completed, graph.transactions) == (0, [])
