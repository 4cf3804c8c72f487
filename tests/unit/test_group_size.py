"""Groups are as large as their time allows."""

from __future__ import annotations

import pytest

from sluice.engine.group_size import AIM, FIRST_PAUSE, MAX_BACKOFF, GroupSize, pause


def run(pace: GroupSize, fixed: float, each: float, groups: int = 60) -> int:
    """The size that groups come to where a transaction costs so many seconds by itself, and so many for each batch."""
    for _ in range(groups):
        pace.took(pace.batches, fixed + pace.batches * each)
    return pace.batches


@pytest.mark.parametrize("batch_size", [1, 10, 100, 1000, 100_000])
def test_a_group_begins_with_a_thousand_messages_or_one_batch(batch_size: int):
    assert GroupSize(batch_size).batches == max(1, 1000 // batch_size)


def test_quick_groups_become_large():
    assert run(GroupSize(10), 0.001, 0.0001) == 400


def test_groups_that_take_long_for_their_batches_become_short():
    assert 0.01 * run(GroupSize(10), 0.001, 0.01) <= AIM
    assert run(GroupSize(10), 0.001, 5.0) == 1


def test_groups_whose_transactions_cost_much_by_themselves_stay_large():
    assert run(GroupSize(10), 0.3, 0.0001) >= 50
    assert run(GroupSize(10), 1.0, 0.0001) >= 50


def test_groups_that_are_quick_again_grow_again():
    pace = GroupSize(10)
    run(pace, 0.001, 5.0)
    assert run(pace, 0.001, 0.0001) == 400


def test_a_small_group_says_nothing_about_larger_ones():
    pace = GroupSize(10)
    pace.refused(100)
    assert pace.batches == 50
    for _ in range(50):
        pace.took(1, 0.001)
    assert pace.batches == 50


def test_a_refused_group_halves_down_to_one_batch():
    pace = GroupSize(10)
    for _ in range(20):
        pace.refused(pace.batches)
    assert pace.batches == 1


@pytest.mark.parametrize(("failures", "longest"), [(1, FIRST_PAUSE), (3, 4 * FIRST_PAUSE), (50, MAX_BACKOFF)])
def test_pauses_grow_and_at_least_half_of_each_is_certain(failures: int, longest: float):
    found = [pause(failures) for _ in range(100)]
    assert longest / 2 <= min(found)
    assert max(found) <= longest
