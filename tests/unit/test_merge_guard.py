"""Transactions of several streams take turns where they merge the same, and only there."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from sluice.engine.merge_guard import ACTIVE, LOST_GRACE, YIELDING, MergeGuard
from sluice.engine.turns import Turns, Waits
from sluice.supervising.shared_state import SharedState
from sluice.values.merge_keys import EVERYTHING, NOTHING, MergeKeys, MergeShape
from tests.eventually import eventually

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


def turns_of(guard: MergeGuard, owner: int, waits: Waits | None = None) -> Turns:
    return Turns(guard, (owner, owner), waits or Waits())


def test_only_transactions_that_merge_the_same_exclude_each_other(guard: MergeGuard) -> None:
    one, other = turns_of(guard, 1), turns_of(guard, 2)
    assert one.enter(keys(1, 2))
    assert not other.enter(keys(2, 3))
    assert other.enter(keys(3))
    assert other.enter(NOTHING)
    one.committed()
    assert other.enter(keys(2, 3))


def test_transactions_of_one_stream_never_wait_for_each_other(guard: MergeGuard) -> None:
    one = turns_of(guard, 1)
    assert one.enter(keys(1))
    assert one.enter(keys(1))
    assert one.enter(EVERYTHING)


def test_what_is_not_known_excludes_all_that_merge(guard: MergeGuard) -> None:
    one, other = turns_of(guard, 1), turns_of(guard, 2)
    assert one.enter(EVERYTHING)
    assert not other.enter(keys(1))
    assert not other.enter(EVERYTHING)
    assert other.enter(NOTHING)
    one.refused()
    assert other.enter(EVERYTHING)


def test_a_stream_alone_has_no_need_of_keys(guard: MergeGuard, clock: Clock) -> None:
    one, other = turns_of(guard, 1), turns_of(guard, 2)
    assert not one.wants_keys()
    assert one.enter(EVERYTHING)
    assert not one.wants_keys()
    assert other.wants_keys()
    assert not other.enter(keys(1))
    assert one.wants_keys()
    one.committed()
    clock.now += ACTIVE + 1
    assert not one.wants_keys()
    assert not other.wants_keys()


def test_a_stream_that_holds_something_for_long_still_counts(guard: MergeGuard, clock: Clock) -> None:
    assert turns_of(guard, 1).enter(keys(1))
    clock.now += 10 * ACTIVE
    assert turns_of(guard, 2).wants_keys()


def test_whoever_waits_for_long_is_not_overtaken(guard: MergeGuard, clock: Clock) -> None:
    one = turns_of(guard, 1)
    assert one.enter(keys(1))
    ticket = guard.queue((2, 2), keys(1, 2))
    assert guard.await_turn(ticket, 0.0) == "(:P)"
    third = turns_of(guard, 3)
    assert third.enter(keys(2)), "the other has not waited for long"
    third.committed()
    clock.now += YIELDING
    assert not one.enter(keys(2))
    assert not turns_of(guard, 4).enter(keys(2))
    assert turns_of(guard, 4).enter(keys(3))


def test_the_first_to_wait_is_the_first_to_get_its_turn(guard: MergeGuard, clock: Clock) -> None:
    one = turns_of(guard, 1)
    assert one.enter(keys(1))
    first, second = guard.queue((2, 2), keys(1)), guard.queue((3, 3), keys(1))
    clock.now += YIELDING
    one.committed()
    assert guard.await_turn(second, 0.0) is not None
    assert guard.await_turn(first, 0.0) is None
    assert guard.await_turn(second, 0.0) is not None
    guard.leave(first)
    assert guard.await_turn(second, 0.0) is None


def test_a_lost_transaction_counts_until_its_stream_has_fenced_it_off(guard: MergeGuard) -> None:
    one, other = turns_of(guard, 1), turns_of(guard, 2)
    assert one.enter(keys(1))
    assert not one.has_lost
    one.abandon()
    assert (one.has_lost, other.has_lost) == (True, False)
    assert not other.enter(keys(1))
    assert one.enter(keys(1)), "its own stream has to be able to go on"
    one.committed()
    assert not other.enter(keys(1))
    one.fenced_off()
    assert not one.has_lost
    assert other.enter(keys(1))


def test_a_lost_transaction_does_not_count_for_ever(guard: MergeGuard, clock: Clock) -> None:
    one, other = turns_of(guard, 1), turns_of(guard, 2)
    assert one.enter(keys(1))
    one.abandon()
    clock.now += LOST_GRACE - 1
    assert not other.enter(keys(1))
    clock.now += 2
    assert other.enter(keys(1))


def test_a_lost_transaction_survives_a_reload() -> None:
    before, after = SharedState(1), SharedState(1)
    one = turns_of(before.guard, 1)
    assert one.enter(keys(1))
    one.abandon()
    assert all(type(item) in (tuple, bytes, float) for entry in before.guard.handed_over() for item in entry)
    after.adopt(before)
    assert not turns_of(after.guard, 2).enter(keys(1))
    assert turns_of(after.guard, 2).enter(keys(2))


def test_constraints_spare_the_waiting_where_they_are_harmless(guard: MergeGuard) -> None:
    one, other = turns_of(guard, 1), turns_of(guard, 2)
    guard.learn([("P", frozenset({"id"}))], relied_on=False)
    assert one.enter(keys(1))
    assert not other.enter(keys(1))
    guard.learn([("P", frozenset({"id"}))], relied_on=True)
    assert other.enter(keys(1))


def test_a_stream_that_gives_up_its_place_in_line_stands_in_nobodys_way(guard: MergeGuard) -> None:
    assert turns_of(guard, 1).enter(keys(1))
    waits = Waits()
    waiting = turns_of(guard, 2, waits)
    assert not waiting.enter(keys(1), 0.01)
    assert waits.as_map()["waiting"] == "(:P)"
    waiting.abandon()
    told = waits.as_map()
    assert (told["count"], told["for"], told["waiting"]) == (1, {"(:P)": 1}, None)
    assert told["ms"] > 0
    assert turns_of(guard, 3).enter(keys(2))


def test_a_stream_that_waits_keeps_its_place_in_line(guard: MergeGuard, clock: Clock) -> None:
    one, other, late = turns_of(guard, 1), turns_of(guard, 2), turns_of(guard, 3)
    assert one.enter(keys(1))
    assert not other.enter(keys(1, 2), 0.01)
    clock.now += YIELDING
    one.committed()
    assert not late.enter(keys(2)), "it was first"
    assert other.enter(keys(1, 2), 0.01)


def test_whoever_waits_goes_on_as_soon_as_the_other_has_ended() -> None:
    guard, waits = MergeGuard(), Waits()
    one = turns_of(guard, 1)
    assert one.enter(keys(1))
    thread = threading.Thread(target=lambda: turns_of(guard, 2, waits).enter(keys(1), 60.0))
    thread.start()
    eventually(lambda: waits.as_map()["waiting"] is not None)
    one.committed()
    thread.join(30)
    assert not thread.is_alive()


class _Stream(threading.Thread):
    """A worker in miniature: up to three transactions in flight, and all of them settled before it waits."""

    def __init__(self, guard: MergeGuard, owner: int, running: dict[int, int], groups: Iterator[MergeKeys]) -> None:
        super().__init__()
        self.overlaps = 0
        self.done = 0
        self._owner = owner
        self._running = running
        self._groups = list(groups)
        self._turns = turns_of(guard, owner)
        self._sent: list[MergeKeys] = []

    def run(self) -> None:
        for group in self._groups:
            if len(self._sent) == 3:
                self._settle()
            if not self._turns.enter(group):
                while self._sent:
                    self._settle()
                while not self._turns.enter(group, 1.0):
                    pass
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
        self._turns.committed()
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
