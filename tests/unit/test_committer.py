"""A batch that cannot be applied is taken apart: good messages once and in order, bad ones as the policy says."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence
from typing import Any, cast

import pytest

from sluice.bolt.replies import Failure
from sluice.engine.committer import Committer
from sluice.engine.isolation import Isolation
from sluice.engine.memory_trial import TRIES as MEMORY_TRIES
from sluice.engine.merge_guard import MergeGuard
from sluice.engine.retry_policy import TRIES, VIOLATIONS
from sluice.engine.turns import Turns, Waits
from sluice.engine.writer import VIOLATION_TRIES
from sluice.errors import BrokerError, ConnectionLost, MessageRefused, QueryRefused, Stopped
from sluice.scripting.process import PackedQueries
from sluice.values.batch import Group
from sluice.values.configuration import Configuration, Isolate, OnError
from sluice.values.merge_keys import MergeKeys, MergeShape
from sluice.values.model import Checkpoint
from tests.unit.engine.fakes import (
    BAD,
    CLIENT_ERROR,
    CONFLICT,
    ENDS,
    MEMORY,
    RAISES,
    REFUSED,
    STOP,
    TRANSIENT,
    TRIGGER,
    UNIQUE,
    DeadLetters,
    FakeRun,
    FakeTransform,
    Server,
    batch,
    good,
    packed,
    spoilt,
)
from tests.unit.partitions import P0


class Stream(FakeRun):
    """A committer with all that it needs."""

    def __init__(
        self,
        config: Configuration = STOP,
        server: Server | None = None,
        *,
        transform: FakeTransform | None = None,
        **given: Any,
    ) -> None:
        super().__init__(config, **given)
        self.server = server or Server()
        self.transform = cast("Any", transform or FakeTransform())
        self.dead_letters = cast("Any", DeadLetters(self.server))
        writer = self.writer(self.server)
        isolation = Isolation(self.run, writer, self.transform, self.dead_letters)
        self.committer = Committer(self.run, writer, self.transform, isolation)

    def submit(self, *groups: Group) -> None:
        """Sends them, as far as nothing has to be settled before."""
        for group in groups:
            self.committer.submit(group)
            while self.committer.pending:
                self.committer.advance()

    def feed(self, *batches: Sequence[bytes]) -> Stream:
        """Each as a group of its own, several in flight."""
        start = 0
        for payloads in batches:
            self.submit(Group([batch(payloads, start)]))
            start += len(payloads)
        self.committer.drain()
        return self

    def feed_group(self, *batches: Sequence[bytes]) -> Stream:
        """Several batches as one group."""
        starts = itertools.accumulate(map(len, batches), initial=0)
        self.submit(Group([batch(payloads, start) for payloads, start in zip(batches, starts, strict=False)]))
        self.committer.drain()
        return self

    @property
    def held(self) -> Checkpoint:
        return self.committer.held

    @property
    def transactions(self) -> int:
        return len(self.server.transactions)


SKIP = Configuration(on_error=OnError.SKIP)


@pytest.mark.parametrize("how", [BAD, RAISES])
@pytest.mark.parametrize("places", [[0], [4], [9], [0, 9], [3, 4, 5], list(range(10))], ids=str)
def test_skip_applies_every_good_message_once_and_in_order(how, places):
    payloads = spoilt(10, places, how)
    stream = Stream(SKIP).feed(payloads)
    assert stream.server.applied == [payload for payload in payloads if payload != how]
    assert stream.held.positions == {P0: 10}
    assert (stream.held.messages, stream.held.failed, stream.held.batches) == (10 - len(places), len(places), 1)
    assert [entry.offset for entry in stream.held.history] == places[-5:]


@pytest.mark.parametrize(
    ("text", "violated"),
    [
        ("Unable to commit due to unique constraint violation on :Person(id)", True),
        ("Unable to commit due to existence constraint violation on :Person(id)", False),
        (REFUSED.message, False),
    ],
)
def test_a_refused_commit_shows_that_there_is_a_uniqueness_constraint(text, violated):
    server = Server(refusal=Failure(CLIENT_ERROR, text), at_commit=True)
    stream = Stream(SKIP, server).feed(good(4), spoilt(4, [1]), good(4))
    assert bool(server.unlabelled) is violated
    assert stream.held.positions == {P0: 12}


def test_each_message_that_is_passed_over_is_told_once():
    stream = Stream(SKIP).feed(spoilt(10, [2, 3]), spoilt(10, [5]))
    assert [count for count in stream.status.refusals if count] == [1, 1, 1]
    stream = Stream(dataclasses.replace(SKIP, isolate=Isolate.NEVER)).feed(spoilt(10, [2, 3]))
    assert [count for count in stream.status.refusals if count] == [10]


def test_k_bad_messages_of_n_cost_at_most_2_k_log2_n_transactions_and_one():
    source = random.Random(1)
    for _ in range(60):
        n = source.randint(2, 200)
        k = source.randint(1, min(n, 12))
        places = source.sample(range(n), k)
        stream = Stream(SKIP).feed(spoilt(n, places))
        trailing = n - 1 in places
        assert stream.transactions <= 2 * k * math.ceil(math.log2(n)) + 1 + trailing


@pytest.mark.parametrize("place", range(8))
def test_stop_applies_what_comes_before_and_says_where_it_stopped(place):
    stream = Stream()
    with pytest.raises(MessageRefused) as caught:
        stream.feed(good(8), spoilt(8, [place]), good(8))
    assert str(caught.value) == (
        f"Kafka stream people, topic t, partition 0, offset {8 + place}: {REFUSED.message}; START STREAM people "
        "retries it, on_error 'skip', 'park' or 'dead_letter' continues after it"
    )
    assert stream.server.applied == good(8) + good(8)[:place]
    assert stream.held.positions == {P0: 8 + place}
    assert (stream.held.failed, stream.held.messages) == (0, 8 + place)
    assert [(entry.action, entry.offset) for entry in stream.held.history] == [("stop", 8 + place)]
    assert stream.server.properties["ended_generation"] == 7
    assert stream.server.properties["ended_status"] == "error"
    assert stream.server.properties["error"] == str(caught.value)


def test_batches_behind_a_refused_one_are_applied_after_it():
    stream = Stream(SKIP).feed(spoilt(4, [1]), good(4), spoilt(4, [0], RAISES), good(4), spoilt(4, [3]))
    assert stream.server.applied == spoilt(4, [1])[:1] + good(4)[2:] + good(4) + good(4)[1:] + good(4) + good(4)[:3]
    assert stream.held.positions == {P0: 20}
    assert (stream.held.batches, stream.held.messages, stream.held.failed) == (5, 17, 3)


def test_a_limit_counts_a_batch_with_a_bad_message_as_one():
    stream = Stream(SKIP, limit=2).feed(spoilt(4, [3]), spoilt(4, [0, 3]))
    assert stream.held.batches_in(7) == 2
    assert stream.committer.finished
    assert stream.server.properties["ended_status"] == "stopped"


def test_a_dead_letter_is_delivered_before_the_checkpoint_passes_it():
    config = Configuration(on_error=OnError.DEAD_LETTER, dead_letter_topic="t.errors")
    stream = Stream(config).feed(spoilt(8, [2, 7]))
    assert stream.dead_letters.delivered == [2, 7]
    assert stream.dead_letters.positions == ['{"0":2}', '{"0":7}']
    assert stream.held.positions == {P0: 8}


def test_a_letter_that_is_not_delivered_holds_the_checkpoint():
    config = Configuration(on_error=OnError.DEAD_LETTER, dead_letter_topic="t.errors")
    stream = Stream(config)
    stream.dead_letters.errors = [BrokerError("away")]
    with pytest.raises(BrokerError):
        stream.feed(spoilt(8, [2]))
    assert stream.held.positions == {P0: 2}
    assert stream.held.failed == 0


def test_never_sets_aside_the_whole_batch():
    stream = Stream(dataclasses.replace(SKIP, isolate=Isolate.NEVER)).feed(good(3), spoilt(3, [1]), good(3))
    assert stream.server.applied == good(3) + good(3)
    assert (stream.held.failed, stream.held.messages, stream.held.batches) == (3, 6, 3)
    assert [entry.offset for entry in stream.held.history] == [3, 4, 5]


def test_never_stops_at_the_whole_batch():
    stream = Stream(Configuration(isolate=Isolate.NEVER))
    with pytest.raises(MessageRefused, match="3 messages from topic t, partition 0, offset 3: "):
        stream.feed(good(3), spoilt(3, [1]))
    assert stream.held.positions == {P0: 3}


@pytest.mark.parametrize("place", [0, 5, 9])
@pytest.mark.parametrize("size", [1, 10])
def test_a_message_that_takes_more_memory_than_there_is_is_found_and_its_tries_are_bounded(size: int, place: int):
    payloads = spoilt(10, [place])
    server = Server(refusal=MEMORY)
    stream = Stream(SKIP, server).feed(*(payloads[at : at + size] for at in range(0, 10, size)))
    assert server.applied == [payload for payload in payloads if payload != BAD]
    assert (stream.held.positions, stream.held.failed) == ({P0: 10}, 1)
    [entry] = stream.held.history
    assert entry.error == (
        f"it takes more memory than there is, 200 MiB of the 250 MiB of --memory-limit: {MEMORY.message}"
    )
    alone = [texts for texts in server.transactions if len(texts) == 1 and texts[0].startswith(BAD.decode())]
    limited = [BAD.decode() + "\nQUERY MEMORY LIMIT 180 MB"] * (MEMORY_TRIES - 1)
    assert [text for [text] in alone][-MEMORY_TRIES:] == [BAD.decode(), *limited]


@pytest.mark.parametrize(
    "memory", [{"memory_tracked": "240.00MiB", "allocation_limit": "250.00MiB"}, {}], ids=["full", "not told"]
)
def test_a_server_whose_memory_is_full_is_waited_for(memory: dict[str, str]):
    server = Server()
    server.memory = memory
    server.refusals = [MEMORY] * 50
    stream = Stream(SKIP, server).feed(good(10))
    assert server.applied == good(10)
    assert (stream.held.failed, stream.held.history) == (0, ())
    assert len(stream.cancel.waited) == 50


def test_a_message_that_is_refused_for_its_own_limit_alone_is_tried_without():
    server = Server()
    syntax = Failure(CLIENT_ERROR, "line 2:1 mismatched input 'QUERY'")
    server.refusals = [MEMORY, MEMORY, syntax]
    stream = Stream(SKIP, server).feed(good(1))
    assert server.applied == good(1)
    assert [texts for [texts] in server.transactions] == ["m0", "m0", "m0\nQUERY MEMORY LIMIT 180 MB", "m0"]
    assert stream.held.failed == 0


def test_a_limit_that_the_query_has_itself_is_kept():
    server = Server(refusal=MEMORY)
    server.memory = {"memory_tracked": "50.00MiB", "memory_limit": "0B"}
    stream = Stream(SKIP, server).feed([BAD])
    assert stream.held.failed == 1
    assert {text for texts in server.transactions for text in texts} == {BAD.decode()}


def test_a_trigger_that_fails_at_the_checkpoint_is_named_and_no_message_is_to_blame():
    server = Server()
    server.trigger = TRIGGER
    stream = Stream(SKIP, server)
    with pytest.raises(QueryRefused) as caught:
        stream.feed(good(100))
    assert str(caught.value).startswith(
        "Trigger 'audit' caused the transaction to fail. Exception: no such property; it"
    )
    assert str(caught.value).endswith("WITH u.vertex AS v WHERE v.sluice_uid IS NULL")
    assert (server.applied, stream.held.positions, stream.held.failed) == ([], {}, 0)
    assert stream.transactions == TRIES + 2


def test_a_trigger_that_refuses_a_message_is_an_error_of_that_message():
    server = Server(refusal=TRIGGER, at_commit=True)
    stream = Stream(SKIP, server).feed(spoilt(10, [3]))
    assert server.applied == [payload for payload in good(10) if payload != b"m3"]
    [entry] = stream.held.history
    assert (entry.offset, entry.error) == (
        3,
        "Trigger 'audit' caused the transaction to fail. Exception: no such property",
    )


KEEP = Configuration(on_error=OnError.PARK, park_limit=3)


@pytest.mark.parametrize("places", [[0], [4], [9], [0, 9], [3, 4, 5]], ids=str)
def test_keep_makes_each_a_node_in_the_transaction_that_passes_it(places):
    stream = Stream(KEEP).feed(spoilt(10, places))
    assert stream.server.applied == [payload for payload in spoilt(10, places) if payload != BAD]
    assert [(message.number, message.offset) for message in stream.server.parked] == list(enumerate(places, 1))
    assert (stream.held.positions, stream.held.failed, stream.held.parked) == ({P0: 10}, len(places), len(places))
    assert [entry.action for entry in stream.held.history] == ["park"] * len(places)


def test_keep_stops_where_there_is_no_more_room():
    stream = Stream(KEEP)
    with pytest.raises(MessageRefused, match="offset 6: .*; 3 messages are parked already, and park_limit is 3: CALL"):
        stream.feed(spoilt(10, [1, 3, 5, 6]))
    assert [message.offset for message in stream.server.parked] == [1, 3, 5]
    assert (stream.held.positions, stream.held.failed) == ({P0: 6}, 3)
    assert stream.held.history[-1].action == "stop"


@pytest.mark.parametrize(
    ("text", "at_commit"),
    [
        ("Write query forbidden on the replica!", False),
        ("At least one SYNC replica has not confirmed committing last transaction.", True),
        ("merge.node: Error in serialization!", False),
    ],
)
def test_what_is_not_the_messages_fault_never_counts_against_it(text, at_commit):
    stream = Stream(SKIP, Server(refusal=Failure(CLIENT_ERROR, text), at_commit=at_commit))
    with pytest.raises(QueryRefused, match=text):
        stream.feed(spoilt(4, [1]))
    assert stream.transactions == 1
    assert stream.held == Checkpoint({}, "t")


def test_a_connection_that_is_lost_never_counts_against_a_message():
    stream = Stream(SKIP)
    stream.server.lost = ConnectionLost("gone")
    with pytest.raises(ConnectionLost):
        stream.feed(good(4))
    assert stream.held == Checkpoint({}, "t")


def test_a_stop_ends_the_search():
    stream = Stream(SKIP)
    stream.submit(Group([batch(spoilt(4, [1]))]))
    stream.committer.settle()
    stream.cancel.set()
    with pytest.raises(Stopped):
        stream.committer.advance()
    assert stream.transactions == 1


def test_what_only_the_code_calls_transient_counts_against_the_message_in_the_end():
    error = Failure(TRANSIENT, "Invalid string for date.")
    stream = Stream(SKIP, Server(refusal=error)).feed(spoilt(10, [4, 7]))
    assert stream.server.applied == [payload for payload in spoilt(10, [4, 7]) if payload != BAD]
    assert (stream.held.positions, stream.held.messages, stream.held.failed) == ({P0: 10}, 8, 2)
    # It was believed for a while; what was found out then need not be found out again.
    assert len(stream.cancel.waited) == TRIES
    assert stream.status.troubles[:TRIES] == [error.message] * TRIES


@pytest.mark.parametrize("refusals", [1, 2, 9])
def test_a_conflict_is_tried_again_in_smaller_groups_until_it_has_passed(refusals):
    stream = Stream(SKIP)
    stream.server.refusals = [CONFLICT] * refusals
    batches = [good(10)] * 8
    stream.feed_group(*batches)
    assert stream.server.applied == [payload for payloads in batches for payload in payloads]
    assert (stream.held.positions, stream.held.batches, stream.held.messages) == ({P0: 80}, 8, 80)
    assert len(stream.cancel.waited) == refusals
    assert stream.status.troubles[:2] == [CONFLICT.message, CONFLICT.message if refusals > 1 else None]
    assert stream.status.troubles[-1] is None
    assert len(stream.status.transactions[0].group) == max(1, 8 >> refusals)


def test_groups_grow_again_after_a_conflict():
    stream = Stream()
    stream.server.refusals = [CONFLICT] * 3
    full = stream.committer.batch_limit
    start = 0
    rooms: list[int] = []
    while len(rooms) < 2 or rooms[-1] < full:
        rooms.append(stream.committer.batch_limit)
        group = Group([batch(good(10), start + 10 * i) for i in range(stream.committer.batch_limit)])
        start += group.messages
        stream.submit(group)
        stream.committer.drain()
    assert rooms[0] == full
    assert rooms[1] < full // 3
    assert len(rooms) < 60
    assert stream.held.positions == {P0: start}


def test_a_stop_ends_the_wait_for_a_conflict_to_pass():
    stream = Stream()
    stream.server.refusals = [CONFLICT] * 10
    stream.submit(Group([batch(good(3))]))
    stream.cancel.set()
    with pytest.raises(Stopped):
        stream.committer.drain()


@pytest.mark.parametrize("how", [BAD, RAISES, ENDS])
@pytest.mark.parametrize("place", [(0, 0), (2, 3), (4, 9)], ids=str)
def test_a_bad_message_in_a_group_costs_the_others_nothing(how, place):
    batches = [good(10) for _ in range(5)]
    batches[place[0]][place[1]] = how
    stream = Stream(SKIP).feed_group(*batches)
    assert stream.server.applied == [payload for payloads in batches for payload in payloads if payload != how]
    assert stream.held.positions == {P0: 50}
    assert (stream.held.messages, stream.held.failed, stream.held.batches) == (49, 1, 5)
    assert [entry.offset for entry in stream.held.history] == [10 * place[0] + place[1]]


def test_a_group_stops_at_its_bad_message_with_the_batches_before_it_applied_and_counted():
    stream = Stream()
    with pytest.raises(MessageRefused, match="offset 23"):
        stream.feed_group(good(10), good(10), spoilt(10, [3]), good(10))
    assert stream.held.positions == {P0: 23}
    assert (stream.held.batches, stream.held.messages) == (2, 23)


def test_k_bad_messages_in_a_group_cost_a_bounded_number_of_transactions():
    source = random.Random(2)
    for _ in range(40):
        b, n = source.randint(1, 40), source.randint(2, 30)
        places = source.sample(range(b * n), source.randint(1, min(b * n, 8)))
        batches = [spoilt(n, [place - n * number for place in places]) for number in range(b)]
        stream = Stream(SKIP).feed_group(*batches)
        depth = math.ceil(math.log2(b)) + math.ceil(math.log2(n))
        assert stream.transactions <= 2 * len(places) * depth + 1 + (b * n - 1 in places)
        assert stream.held.batches == b
        assert stream.held.messages == b * n - len(places)
        assert stream.server.applied == [payload for payloads in batches for payload in payloads if payload != BAD]


def test_batches_that_a_slow_transform_leaves_undone_follow_in_order():
    batches = [[f"{number}.{i}".encode() for i in range(3)] for number in range(7)]
    stream = Stream(transform=FakeTransform(patience=2)).feed_group(*batches)
    assert stream.server.applied == [payload for payloads in batches for payload in payloads]
    assert stream.transactions == 4
    assert (stream.held.positions, stream.held.batches) == ({P0: 21}, 7)
    assert all(len(payloads) == 3 for call in stream.transform.calls for payloads in call)


def test_never_sets_aside_the_whole_batch_and_nothing_else_of_its_group():
    stream = Stream(dataclasses.replace(SKIP, isolate=Isolate.NEVER)).feed_group(
        good(3), good(3), spoilt(3, [1]), good(3)
    )
    assert stream.server.applied == good(3) * 3
    assert [entry.offset for entry in stream.held.history] == [6, 7, 8]
    assert stream.held.batches == 4


def test_a_group_never_has_more_batches_than_the_limit_leaves():
    stream = Stream(limit=5)
    assert stream.committer.batch_limit == 5
    stream.feed_group(good(10), good(10))
    assert stream.committer.batch_limit == 3
    stream.feed_group(good(10), spoilt(10, []), good(10))
    assert stream.held.batches_in(7) == 5
    assert stream.committer.finished


def test_a_limit_is_exact_also_where_its_last_batches_hold_bad_messages():
    stream = Stream(SKIP, limit=3).feed_group(spoilt(4, [3]), spoilt(4, [0, 3]), spoilt(4, [3]))
    assert (stream.held.batches_in(7), stream.held.positions) == (3, {P0: 12})
    assert stream.server.properties["ended_status"] == "stopped"


def test_what_is_reported_of_a_transaction():
    stream = Stream().feed_group(good(4), good(3))
    (done,) = stream.status.transactions
    assert (done.group.ends, done.group.messages, done.given, done.sent) == (2, 7, 7, 7)
    assert (done.before.positions, done.after.positions) == ({}, {P0: 7})
    assert min(done.group.polled, done.transform_seconds, done.write_seconds, done.commit_seconds) >= 0
    assert not stream.committer.in_flight


@pytest.mark.parametrize(
    ("index", "size", "expected"),
    [
        pytest.param(1, 2, ("bad", '{"n": 1}'), id="the query that was refused"),
        pytest.param(None, 1, ("A", '{"n": 0}'), id="refused at COMMIT, the only query"),
        pytest.param(None, 2, (None, None), id="refused at COMMIT, which of them is not known"),
    ],
)
def test_the_refused_query_is_known(index, size, expected):
    queries = packed(*[("A", {"n": 0}), ("bad" if index else "B", {"n": 1})][:size])
    stream = Stream(dataclasses.replace(SKIP, fold=False))
    stream.transform.pack = stream.transform.fold = lambda group: queries
    if index is None:
        stream.server.refusals = [REFUSED]
    stream.submit(Group([batch([b"x"])]))
    stream.committer.drain()
    (entry,) = stream.held.history
    assert (entry.query, entry.params) == expected
    assert (entry.payload, entry.payload_bytes, entry.transform_sha256) == ("x", 1, "ab12")


def test_a_group_that_a_constraint_refuses_for_anothers_sake_is_tried_again_and_nobody_is_to_blame():
    stream = Stream()
    stream.server.refusals = [UNIQUE] * (VIOLATIONS - 1)
    stream.feed(good(8))
    assert stream.server.applied == good(8)
    assert stream.transactions == VIOLATIONS
    assert len(stream.cancel.waited) == VIOLATIONS - 1
    assert not stream.held.failed


@pytest.mark.parametrize("times", range(VIOLATION_TRIES))
def test_a_message_that_a_constraint_refuses_is_tried_again_before_it_is_to_blame(times):
    stream = Stream(SKIP)
    stream.server.refusals = [UNIQUE] * (VIOLATIONS + times)
    stream.feed(good(1))
    assert (stream.server.applied, stream.held.failed) == (good(1), 0)


def test_what_violates_a_constraint_for_good_is_found_and_its_tries_are_bounded():
    stream = Stream(SKIP, Server(refusal=UNIQUE, at_commit=True))
    stream.feed(spoilt(8, [3]))
    assert stream.server.applied == spoilt(8, [3])[:3] + spoilt(8, [3])[4:]
    assert stream.held.failed == 1
    first = stream.transactions
    assert first <= 2 * math.ceil(math.log2(8)) + VIOLATIONS + VIOLATION_TRIES - 1
    pauses = len(stream.cancel.waited)
    stream.feed(spoilt(8, [5]))
    assert len(stream.cancel.waited) == pauses, "that trying again was of no use is remembered"
    assert stream.held.failed == 2


def _merging(number: int) -> MergeKeys:
    shape = MergeShape(False, frozenset({"P"}), frozenset({"id"}), frozenset({"id"}), frozenset(), frozenset({"P"}))
    return MergeKeys({shape: frozenset({number})})


class Merging(Stream):
    """A committer beside another stream; what has the payload 7 merges the key 7, all else 1."""

    def __init__(self, config: Configuration = STOP) -> None:
        guard = MergeGuard()
        super().__init__(config, guard=guard)
        self.other = Turns(guard, (99, 99), Waits())
        transform = self.transform.pack
        self.transform.pack = self.transform.fold = lambda group: self.keyed(group, transform(group))

    def keyed(self, group: Group, queries: PackedQueries) -> PackedQueries:
        payloads = [payload for one in group.batches for payload in one.payloads]
        return queries._replace(keys=_merging(7 if b"7" in payloads else 1))


def test_a_stream_settles_what_it_has_in_flight_before_it_waits_for_another():
    stream = Merging()
    assert stream.other.enter(_merging(7))
    stream.submit(Group([batch([b"1"])]), Group([batch([b"2"], 1)]))
    assert stream.committer.in_flight == 2
    stream.committer.submit(Group([batch([b"7"], 2)]))
    for in_flight in (1, 0, 0):
        stream.committer.advance()
        assert (stream.committer.in_flight, stream.committer.pending) == (in_flight, True)
    stream.other.committed()
    stream.committer.advance()
    assert (stream.committer.in_flight, stream.committer.pending) == (1, False)
    assert not stream.other.enter(_merging(7))
    stream.committer.drain()
    assert stream.server.applied == [b"1", b"2", b"7"]
    assert stream.other.enter(_merging(7))


def test_a_stream_that_waits_for_another_stops_when_it_is_told_to():
    stream = Merging()
    assert stream.other.enter(_merging(7))
    stream.committer.submit(Group([batch([b"7"])]))
    stream.committer.advance()
    stream.cancel.set()
    with pytest.raises(Stopped):
        stream.committer.advance()
    stream.committer.drain()
    stream.run.turns.abandon()
    stream.other.committed()
    assert stream.other.enter(_merging(7)), "what waited stands in nobody's way"
    assert not stream.server.transactions


def test_a_stream_whose_connection_is_lost_while_it_waits_takes_no_turn():
    stream = Merging()
    assert stream.other.enter(_merging(7))
    stream.committer.submit(Group([batch([b"7"])]))
    stream.committer.advance()
    stream.other.committed()
    stream.server.closed = True
    with pytest.raises(ConnectionLost):
        stream.committer.advance()
    stream.run.turns.abandon()
    assert not stream.run.turns.has_lost, "nothing was sent"
    assert stream.other.enter(_merging(7))


def test_what_was_refused_lets_others_have_their_turn():
    stream = Merging(SKIP)
    stream.submit(Group([batch([b"7", BAD])]))
    stream.committer.drain()
    assert (stream.server.applied, stream.held.failed) == ([b"7"], 1)
    assert stream.other.enter(_merging(7))
