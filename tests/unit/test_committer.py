"""A batch that cannot be applied is taken apart: good messages once and in order, bad ones as the policy says."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Message

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import parse
from sluice.engine.committer import VIOLATION_TRIES, Committer
from sluice.engine.listener import Transaction
from sluice.engine.merge_guard import Admission, MergeGuard, Waits
from sluice.engine.retry_policy import TRIES, VIOLATIONS
from sluice.errors import (
    BrokerError,
    ConnectionLost,
    MessageRefused,
    QueryRefused,
    Stopped,
    TransformError,
    TransientFailure,
)
from sluice.host.settings import Settings
from sluice.scripting.process import PackedQueries
from sluice.values import model
from sluice.values.batch import Batch, Group
from sluice.values.configuration import Configuration, Isolate, OnError
from sluice.values.merge_keys import MergeKeys, MergeShape
from sluice.values.model import Checkpoint, CheckpointId, Desired, StreamSpec, VertexId
from sluice.values.parked_message import ParkedMessage

BAD = b"bad"
RAISES = b"raises"
ENDS = b"ends"
REFUSED = "Invalid types: int and int for '/'."
CLIENT_ERROR = "Memgraph.ClientError.MemgraphError.MemgraphError"


class FakeSink:
    """A server in miniature: a transaction whose queries include a bad one is refused, and so is all after it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.held = self.reached = Checkpoint({})
        self.applied: list[bytes] = []
        self.transactions = 0
        self.properties: dict = {}
        self.error = error or QueryRefused(REFUSED, code=CLIENT_ERROR, index=0)
        self.parked: list[ParkedMessage] = []
        self.notice = ""
        self._sent: deque[tuple[PackedQueries, Checkpoint, dict, list[ParkedMessage]]] = deque()

    @property
    def answered(self) -> bool:
        return False

    @property
    def full(self) -> bool:
        return len(self._sent) >= 3

    def send(self, queries: PackedQueries, reached: Checkpoint, properties: dict, parked=()) -> None:
        self._sent.append((queries, reached, properties, list(parked)))
        self.reached = reached

    def settle(self) -> None:
        queries, reached, properties, parked = self._sent.popleft()
        self.transactions += 1
        requests = MessageBuffer(1 << 20).feed(bytes(queries.frames))
        payloads = [parse(request).fields[0].encode() for request in requests[::2]]
        if BAD in payloads:
            self._sent.clear()
            self.reached = self.held
            raise self.error
        self.applied += payloads
        self.parked += parked
        self.held = reached
        self.properties |= properties


class Letters:
    """Notes what it is given, and how far the graph was then."""

    def __init__(self, sink: FakeSink, errors: Sequence[Exception] = ()) -> None:
        self.delivered: list[int] = []
        self.positions: list[dict] = []
        self._sink = sink
        self._errors = list(errors)

    def deliver(self, letters) -> None:
        if self._errors:
            raise self._errors.pop()
        self.delivered += [message.offset() for message, _ in letters]
        self.positions.append(dict(self._sink.held.positions))


class Listener:
    def __init__(self) -> None:
        self.troubles: list[str | None] = []
        self.refusals: list[int] = []
        self.on_their_way: list[Checkpoint] = []
        self.transactions: list[Transaction] = []

    def sent(self, transaction: Transaction) -> None:
        self.on_their_way.append(transaction.reached)

    def unsent(self) -> None:
        self.on_their_way.clear()

    def committed(self, transaction: Transaction) -> None:
        assert self.on_their_way.pop(0) == transaction.reached
        self.troubles.append(None)
        self.transactions.append(transaction)

    def trouble(self, text) -> None:
        self.troubles.append(text)

    def failed(self, text, in_seconds) -> None:
        self.troubles.append(text)

    def refused(self, text, reason, messages) -> None:
        assert reason in text
        self.refusals.append(messages)


class Stop:
    """A stop that is set, or not; notes how long was waited for it."""

    def __init__(self) -> None:
        self.set = False
        self.waited: list[float] = []

    def is_set(self) -> bool:
        return self.set

    def wait(self, timeout: float) -> bool:
        self.waited.append(timeout)
        return self.set


class Transform:
    """A transform process in miniature: does `patience` batches at a time, raises at some payloads, ends at others."""

    def __init__(self, patience: int = 1000) -> None:
        self.patience = patience
        self.calls: list[list[list[bytes]]] = []

    def __call__(self, group: Group) -> PackedQueries:
        batches = [[payload or b"" for payload in batch.payloads] for batch in group.batches]
        self.calls.append(batches)
        for number, payloads in enumerate(batches):
            if ENDS in payloads:
                return PackedQueries(0, b"", 0, failed=number, error=TransformError("its process ended"))
            if RAISES in payloads:
                error = TransformError("stream(batch) raised ValueError")
                return of_payloads(*batches[:number])._replace(failed=number, error=error)
            if number == self.patience:
                return of_payloads(*batches[:number])
        return of_payloads(*batches)


def of_payloads(*batches: Sequence[bytes]) -> PackedQueries:
    return packed(*((payload.decode(), {}) for payloads in batches for payload in payloads), batches=len(batches))


def packed(*queries: tuple[str, dict], batches: int = 1) -> PackedQueries:
    frames = (frame(messages.run(*query)) + frame(messages.pull(-1)) for query in queries)
    return PackedQueries(len(queries), b"".join(frames), batches, len(queries))


def batch(payloads: Sequence[bytes], start: int = 0) -> Batch:
    return Batch([Message(topic="t", partition=0, offset=start + i, value=v) for i, v in enumerate(payloads)])


def _standing_in(*fakes: object) -> Any:
    """The same objects, for places that want what they stand in for."""
    return fakes


class Run:
    """An applier with all that it needs."""

    def __init__(
        self,
        config: Configuration = Configuration(),  # noqa: B008
        *,
        error=None,
        letter_errors=(),
        limit=None,
        size=10,
        patience=1000,
    ) -> None:
        spec = StreamSpec(
            "u", "people", "localhost:9092", "t", model.Transform("/t.py", "", "ab12"), batch_size=size, config=config
        )
        desired = Desired(VertexId(1), CheckpointId(VertexId(2), "u"), spec, generation=7, limit_batches=limit)
        self.sink = FakeSink(error)
        self.letters = Letters(self.sink, letter_errors)
        self.listener = Listener()
        self.stop = Stop()
        self.transform = Transform(patience)
        sink, letters, stop, listener = _standing_in(self.sink, self.letters, self.stop, self.listener)
        self.applier = Committer(
            desired,
            Settings(error_history=5),
            sink,
            self.transform,
            letters,
            stop,
            listener,
            count_parked=lambda: len(self.sink.parked),
            violated=self._violated,
        )
        self.violations = 0

    def _violated(self) -> None:
        assert not self.applier.in_flight
        self.violations += 1

    def serve_by(self, sink: FakeSink) -> None:
        """Another server from now on."""
        self.sink = sink
        (self.applier._sink,) = _standing_in(sink)

    def feed(self, *batches: Sequence[bytes]) -> Run:
        start = 0
        for payloads in batches:
            if self.applier.full:
                self.applier.settle()
            self.applier.apply(Group([batch(payloads, start)]))
            start += len(payloads)
        self.applier.drain()
        return self

    def feed_group(self, *batches: Sequence[bytes]) -> Run:
        """Several batches as one group."""
        starts = itertools.accumulate(map(len, batches), initial=0)
        self.applier.apply(Group([batch(payloads, start) for payloads, start in zip(batches, starts, strict=False)]))
        self.applier.drain()
        return self

    @property
    def held(self) -> Checkpoint:
        return self.sink.held


SKIP = Configuration(on_error=OnError.SKIP)


def good(count: int) -> list[bytes]:
    return [f"m{i}".encode() for i in range(count)]


def spoilt(count: int, places: Sequence[int], how: bytes = BAD) -> list[bytes]:
    return [how if i in places else payload for i, payload in enumerate(good(count))]


@pytest.mark.parametrize("how", [BAD, RAISES])
@pytest.mark.parametrize("places", [[0], [4], [9], [0, 9], [3, 4, 5], list(range(10))], ids=str)
def test_skip_applies_every_good_message_once_and_in_order(how, places):
    payloads = spoilt(10, places, how)
    run = Run(SKIP).feed(payloads)
    assert run.sink.applied == [payload for payload in payloads if payload != how]
    assert run.held.positions == {0: 10}
    assert (run.held.messages, run.held.failed, run.held.batches) == (10 - len(places), len(places), 1)
    assert [entry.offset for entry in run.held.history] == places[-5:]


@pytest.mark.parametrize(
    ("text", "violated"),
    [
        ("Unable to commit due to unique constraint violation on :Person(id)", True),
        ("Unable to commit due to existence constraint violation on :Person(id)", False),
        (REFUSED, False),
    ],
)
def test_a_refused_commit_shows_that_there_is_a_uniqueness_constraint(text, violated):
    error = QueryRefused(text, code=CLIENT_ERROR)
    run = Run(SKIP, error=error).feed(good(4), spoilt(4, [1]), good(4))
    assert bool(run.violations) is violated
    assert run.held.positions == {0: 12}


def test_each_message_that_is_passed_over_is_told_once():
    run = Run(SKIP).feed(spoilt(10, [2, 3]), spoilt(10, [5]))
    assert [count for count in run.listener.refusals if count] == [1, 1, 1]
    run = Run(dataclasses.replace(SKIP, isolate=Isolate.NEVER)).feed(spoilt(10, [2, 3]))
    assert [count for count in run.listener.refusals if count] == [10]


def test_k_bad_messages_of_n_cost_at_most_2_k_log2_n_transactions_and_one():
    source = random.Random(1)
    for _ in range(300):
        n = source.randint(2, 200)
        k = source.randint(1, min(n, 12))
        places = source.sample(range(n), k)
        run = Run(SKIP).feed(spoilt(n, places))
        trailing = n - 1 in places
        assert run.sink.transactions <= 2 * k * math.ceil(math.log2(n)) + 1 + trailing


@pytest.mark.parametrize("place", range(8))
def test_stop_applies_what_comes_before_and_says_where_it_stopped(place):
    run = Run()
    with pytest.raises(MessageRefused) as caught:
        run.feed(good(8), spoilt(8, [place]), good(8))
    assert str(caught.value) == (
        f"Kafka stream people, topic t, partition 0, offset {8 + place}: {REFUSED}; START STREAM people tries it "
        "again, on_error 'skip', 'park' or 'dead_letter' continues after it"
    )
    assert run.sink.applied == good(8) + good(8)[:place]
    assert run.held.positions == {0: 8 + place}
    assert (run.held.failed, run.held.messages) == (0, 8 + place)
    assert [(entry.action, entry.offset) for entry in run.held.history] == [("stop", 8 + place)]
    assert run.sink.properties["ended_generation"] == 7
    assert run.sink.properties["ended_status"] == "error"
    assert run.sink.properties["error"] == str(caught.value)


def test_batches_behind_a_refused_one_are_applied_after_it():
    run = Run(SKIP).feed(spoilt(4, [1]), good(4), spoilt(4, [0], RAISES), good(4), spoilt(4, [3]))
    assert run.sink.applied == spoilt(4, [1])[:1] + good(4)[2:] + good(4) + good(4)[1:] + good(4) + good(4)[:3]
    assert run.held.positions == {0: 20}
    assert (run.held.batches, run.held.messages, run.held.failed) == (5, 17, 3)


def test_a_limit_counts_a_batch_with_a_bad_message_as_one():
    run = Run(SKIP, limit=2).feed(spoilt(4, [3]), spoilt(4, [0, 3]))
    assert run.held.batches_in(7) == 2
    assert run.applier.finished
    assert run.sink.properties["ended_status"] == "stopped"


def test_a_dead_letter_is_delivered_before_the_checkpoint_passes_it():
    config = Configuration(on_error=OnError.DEAD_LETTER, dead_letter_topic="t.errors")
    run = Run(config).feed(spoilt(8, [2, 7]))
    assert run.letters.delivered == [2, 7]
    assert run.letters.positions == [{0: 2}, {0: 7}]
    assert run.held.positions == {0: 8}


def test_a_letter_that_is_not_delivered_holds_the_checkpoint():
    config = Configuration(on_error=OnError.DEAD_LETTER, dead_letter_topic="t.errors")
    run = Run(config, letter_errors=[BrokerError("away")])
    with pytest.raises(BrokerError):
        run.feed(spoilt(8, [2]))
    assert run.held.positions == {0: 2}
    assert run.held.failed == 0


def test_never_sets_aside_the_whole_batch():
    run = Run(dataclasses.replace(SKIP, isolate=Isolate.NEVER)).feed(good(3), spoilt(3, [1]), good(3))
    assert run.sink.applied == good(3) + good(3)
    assert (run.held.failed, run.held.messages, run.held.batches) == (3, 6, 3)
    assert [entry.offset for entry in run.held.history] == [3, 4, 5]


def test_never_stops_at_the_whole_batch():
    run = Run(Configuration(isolate=Isolate.NEVER))
    with pytest.raises(MessageRefused, match="topic t, 3 messages from partition 0, offset 3: "):
        run.feed(good(3), spoilt(3, [1]))
    assert run.held.positions == {0: 3}


KEEP = Configuration(on_error=OnError.PARK, park_limit=3)


@pytest.mark.parametrize("places", [[0], [4], [9], [0, 9], [3, 4, 5]], ids=str)
def test_keep_makes_each_a_node_in_the_transaction_that_passes_it(places):
    run = Run(KEEP).feed(spoilt(10, places))
    assert run.sink.applied == [payload for payload in spoilt(10, places) if payload != BAD]
    assert [(message.number, message.offset) for message in run.sink.parked] == list(enumerate(places, 1))
    assert (run.held.positions, run.held.failed, run.held.parked) == ({0: 10}, len(places), len(places))
    assert [entry.action for entry in run.held.history] == ["park"] * len(places)


def test_keep_stops_where_there_is_no_more_room():
    run = Run(KEEP)
    with pytest.raises(MessageRefused, match="offset 6: .*; 3 messages are parked already, and park_limit is 3: CALL"):
        run.feed(spoilt(10, [1, 3, 5, 6]))
    assert [message.offset for message in run.sink.parked] == [1, 3, 5]
    assert (run.held.positions, run.held.failed) == ({0: 6}, 3)
    assert run.held.history[-1].action == "stop"


@pytest.mark.parametrize(
    "error",
    [
        QueryRefused("Write query forbidden on the replica!", code=CLIENT_ERROR, index=0),
        QueryRefused("At least one SYNC replica has not confirmed committing last transaction.", code=CLIENT_ERROR),
        QueryRefused("merge.node: Error in serialization!", code=CLIENT_ERROR, index=0),
        ConnectionLost("gone"),
    ],
    ids=str,
)
def test_what_is_not_the_messages_fault_never_counts_against_it(error):
    run = Run(SKIP, error=error)
    with pytest.raises(type(error)):
        run.feed(spoilt(4, [1]))
    assert run.sink.transactions == 1
    assert run.held == Checkpoint({})


def test_a_stop_ends_the_search():
    run = Run(SKIP)
    run.applier.apply(Group([batch(spoilt(4, [1]))]))
    run.stop.set = True
    with pytest.raises(Stopped):
        run.applier.drain()
    assert run.sink.transactions == 1


def test_what_only_the_code_calls_transient_counts_against_the_message_in_the_end():
    error = TransientFailure("Invalid string for date.", code="Memgraph.TransientError.X", index=0)
    run = Run(SKIP, error=error).feed(spoilt(10, [4, 7]))
    assert run.sink.applied == [payload for payload in spoilt(10, [4, 7]) if payload != BAD]
    assert (run.held.positions, run.held.messages, run.held.failed) == ({0: 10}, 8, 2)
    # It was believed for a while; what was found out then need not be found out again.
    assert len(run.stop.waited) == TRIES
    assert run.listener.troubles[:TRIES] == [str(error)] * TRIES


class Conflicts(FakeSink):
    """Refuses the first so many transactions that are not empty, whatever is in them, for a reason that passes."""

    def __init__(self, refusals: int) -> None:
        super().__init__(TransientFailure("Cannot resolve conflicting transactions.", code="Memgraph.TransientError.X"))
        self.refusals = refusals

    def settle(self) -> None:
        if self.refusals:
            self.refusals -= 1
            self.transactions += 1
            self._sent.clear()
            self.reached = self.held
            raise self.error
        super().settle()


@pytest.mark.parametrize("refusals", [1, 2, 9])
def test_a_conflict_is_tried_again_in_smaller_groups_until_it_has_passed(refusals):
    run = Run(SKIP)
    run.serve_by(Conflicts(refusals))
    batches = [good(10)] * 8
    run.feed_group(*batches)
    assert run.sink.applied == [payload for payloads in batches for payload in payloads]
    assert (run.held.positions, run.held.batches, run.held.messages) == ({0: 80}, 8, 80)
    assert len(run.stop.waited) == refusals
    assert run.listener.troubles[:2] == ["Cannot resolve conflicting transactions."] + [
        "Cannot resolve conflicting transactions." if refusals > 1 else None
    ]
    assert run.listener.troubles[-1] is None
    assert run.listener.transactions[0].refusals == refusals
    assert run.listener.transactions[0].batches == max(1, 8 >> refusals)


def test_groups_grow_again_after_a_conflict():
    run = Run()
    run.serve_by(Conflicts(3))
    full = run.applier.room
    start = 0
    rooms: list[int] = []
    while len(rooms) < 2 or rooms[-1] < full:
        rooms.append(run.applier.room)
        group = Group([batch(good(10), start + 10 * i) for i in range(run.applier.room)])
        start += group.messages
        run.applier.apply(group)
        run.applier.drain()
    assert rooms[0] == full
    assert rooms[1] < full // 3
    assert len(rooms) < 60
    assert run.held.positions == {0: start}


def test_a_stop_ends_the_wait_for_a_conflict_to_pass():
    run = Run()
    run.serve_by(Conflicts(10))
    run.applier.apply(Group([batch(good(3))]))
    run.stop.set = True
    with pytest.raises(Stopped):
        run.applier.drain()


@pytest.mark.parametrize("how", [BAD, RAISES, ENDS])
@pytest.mark.parametrize("place", [(0, 0), (2, 3), (4, 9)], ids=str)
def test_a_bad_message_in_a_group_costs_the_others_nothing(how, place):
    batches = [good(10) for _ in range(5)]
    batches[place[0]][place[1]] = how
    run = Run(SKIP).feed_group(*batches)
    assert run.sink.applied == [payload for payloads in batches for payload in payloads if payload != how]
    assert run.held.positions == {0: 50}
    assert (run.held.messages, run.held.failed, run.held.batches) == (49, 1, 5)
    assert [entry.offset for entry in run.held.history] == [10 * place[0] + place[1]]


def test_a_group_stops_at_its_bad_message_with_the_batches_before_it_applied_and_counted():
    run = Run()
    with pytest.raises(MessageRefused, match="offset 23"):
        run.feed_group(good(10), good(10), spoilt(10, [3]), good(10))
    assert run.held.positions == {0: 23}
    assert (run.held.batches, run.held.messages) == (2, 23)


def test_k_bad_messages_in_a_group_cost_a_bounded_number_of_transactions():
    source = random.Random(2)
    for _ in range(200):
        b, n = source.randint(1, 40), source.randint(2, 30)
        places = source.sample(range(b * n), source.randint(1, min(b * n, 8)))
        batches = [spoilt(n, [place - n * number for place in places]) for number in range(b)]
        run = Run(SKIP).feed_group(*batches)
        depth = math.ceil(math.log2(b)) + math.ceil(math.log2(n))
        assert run.sink.transactions <= 2 * len(places) * depth + 1 + (b * n - 1 in places)
        assert run.held.batches == b
        assert run.held.messages == b * n - len(places)
        assert run.sink.applied == [payload for payloads in batches for payload in payloads if payload != BAD]


def test_batches_that_a_slow_transform_leaves_undone_follow_in_order():
    batches = [[f"{number}.{i}".encode() for i in range(3)] for number in range(7)]
    run = Run(patience=2).feed_group(*batches)
    assert run.sink.applied == [payload for payloads in batches for payload in payloads]
    assert run.sink.transactions == 4
    assert (run.held.positions, run.held.batches) == ({0: 21}, 7)
    assert all(len(payloads) == 3 for call in run.transform.calls for payloads in call)


def test_never_sets_aside_the_whole_batch_and_nothing_else_of_its_group():
    run = Run(dataclasses.replace(SKIP, isolate=Isolate.NEVER)).feed_group(good(3), good(3), spoilt(3, [1]), good(3))
    assert run.sink.applied == good(3) * 3
    assert [entry.offset for entry in run.held.history] == [6, 7, 8]
    assert run.held.batches == 4


def test_a_group_never_has_more_batches_than_the_limit_leaves():
    run = Run(limit=5)
    assert run.applier.room == 5
    run.feed_group(good(10), good(10))
    assert run.applier.room == 3
    run.feed_group(good(10), spoilt(10, []), good(10))
    assert run.held.batches_in(7) == 5
    assert run.applier.finished


def test_a_limit_is_exact_also_where_its_last_batches_hold_bad_messages():
    run = Run(SKIP, limit=3).feed_group(spoilt(4, [3]), spoilt(4, [0, 3]), spoilt(4, [3]))
    assert (run.held.batches_in(7), run.held.positions) == (3, {0: 12})
    assert run.sink.properties["ended_status"] == "stopped"


def test_what_is_told_of_a_transaction():
    run = Run().feed_group(good(4), good(3))
    (told,) = run.listener.transactions
    assert (told.batches, told.messages, told.given, told.sent, told.refusals) == (2, 7, 7, 7, 0)
    assert told.reached.positions == {0: 7}
    assert min(told.polled, told.transformed, told.written, told.committed) >= 0


@pytest.mark.parametrize(
    ("index", "size", "expected"),
    [
        pytest.param(1, 2, ("B", '{"n": 1}'), id="the query that was refused"),
        pytest.param(None, 1, ("A", '{"n": 0}'), id="refused at COMMIT, the only query"),
        pytest.param(None, 2, (None, None), id="refused at COMMIT, which of them is not known"),
    ],
)
def test_the_refused_query_is_known(index, size, expected, monkeypatch: pytest.MonkeyPatch):
    run = Run(SKIP)
    queries = packed(*[("A", {"n": 0}), ("B", {"n": 1})][:size])
    refusals = [QueryRefused(REFUSED, code=CLIENT_ERROR, index=index)]
    run.applier._pack = run.applier._fold = lambda group: queries

    def settle() -> None:
        run.sink.held = run.sink.reached
        if refusals:
            raise refusals.pop()

    monkeypatch.setattr(run.sink, "settle", settle)
    run.applier.apply(Group([batch([b"x"])]))
    run.applier.drain()
    (entry,) = run.held.history
    assert (entry.query, entry.params) == expected
    assert (entry.payload, entry.payload_bytes, entry.transform_sha256) == ("x", 1, "ab12")


UNIQUE = "Unable to commit due to unique constraint violation on :Person(id)"


class Racing(FakeSink):
    """A server on which another client has just created the same vertices, so many times in a row."""

    def __init__(self, times: int) -> None:
        super().__init__(QueryRefused(UNIQUE, code=CLIENT_ERROR))
        self.times = times

    def settle(self) -> None:
        if self.times:
            self.times -= 1
            self.transactions += 1
            self._sent.clear()
            self.reached = self.held
            raise self.error
        super().settle()


def test_a_group_that_a_constraint_refuses_for_anothers_sake_is_tried_again_and_nobody_is_to_blame():
    run = Run()
    run.serve_by(Racing(VIOLATIONS - 1))
    run.feed(good(8))
    assert run.sink.applied == good(8)
    assert run.sink.transactions == VIOLATIONS
    assert len(run.stop.waited) == VIOLATIONS - 1
    assert not run.held.failed


@pytest.mark.parametrize("times", range(VIOLATION_TRIES))
def test_a_message_that_a_constraint_refuses_is_tried_again_before_it_is_to_blame(times):
    run = Run(SKIP)
    run.serve_by(Racing(VIOLATIONS + times))
    run.feed(good(1))
    assert (run.sink.applied, run.held.failed) == (good(1), 0)


def test_what_violates_a_constraint_for_good_is_found_and_its_tries_are_bounded():
    run = Run(SKIP, error=QueryRefused(UNIQUE, code=CLIENT_ERROR))
    run.feed(spoilt(8, [3]))
    assert run.sink.applied == spoilt(8, [3])[:3] + spoilt(8, [3])[4:]
    assert run.held.failed == 1
    first = run.sink.transactions
    assert first <= 2 * math.ceil(math.log2(8)) + VIOLATIONS + VIOLATION_TRIES - 1
    pauses = len(run.stop.waited)
    run.feed(spoilt(8, [5]))
    assert len(run.stop.waited) == pauses, "that trying again was of no use is remembered"
    assert run.held.failed == 2


def _merging(number: int) -> MergeKeys:
    shape = MergeShape(False, frozenset({"P"}), frozenset({"id"}), frozenset({"id"}), frozenset(), frozenset({"P"}))
    return MergeKeys({shape: frozenset({number})})


class Merging(Run):
    """An applier beside another stream; what has the payload 7 merges the key 7, all else 1."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        guard = MergeGuard()
        self.other = Admission(guard, 99, self.stop, Waits())
        self.applier._admission = Admission(guard, 1, self.stop, Waits())
        self.applier._between = self.between
        self.applier._fold = self.keyed
        self.applier._pack = self.keyed
        self.waited: list[tuple[int, list[bytes]]] = []

    def keyed(self, group: Group) -> PackedQueries:
        return self.transform(group)._replace(keys=_merging(7 if b"7" in self.payloads(group) else 1))

    def payloads(self, group: Group) -> list[bytes | None]:
        return [payload for one in group.batches for payload in one.payloads]

    def between(self) -> None:
        """While it waits: how much is in flight, what was applied; then the other transaction ends."""
        self.waited.append((self.applier.in_flight, list(self.sink.applied)))
        self.other.committed(moved=True)


def test_a_stream_settles_what_it_has_in_flight_before_it_waits_for_another():
    run = Merging()
    assert run.other.try_enter(_merging(7))
    run.applier.apply(Group([batch([b"1"])]))
    run.applier.apply(Group([batch([b"2"], 1)]))
    assert run.applier.in_flight == 2
    run.applier.apply(Group([batch([b"7"], 2)]))
    assert run.waited == [(0, [b"1", b"2"])]
    assert run.applier.in_flight == 1
    assert not run.other.try_enter(_merging(7))
    run.applier.drain()
    assert run.sink.applied == [b"1", b"2", b"7"]
    assert run.other.try_enter(_merging(7))


def test_a_stream_that_waits_for_another_stops_when_it_is_told_to():
    run = Merging()
    assert run.other.try_enter(_merging(7))
    run.stop.set = True
    run.applier._between = lambda: None
    with pytest.raises(Stopped):
        run.applier._send(Group([batch([b"7"])]), run.keyed(Group([batch([b"7"])])), 0.0)
    run.other.committed(moved=True)
    assert run.other.try_enter(_merging(7))


def test_what_was_refused_lets_others_have_their_turn():
    run = Merging(config=SKIP)
    group = Group([batch([b"7", BAD])])
    run.applier.apply(group)
    run.applier.drain()
    assert (run.sink.applied, run.held.failed) == ([b"7"], 1)
    assert run.other.try_enter(_merging(7))
