"""Messages become batches, and batches groups: full ones at once, others when their interval is over."""

from __future__ import annotations

import pytest
from confluent_kafka import Message

from sluice.brokers import batcher
from sluice.brokers.batcher import Batcher, Limits

LIMITS = Limits(size=10, interval=0.1, max_bytes=100, batches=100)


def numbered(start: int, stop: int, size: int = 1) -> list[Message]:
    return [Message(topic="t", partition=0, offset=offset, value=b"x" * size) for offset in range(start, stop)]


def due(held: Batcher, now: float, limits: Limits = LIMITS, *, complete: bool = False) -> list[list[int]]:
    """The offsets of the batches that are due."""
    group = held.due(limits, now, complete=complete)
    return [] if group is None else [[message.offset() for message in batch.messages] for batch in group.batches]


def of(*ranges: range) -> list[list[int]]:
    return list(map(list, ranges))


def test_full_batches_are_due_at_once_and_the_tail_after_its_interval():
    held = Batcher()
    held.add(numbered(0, 25), now=5.0)
    assert due(held, 5.0) == of(range(10), range(10, 20))
    assert len(held) == 5
    held.add(numbered(25, 27), now=5.06)
    assert due(held, 5.09) == []
    assert held.wait(LIMITS, 5.09) == pytest.approx(0.01)
    assert due(held, 5.1) == of(range(20, 27))
    assert len(held) == 0


def test_the_interval_counts_from_the_first_message_of_the_batch():
    held = Batcher()
    held.add(numbered(0, 8), now=5.0)
    held.add(numbered(8, 12), now=5.05)
    assert due(held, 5.05) == of(range(10))
    assert held.wait(LIMITS, 5.05) == pytest.approx(0.1)
    assert due(held, 5.14) == []
    assert due(held, 5.15) == of(range(10, 12))


def test_nothing_is_due_of_nothing():
    assert due(Batcher(), 5.0, complete=True) == []


def test_a_tail_after_which_nothing_comes_is_due_at_once():
    held = Batcher()
    held.add(numbered(0, 13), now=5.0)
    assert due(held, 5.0, complete=True) == of(range(10), range(10, 13))


def test_a_group_has_no_more_batches_than_it_may():
    held = Batcher()
    held.add(numbered(0, 50), now=5.0)
    assert due(held, 5.0, LIMITS._replace(batches=2)) == of(range(10), range(10, 20))
    assert due(held, 5.0, LIMITS._replace(batches=1)) == of(range(20, 30))
    assert due(held, 5.0) == of(range(30, 40), range(40, 50))


def test_batches_and_groups_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batcher, "GROUP_BYTES", 150)
    held = Batcher()
    held.add([*numbered(0, 8, size=30), *numbered(8, 9, size=500), *numbered(9, 20, size=5)], now=5.0)
    groups = []
    while group := due(held, 9.0):
        groups.append(group)
    assert groups == [
        of(range(3)),
        of(range(3, 6), range(6, 8)),
        of(range(8, 9)),
        of(range(9, 19), range(19, 20)),
    ]


@pytest.mark.parametrize(
    ("held", "size", "room"),
    [(0, 1, 1000), (3, 1, 997), (3, 33, 997), (3, 34, 0), (1, 100, 0)],
    ids=["none", "small ones", "just under the limit", "a batch's bytes", "one large one"],
)
def test_there_is_room_until_a_batch_is_full_in_bytes(held: int, size: int, room: int):
    made = Batcher()
    made.add(numbered(0, held, size), now=5.0)
    assert made.room(LIMITS) == room
    assert made.room(LIMITS._replace(size=2, batches=1)) == (max(0, 2 - held) if room else 0)


def test_what_is_dropped_is_not_due():
    held = Batcher()
    held.add(numbered(0, 13), now=5.0)
    held.clear()
    held.add(numbered(13, 14), now=6.0)
    assert held.wait(LIMITS, 6.0) == pytest.approx(0.1)
    assert due(held, 6.1) == of(range(13, 14))


def test_what_has_left_takes_no_room():
    limits = LIMITS._replace(batches=1)
    held = Batcher()
    held.add(numbered(0, 12, size=8), now=5.0)
    assert due(held, 5.0, limits) == of(range(10))
    assert held.room(limits) == 8  # 16 of 100 bytes are held
    held.add(numbered(12, 13, size=84), now=5.0)
    assert held.room(limits) == 0
    held.clear()
    assert held.room(limits) == 10
