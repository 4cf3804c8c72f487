"""The lanes of a run commit together exactly as many batches as its limit says."""

from __future__ import annotations

from random import Random

import pytest

from sluice.engine.batch_limit import BatchLimit


def nothing() -> None:
    """Nobody is to be woken."""


def test_lanes_claim_what_they_have_messages_for() -> None:
    limit = BatchLimit(5)
    for lane in range(2):
        limit.join(lane, {}, nothing)
    assert limit.claim(0, 3) == 3
    assert limit.claim(1, 4) == 2
    assert limit.claim(0, 1) == limit.left(1) == 0
    assert not limit.is_reached(0, 3)
    assert limit.is_reached(1, 2)


def test_what_was_committed_before_counts() -> None:
    limit = BatchLimit(5)
    limit.join(0, {0: 1, 1: 3}, nothing)
    assert limit.claim(0, 9) == 1
    assert limit.is_reached(0, 2)


def test_all_are_woken_once_it_is_reached() -> None:
    limit, woken = BatchLimit(2), list[int]()
    limit.join(0, {}, lambda: woken.append(0))
    limit.join(1, {}, lambda: woken.append(1))
    limit.claim(0, 2)
    limit.is_reached(0, 1)
    assert woken == []
    for _ in range(2):
        assert limit.is_reached(0, 2)
    assert woken == [0, 1]


def test_what_a_broken_session_had_claimed_stays_its_own_until_it_has_committed() -> None:
    limit = BatchLimit(5)
    for lane in range(2):
        limit.join(lane, {}, nothing)
    limit.claim(0, 3)
    limit.join(0, {0: 1}, nothing)  # one of them was committed; another may still be
    assert limit.left(1) == 2
    assert limit.claim(0, 1) == 1
    limit.is_reached(0, 2)
    assert limit.left(1) == 3


@pytest.mark.parametrize("seed", range(20))
def test_whatever_breaks_off_no_more_are_committed(seed: int) -> None:
    random, limit, size = Random(seed), BatchLimit(20), 3
    committed, claimed = dict.fromkeys(range(size), 0), dict.fromkeys(range(size), 0)
    for lane in range(size):
        limit.join(lane, committed, nothing)
    reached = False
    while not reached:
        lane = random.randrange(size)
        what = random.random()
        if what < 0.4:
            claimed[lane] += limit.claim(lane, random.randint(1, 4))
        elif what < 0.9 and claimed[lane]:
            done = random.randint(1, claimed[lane])
            claimed[lane] -= done
            committed[lane] += done
            reached = limit.is_reached(lane, committed[lane])
        elif what > 0.97:
            claimed[lane] = 0
            limit.join(lane, dict(committed), nothing)
    assert sum(committed.values()) == 20
