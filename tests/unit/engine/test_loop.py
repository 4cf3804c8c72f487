"""The loop: what happens on the way from topic to graph, and which transactions come of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from sluice.bolt.replies import Failure
from sluice.engine.broker_health import BrokerHealth
from sluice.engine.committer import Committer
from sluice.engine.isolation import Isolation
from sluice.engine.loop import Parts, StreamLoop
from sluice.engine.retrier import Retrier
from sluice.engine.run import Watch
from sluice.engine.topic_guard import TopicGuard
from sluice.errors import (
    BrokerError,
    BrokerUnreachable,
    CommitUnknown,
    ConnectionLost,
    FenceLost,
    GapFound,
    MessageRefused,
    QueryRefused,
    ServiceUnavailable,
    Stopped,
    TopicNotFound,
)
from sluice.persistence import nodes
from sluice.values.configuration import Configuration, OnError, OnGap
from sluice.values.model import Checkpoint
from sluice.values.parked_message import RetryRequest
from sluice.values.position import Partition, Position
from tests.unit.engine import fakes
from tests.unit.engine.fakes import (
    BAD,
    CLIENT_ERROR,
    CONFLICT,
    GENERATION,
    RAISES,
    STOP,
    UNIQUE,
    WAITS,
    DeadLetters,
    FakeRun,
    FakeTransform,
    Server,
    Topic,
    good,
    spoilt,
)
from tests.unit.partitions import P0, P1

SKIP = Configuration(on_error=OnError.SKIP)
PARK = Configuration(on_error=OnError.PARK)
PASS_GAPS = Configuration(on_gap=OnGap.SKIP)


class Stream(FakeRun):
    """A run of a stream, all parts of its loop, and what is to happen once it has read everything."""

    def __init__(
        self,
        topic: Topic,
        server: Server,
        config: Configuration = STOP,
        health: BrokerHealth | None = None,
        **given: Any,
    ) -> None:
        super().__init__(config, **given)
        self.topic = topic
        self.server = server
        self.script: deque[Callable[[], object]] = deque()
        writer = self.writer(server)
        self.source = cast("Any", fakes.Source(topic, self.run, self.script))
        watch = Watch(self.cancel)
        self.transform = cast("Any", FakeTransform(wants_stop=watch))
        self.dead_letters = cast("Any", DeadLetters(server))
        self.brokers = cast("Any", fakes.Brokers(topic))
        self.idle = cast("Any", fakes.Idle())
        isolation = Isolation(self.run, writer, self.transform, self.dead_letters)
        self.committer = Committer(self.run, writer, self.transform, isolation)
        retrier = Retrier(self.run, writer, self.transform)
        guard = TopicGuard(self.run, self.source, cast("Any", fakes.Identity(topic)))
        source, committer = self.source, self.committer
        parts = Parts(source, writer, committer, retrier, health or self.brokers, guard, self.idle, watch)
        self.loop = StreamLoop(self.run, parts)

    def then(self, *steps: Callable[[], object]) -> Stream:
        """What happens next, once everything is read and committed; after that the run is told to end."""
        self.script.extend(steps)
        return self

    def go(self) -> Stream:
        self.loop.run()
        return self

    @property
    def held(self) -> Checkpoint:
        return self.committer.held


def stored(server: Server) -> Checkpoint:
    """The checkpoint as the graph has it: where the next session begins."""
    return nodes.checkpoint_of({"positions": "{}", **server.properties}, server.held.topic)


def restarted(stream: Stream, config: Configuration = STOP, **given: Any) -> Stream:
    """Another session on the same graph and topic, over another connection."""
    server = stream.server
    server.held, server.lost = stored(server), None
    server._replies.clear()
    server._failed = False
    return Stream(stream.topic, server, config, **given)


def test_everything_is_applied_once_and_in_order_and_then_reported() -> None:
    topic = Topic(p0=good(25), p1=good(7))
    stream = Stream(topic, Server()).then(lambda: topic.logs[P0].extend([b"x", b"y"])).go()
    assert stream.server.applied == [*good(25), *good(7), b"x", b"y"]
    assert stream.held.positions == stream.source.reports[-1] == {P0: 27, P1: 7}
    assert (stream.held.messages, stream.held.batches) == (34, 5)
    assert all(report in ({}, {P0: 25, P1: 7}, {P0: 27, P1: 7}) for report in stream.source.reports)


def test_the_next_group_is_read_while_the_transform_works() -> None:
    stream = Stream(Topic(p0=good(25)), Server()).go()
    assert len(stream.source.read_ahead_for) == len(stream.transform.calls)
    assert {size for size, _ in stream.source.read_ahead_for} == {10}


@pytest.mark.parametrize("places", [[0], [13], [29], [0, 9, 10, 29]], ids=str)
@pytest.mark.parametrize("how", [BAD, RAISES])
@pytest.mark.parametrize(
    ("config", "left"),
    [
        pytest.param(SKIP, "", id="skip"),
        pytest.param(PARK, "parked", id="park"),
        pytest.param(Configuration(on_error=OnError.DEAD_LETTER, dead_letter_topic="e"), "letters", id="dead_letter"),
    ],
)
def test_what_cannot_be_applied_is_passed_and_all_else_is_applied_once(
    config: Configuration, left: str, how: bytes, places: Sequence[int]
) -> None:
    messages = spoilt(30, places, how)
    stream = Stream(Topic(p0=messages), Server(), config).go()
    assert stream.server.applied == [message for message in messages if message != how]
    assert (stream.held.positions, stream.held.messages, stream.held.failed) == (
        {P0: 30},
        30 - len(places),
        len(places),
    )
    assert [message.offset for message in stream.server.parked] == (places if left == "parked" else [])
    assert stream.dead_letters.delivered == (places if left == "letters" else [])
    assert stream.status.refusals.count(1) == len(places)


@pytest.mark.parametrize("place", [0, 14, 29])
@pytest.mark.parametrize("how", [BAD, RAISES])
def test_a_stream_stops_at_what_cannot_be_applied_and_resumes_there(how: bytes, place: int) -> None:
    topic = Topic(p0=spoilt(30, [place], how))
    stream = Stream(topic, Server())
    with pytest.raises(MessageRefused, match=f"partition 0, offset {place}: "):
        stream.go()
    assert stream.server.applied == good(30)[:place]
    assert stream.server.properties["ended_generation"] == GENERATION
    again = restarted(stream).go()
    assert again.server.applied == good(30)[:place], "a run that has ended does not go on by itself"
    topic.logs[P0][place] = b"mended"
    again = restarted(stream, generation=GENERATION + 1).go()
    assert again.server.applied == [*good(30)[:place], b"mended", *good(30)[place + 1 :]]


@pytest.mark.parametrize("refusals", [1, 3])
@pytest.mark.parametrize("refusal", [CONFLICT, UNIQUE], ids=["conflict", "constraint"])
def test_what_another_client_is_to_blame_for_is_tried_again_until_it_passes(refusal: Failure, refusals: int) -> None:
    stream = Stream(Topic(p0=good(60)), Server())
    stream.server.refusals = [refusal] * refusals
    stream.go()
    assert stream.server.applied == good(60)
    assert stream.held.failed == 0
    assert stream.status.troubles[-1] is None
    assert bool(stream.server.unlabelled) is (refusal is UNIQUE)


def test_a_limit_counts_batches_though_a_constraint_refuses_one_at_its_commit() -> None:
    server = Server(refusal=UNIQUE, at_commit=True)
    stream = Stream(Topic(p0=spoilt(100, [17])), server, SKIP, limit=3).go()
    assert server.applied == [*good(30)[:17], *good(30)[18:]]
    assert (stream.held.positions, stream.held.batches) == ({P0: 30}, 3)
    assert not stream.source.read_ahead_for, "what is behind the limit stays where it is"
    assert server.properties["ended_status"] == "stopped"
    assert not stream.cancel.is_set()


@pytest.mark.parametrize(
    "text",
    ["Write query forbidden on the replica!", "You are not authorized to execute this query! Please contact ..."],
)
def test_what_the_server_cannot_do_for_now_ends_the_session_and_counts_against_nobody(text: str) -> None:
    stream = Stream(Topic(p0=good(30)), Server(), SKIP)
    stream.server.refusals = [Failure(CLIENT_ERROR, text)]
    with pytest.raises(QueryRefused, match=text[:20]):
        stream.go()
    again = restarted(stream, SKIP).go()
    assert (again.server.applied, again.held.failed) == (good(30), 0)


@pytest.mark.parametrize("place", [0, 13, 29])
@pytest.mark.parametrize("how", [None, RAISES, BAD])
def test_a_service_that_the_transform_waits_for_ends_the_session_and_no_message_is_passed_for_it(
    how: bytes | None, place: int
) -> None:
    payloads = good(30) if how is None else spoilt(30, [4, 22], how)
    payloads[place] = WAITS
    stream = Stream(Topic(p0=payloads), Server(), SKIP)
    stream.transform.away = True
    with pytest.raises(ServiceUnavailable) as caught:
        stream.go()
    assert caught.value.retryable
    assert WAITS not in stream.server.applied
    again = restarted(stream, SKIP).go()
    applied = [payload for payload in payloads if payload != how]
    assert (again.server.applied, again.held.failed) == (applied, 30 - len(applied))


def test_parked_messages_that_wait_for_a_service_stay_asked_for() -> None:
    stream = Stream(Topic(p0=[b"a", BAD]), Server(), PARK)

    def ask() -> None:
        stream.server.parked = [replace(message, payload=WAITS.decode()) for message in stream.server.parked]
        stream.server.requests = (RetryRequest(1, 99),)
        stream.run.calls.retry_requested = 1
        stream.transform.away = True

    with pytest.raises(ServiceUnavailable):
        stream.then(ask).go()
    assert [message.attempts for message in stream.server.parked] == [0]
    assert stored(stream.server).retry_completed == 0


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("error", [ConnectionLost("gone"), CommitUnknown("gone")], ids=["lost", "unknown"])
def test_a_connection_that_goes_costs_nothing_and_repeats_nothing(error: Exception, *, committed: bool) -> None:
    topic = Topic(p0=good(30))
    stream = Stream(topic, Server())
    if committed:
        stream.server.lost = error  # it has arrived, and was answered to nobody
    else:
        stream.server.send = cast("Any", _refuse(error))  # type: ignore[method-assign]
    with pytest.raises(type(error)):
        stream.go()
    assert (stream.server.applied != []) is committed
    entries = stream.status.monitor.entries(10, stored(stream.server))
    assert [entry.end for entry in entries] == ([{"0": 30}] if committed else []), "whoever looks finds what is there"
    del stream.server.__dict__["send" if not committed else "lost"]
    again = restarted(stream).go()
    assert (again.server.applied, again.held.positions) == (good(30), {P0: 30})


def _refuse(error: Exception) -> Callable[[bytes], None]:
    def send(_: bytes) -> None:
        raise error

    return send


def test_a_stale_worker_cannot_commit_what_its_successor_has() -> None:
    topic = Topic(p0=good(10))
    stale = Stream(topic, Server())
    Stream(topic, stale.server).go()
    with pytest.raises(FenceLost):
        stale.go()
    assert stale.server.applied == good(10)


def test_a_stop_settles_what_is_in_flight_and_leaves_the_rest_for_the_next_run() -> None:
    topic = Topic(p0=good(1000))
    stream = Stream(topic, Server())
    fold = stream.transform.fold

    def stop_during(group: Any) -> Any:
        if len(stream.transform.calls) == 2:
            stream.cancel.set()
        return fold(group)

    stream.transform.patience, stream.transform.fold = 3, stop_during
    stream.go()
    assert stream.server.applied == good(1000)[: stream.held.positions[P0]]
    assert 0 < stream.held.positions[P0] < 1000
    assert restarted(stream).go().server.applied == good(1000)


def test_a_stop_ends_the_wait_for_a_conflict_to_pass() -> None:
    stream = Stream(Topic(p0=good(10)), Server())
    stream.server.refusals = [CONFLICT]
    stream.cancel.wait = lambda timeout=None: True  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        stream.go()
    assert restarted(stream).go().server.applied == good(10)


def test_parked_messages_are_retried_in_turn_with_new_ones() -> None:
    topic = Topic(p0=spoilt(20, [3, 12]))
    stream = Stream(topic, Server(), PARK)

    def ask() -> None:
        stream.server.minds = False
        stream.server.requests = (RetryRequest(1, 99),)
        stream.run.calls.retry_requested = 1
        topic.logs[P0].append(b"new")

    stream.then(ask).go()
    assert sorted(stream.server.applied) == sorted([*spoilt(20, [3, 12]), b"new"])
    assert (stream.held.retry_completed, stream.held.failed, stream.held.messages) == (1, 0, 21)
    assert stream.server.parked == []


def test_a_uniqueness_constraint_that_is_seen_takes_the_label_off_with_nothing_in_flight() -> None:
    topic = Topic(p0=good(10))
    stream = Stream(topic, Server())

    def see() -> None:
        stream.run.calls.constrained = True
        topic.logs[P0] += good(10)

    stream.then(see).go()
    assert stream.server.unlabelled == 1
    assert not stream.run.calls.constrained
    assert stream.server.applied == good(10) * 2


def test_brokers_that_do_not_answer_yet_are_waited_for_in_the_open() -> None:
    topic = Topic(p0=good(3))
    topic.unreachable = [BrokerUnreachable("unreachable at localhost:9092")] * 2
    stream = Stream(topic, Server()).go()
    assert stream.server.applied == good(3)
    assert stream.status.troubles[:2] == ["unreachable at localhost:9092"] * 2
    assert stream.status.troubles[-1] is None


def test_a_complaint_is_a_trouble_as_long_as_the_brokers_do_not_answer() -> None:
    stream = Stream(Topic(p0=good(3)), Server())
    monitor = stream.status.monitor
    seen: list[str | None] = []

    def look() -> None:
        assert monitor.state is not None
        seen.append(monitor.state.trouble)

    def go_away() -> None:
        stream.brokers.answer = False
        stream.source.complaints.note("connection refused")

    def come_back() -> None:
        look()
        stream.brokers.answer = True

    # A wait that a complaint ends gives the brokers a turn first.
    stream.then(look, go_away, come_back, look, look).go()
    assert seen[:2] == [None, "connection refused"]
    assert seen[-1] is None


def test_a_topic_that_is_not_there_is_waited_for() -> None:
    topic = Topic(p0=good(3))
    topic.unreachable = [TopicNotFound("no")]
    stream = Stream(topic, Server())
    with pytest.raises(BrokerError, match="topic t does not exist at localhost:9092; the stream continues") as caught:
        stream.go()
    assert caught.value.retryable
    assert restarted(stream).go().server.applied == good(3)


def recreated(topic: Topic, *payloads: bytes) -> None:
    topic.ids["t"] = "second"
    topic.logs[P0] = list(payloads)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("length", [2, 30])
def test_a_topic_that_was_recreated_is_noticed_and_read_if_so_configured(length: int, *, running: bool) -> None:
    topic = Topic(p0=good(10))
    new = [b"n%d" % number for number in range(length)]
    stream = Stream(topic, Server()).go()
    assert stream.held.topic_ids == {"t": "first"}
    stream = restarted(stream)
    if running:
        stream.then(lambda: recreated(topic, *new[:5]))
    else:
        recreated(topic, *new)
    with pytest.raises(GapFound, match="t was deleted and recreated: .* read the new topic from its beginning"):
        stream.go()
    assert stream.held.positions == {P0: 10}
    recreated(topic, *new)
    stream = restarted(stream, PASS_GAPS).go()
    assert stream.server.applied == [*good(10), *new]
    assert (stream.held.positions, stream.held.topic_ids) == ({P0: length}, {"t": "second"})
    assert [(entry.action, entry.offset) for entry in stream.held.history] == [("gap", 10)]


@pytest.mark.parametrize("length", [0, 3])
def test_a_topic_whose_new_leaders_the_client_does_not_follow_is_read_by_another_client(length: int) -> None:
    topic = Topic(p0=good(length))
    topic.fences = True
    stream = Stream(topic, Server(), PASS_GAPS)
    stream.then(lambda: None, lambda: recreated(topic, b"n0", b"n1"), lambda: None).go()
    assert stream.server.applied == [*good(length), b"n0", b"n1"]
    assert (stream.held.positions, stream.held.topic_ids) == ({P0: 2}, {"t": "second"})


def test_what_retention_took_is_named_and_passed_if_so_configured() -> None:
    topic = Topic(p0=good(30))
    server = Server(Checkpoint({P0: 5}, "t", topic_ids={"t": "first"}))
    server.properties["positions"] = server.positions
    topic.lows[P0] = 12
    stream = Stream(topic, server)
    with pytest.raises(
        GapFound, match=r"offsets 5 to 11, at most 7 messages, were removed by retention; to continue from offset 12"
    ):
        stream.go()
    stream = restarted(stream, PASS_GAPS).go()
    assert stream.server.applied == good(30)[12:]
    (gap,) = stream.held.history
    assert (gap.action, gap.offset, gap.count) == ("gap", 5, 7)


def test_a_topic_that_has_lost_its_end_is_noticed() -> None:
    topic = Topic(p0=good(4))
    server = Server(Checkpoint({P0: 9}, "t", topic_ids={"t": "first"}))
    server.properties["positions"] = server.positions
    with pytest.raises(GapFound, match="ends at offset 4, before the stream's position 9: it lost messages"):
        Stream(topic, server).go()


def test_a_log_that_ends_before_the_position_is_asked_about_its_leader_epoch() -> None:
    topic = Topic(p0=good(15))
    server = Server(Checkpoint({P0: 20}, "t", topic_ids={"t": "first"}).moved({P0: Position(20, 3)}))
    stream = Stream(topic, server, PASS_GAPS).go()
    assert stream.source.asked == [(P0, 15, 3)]
    assert [(gap.offset, gap.count) for gap in stream.held.history] == [(20, 0)]
    assert stream.held.positions == {P0: 15}
    assert stream.source.assignments == [{P0: Position(20, 3)}, {P0: Position(15)}]
    topic.log_end = 12
    server = Server(Checkpoint({P0: 20}, "t", topic_ids={"t": "first"}).moved({P0: Position(20, 3)}))
    stream = Stream(topic, server, PASS_GAPS).go()
    assert [(gap.offset, gap.count) for gap in stream.held.history] == [(20, 0)]
    assert server.applied == good(15)[12:]


def test_new_partitions_are_read_from_their_beginning() -> None:
    topic = Topic(p0=good(3))

    def add() -> None:
        topic.logs[P1], topic.lows[P1] = good(4), 0

    stream = Stream(topic, Server()).then(add, lambda: None).go()
    assert stream.server.applied == good(3) + good(4)
    assert stream.held.positions == {P0: 3, P1: 4}


def test_partitions_that_are_not_chosen_are_left_alone() -> None:
    topic = Topic(p0=good(3), p1=good(9), p2=good(2))

    def add() -> None:
        for number in (3, 4):
            topic.logs[Partition("t", number)], topic.lows[Partition("t", number)] = good(4), 0

    config = Configuration(partitions=(0, 2, 4))
    stream = Stream(topic, Server(), config).then(add, lambda: None).go()
    assert {partition.number for partition in stream.source.assigned} == {0, 2, 4}
    assert sorted(stream.server.applied) == sorted(good(3) + good(2) + good(4))
    assert {partition.number: offset for partition, offset in stream.held.positions.items()} == {0: 3, 2: 2, 4: 4}


U0 = Partition("users", 0)


def two_topics() -> tuple[Topic, Server]:
    return Topic(p0=good(3), users_p0=[b"u0", b"u1"]), Server(Checkpoint({}))


def test_two_topics_are_read_each_from_its_position() -> None:
    topic, server = two_topics()
    stream = Stream(topic, server, topics="t,users").then(lambda: topic.logs[U0].append(b"u2")).go()
    assert sorted(server.applied) == sorted([*good(3), b"u0", b"u1", b"u2"])
    assert stream.held.positions == stream.source.reports[-1] == {P0: 3, U0: 3}
    assert stream.held.topic_ids == {"t": "first", "users": "first of users"}
    assert server.positions == '{"t":{"0":3},"users":{"0":3}}'


def test_a_topic_that_comes_to_match_is_read_from_its_beginning() -> None:
    topic, server = two_topics()
    later, topic.logs = topic.logs, {}
    stream = Stream(topic, server, topics="^.*")
    troubles = stream.status.troubles

    def come() -> None:
        assert troubles[-1] is not None
        assert "no topic at localhost:9092 matches ^.* yet" in troubles[-1]
        topic.logs = later

    stream.then(lambda: None, come, lambda: None, lambda: None).go()
    assert stream.held.positions == {P0: 3, U0: 2}
    assert troubles[-1] is None


def test_one_of_two_topics_that_goes_is_named_and_the_other_read_and_another_of_its_name_is_not_taken_for_it() -> None:
    topic, server = two_topics()
    stream = Stream(topic, server, PASS_GAPS, topics="t,users")

    def go_away() -> None:
        del topic.logs[U0]

    def come_again() -> None:
        topic.logs[P0].append(b"more")
        assert stream.status.troubles[-1] is not None
        assert "topic users does not exist at localhost:9092" in stream.status.troubles[-1]
        topic.logs[U0], topic.ids["users"], topic.fences = [b"a", b"b", b"c", b"d"], "second", True

    stream.then(lambda: None, go_away, lambda: None, come_again, lambda: None, lambda: None).go()
    assert sorted(server.applied) == sorted([*good(3), b"u0", b"u1", b"more", b"a", b"b", b"c", b"d"])
    assert stream.held.positions == {P0: 4, U0: 4}
    assert stream.held.topic_ids == {"t": "first", "users": "second"}
    assert {entry.topic for entry in stream.held.history} == {"users"}


def test_a_gap_of_one_topic_leaves_the_other_where_it_is() -> None:
    topic, _ = two_topics()
    server = Server(Checkpoint({P0: 1, U0: 0}, topic_ids=topic.ids))
    server.properties["positions"] = server.positions
    topic.lows[U0] = 1
    with pytest.raises(GapFound, match="topic users, partition 0, offsets 0 to 0, at most 1 messages"):
        Stream(topic, server, topics="t,users").go()
    stream = restarted(Stream(topic, server, topics="t,users"), PASS_GAPS, topics="t,users").go()
    assert stream.held.positions == {P0: 3, U0: 2}
    assert [(entry.topic, entry.offset) for entry in stream.held.history] == [("users", 0)]


def test_positions_move_past_offsets_that_no_message_has() -> None:
    topic = Topic(p0=good(3))
    topic.markers[P0] = 2
    stream = Stream(topic, Server())
    stream.then(lambda: None).go()
    assert stream.server.applied == good(3)
    assert stream.held.positions == stream.source.reports[-1] == {P0: 5}


def test_a_stream_without_messages_sleeps_until_there_is_one() -> None:
    topic = Topic(p0=good(3))
    stream = Stream(topic, Server())
    stream.idle.rests = 1
    looks: list[int] = []

    def is_over(_: object) -> bool:
        looks.append(stream.source.sleeps)
        stream.run.calls.nudge.set()  # as the watcher does
        if len(looks) == 2:
            topic.logs[P0].append(b"late")
        return len(looks) == 2

    stream.idle.over = is_over
    stream.then(lambda: None).go()
    assert looks == [1, 1]
    assert stream.server.applied == [*good(3), b"late"]


def test_slow_transforms_move_batch_by_batch() -> None:
    stream = Stream(Topic(p0=good(60)), Server())
    stream.transform.patience = 1
    stream.go()
    assert stream.server.applied == good(60)
    assert stream.held.batches == 6
    assert [len(done.group) for done in stream.status.transactions if done.group] == [1] * 6
