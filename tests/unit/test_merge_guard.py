"""Transactions of several streams take turns where they merge the same, and only there."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from sluice.engine.merge_guard import ACTIVE, LOST_GRACE, YIELDING, Admission, MergeGuard, Waits
from sluice.errors import Stopped
from sluice.supervising.shared_state import SharedState
from sluice.values.merge_keys import EVERYTHING, NOTHING, MergeKeys, MergeShape

SHAPE = MergeShape(False, frozenset({"P"}), frozenset({"id"}), frozenset({"id"}), frozenset(), frozenset({"P"}))


def keys(*numbers: int) -> MergeKeys:
    return MergeKeys({SHAPE: frozenset(numbers)})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> MergeGuard:
    return MergeGuard(clock)


def admission(guard: MergeGuard, owner: int, stop: threading.Event | None = None) -> Admission:
    return Admission(guard, owner, stop or threading.Event(), Waits())


def test_only_transactions_that_merge_the_same_exclude_each_other(guard: MergeGuard) -> None:
    one, other = admission(guard, 1), admission(guard, 2)
    assert one.try_enter(keys(1, 2))
    assert not other.try_enter(keys(2, 3))
    assert other.try_enter(keys(3))
    assert other.try_enter(NOTHING)
    one.committed(moved=True)
    assert other.try_enter(keys(2, 3))


def test_transactions_of_one_stream_never_wait_for_each_other(guard: MergeGuard) -> None:
    one = admission(guard, 1)
    assert one.try_enter(keys(1))
    assert one.try_enter(keys(1))
    assert one.try_enter(EVERYTHING)


def test_what_is_not_known_excludes_all_that_merge(guard: MergeGuard) -> None:
    one, other = admission(guard, 1), admission(guard, 2)
    assert one.try_enter(EVERYTHING)
    assert not other.try_enter(keys(1))
    assert not other.try_enter(EVERYTHING)
    assert other.try_enter(NOTHING)
    one.refused()
    assert other.try_enter(EVERYTHING)


def test_a_stream_alone_has_no_need_of_keys(guard: MergeGuard, clock: Clock) -> None:
    one, other = admission(guard, 1), admission(guard, 2)
    assert not one.wants_keys()
    assert one.try_enter(EVERYTHING)
    assert not one.wants_keys()
    assert other.wants_keys()
    assert not other.try_enter(keys(1))
    assert one.wants_keys()
    one.committed(moved=True)
    clock.now += ACTIVE + 1
    assert not one.wants_keys()
    assert not other.wants_keys()


def test_a_stream_that_holds_something_for_long_still_counts(guard: MergeGuard, clock: Clock) -> None:
    assert admission(guard, 1).try_enter(keys(1))
    clock.now += 10 * ACTIVE
    assert admission(guard, 2).wants_keys()


def test_whoever_waits_for_long_is_not_overtaken(guard: MergeGuard, clock: Clock) -> None:
    one = admission(guard, 1)
    assert one.try_enter(keys(1))
    ticket = guard.queue(2, keys(1, 2))
    assert guard.await_turn(ticket, 0.0) == "(:P)"
    third = admission(guard, 3)
    assert third.try_enter(keys(2)), "the other has not waited for long"
    third.committed(moved=True)
    clock.now += YIELDING
    assert not one.try_enter(keys(2))
    assert not admission(guard, 4).try_enter(keys(2))
    assert admission(guard, 4).try_enter(keys(3))


def test_the_first_to_wait_is_the_first_to_get_its_turn(guard: MergeGuard, clock: Clock) -> None:
    one = admission(guard, 1)
    assert one.try_enter(keys(1))
    first, second = guard.queue(2, keys(1)), guard.queue(3, keys(1))
    clock.now += YIELDING
    one.committed(moved=True)
    assert guard.await_turn(second, 0.0) is not None
    assert guard.await_turn(first, 0.0) is None
    assert guard.await_turn(second, 0.0) is not None
    guard.leave(first)
    assert guard.await_turn(second, 0.0) is None


def test_a_lost_transaction_counts_until_its_stream_has_moved_on(guard: MergeGuard) -> None:
    one, other = admission(guard, 1), admission(guard, 2)
    assert one.try_enter(keys(1))
    one.abandon()
    assert not other.try_enter(keys(1))
    assert one.try_enter(keys(1)), "its own stream has to be able to go on"
    one.committed(moved=False)
    assert not other.try_enter(keys(1))
    assert one.try_enter(keys(1))
    one.committed(moved=True)
    assert other.try_enter(keys(1))


def test_a_lost_transaction_does_not_count_for_ever(guard: MergeGuard, clock: Clock) -> None:
    one, other = admission(guard, 1), admission(guard, 2)
    assert one.try_enter(keys(1))
    one.abandon()
    clock.now += LOST_GRACE - 1
    assert not other.try_enter(keys(1))
    clock.now += 2
    assert other.try_enter(keys(1))


def test_a_lost_transaction_survives_a_reload() -> None:
    before, after = SharedState(1), SharedState(1)
    one = admission(before.guard, 1)
    assert one.try_enter(keys(1))
    one.abandon()
    assert all(type(item) in (int, bytes, float) for entry in before.guard.handed_over() for item in entry)
    after.adopt(before)
    assert not admission(after.guard, 2).try_enter(keys(1))
    assert admission(after.guard, 2).try_enter(keys(2))


def test_constraints_spare_the_waiting_where_they_are_harmless(guard: MergeGuard) -> None:
    one, other = admission(guard, 1), admission(guard, 2)
    guard.learn([("P", frozenset({"id"}))], relied_on=False)
    assert one.try_enter(keys(1))
    assert not other.try_enter(keys(1))
    guard.learn([("P", frozenset({"id"}))], relied_on=True)
    assert other.try_enter(keys(1))


def test_a_stream_that_is_to_stop_does_not_wait_any_longer(guard: MergeGuard) -> None:
    assert admission(guard, 1).try_enter(keys(1))
    stop, waits = threading.Event(), Waits()
    waiting = threading.Event()
    ended = []

    def wait() -> None:
        try:
            Admission(guard, 2, stop, waits).enter(keys(1), waiting.set)
        except Stopped:
            ended.append(waits.as_map())

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    stop.set()
    thread.join(10)
    [told] = ended
    assert told["count"] == 1
    assert told["for"] == {"(:P)": 1}
    assert told["waiting"] is None
    assert told["ms"] > 0
    assert admission(guard, 3).try_enter(keys(2)), "what waited stands in nobody's way"


def test_whoever_waits_goes_on_as_soon_as_the_other_has_ended() -> None:
    guard = MergeGuard()
    one = admission(guard, 1)
    assert one.try_enter(keys(1))
    waiting, entered = threading.Event(), threading.Event()

    def wait() -> None:
        admission(guard, 2).enter(keys(1), waiting.set)
        entered.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    assert not entered.is_set()
    one.committed(moved=True)
    assert entered.wait(10)
    thread.join(10)


class _Stream(threading.Thread):
    """A worker in miniature: up to three transactions in flight, and all of them settled before it waits."""

    def __init__(self, guard: MergeGuard, owner: int, running: dict[int, int], groups: Iterator[MergeKeys]) -> None:
        super().__init__()
        self.overlaps = 0
        self.done = 0
        self._owner = owner
        self._running = running
        self._groups = list(groups)
        self._admission = admission(guard, owner)
        self._sent: list[MergeKeys] = []

    def run(self) -> None:
        for group in self._groups:
            if len(self._sent) == 3:
                self._settle()
            if not self._admission.try_enter(group):
                while self._sent:
                    self._settle()
                self._admission.enter(group)
            for number in group.keys.get(SHAPE, ()):
                self.overlaps += self._running.setdefault(number, self._owner) != self._owner
            self._sent.append(group)
        while self._sent:
            self._settle()

    def _settle(self) -> None:
        time.sleep(0)  # others run
        group = self._sent.pop(0)
        held = {number for other in self._sent for number in other.keys.get(SHAPE, ())}
        for number in group.keys.get(SHAPE, ()):
            if number not in held:
                self._running.pop(number, None)
        self._admission.committed(moved=True)
        self.done += 1


@pytest.mark.parametrize("streams", [2, 8])
def test_many_streams_get_through_and_never_two_with_a_key_at_once(streams: int) -> None:
    rng = random.Random(streams)
    guard, running = MergeGuard(), {}  # type: ignore[var-annotated]
    threads = [
        _Stream(guard, owner, running, (keys(*rng.sample(range(12), rng.randint(0, 4))) for _ in range(100)))
        for owner in range(streams)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [thread.done for thread in threads] == [100] * streams
    assert not sum(thread.overlaps for thread in threads)
    assert running == {}
