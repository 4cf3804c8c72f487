"""A batch knows where it ends, and how much fits into it."""

from __future__ import annotations

import pytest
from confluent_kafka import Message

from sluice.values.batch import Batch, Group, cut
from sluice.values.position import Partition, Position
from tests.unit.partitions import P0, P1


def message(size: int, partition: int = 0, offset: int = 0, epoch: int = 0) -> Message:
    return Message(topic="t", partition=partition, offset=offset, value=b"x" * size, leader_epoch=epoch)


@pytest.mark.parametrize(
    ("sizes", "limit", "kept"),
    [
        ([1, 2, 3], 6, [3]),
        ([1, 2, 3], 5, [2, 1]),
        ([9, 1], 5, [1, 1]),
        ([1, 9], 5, [1, 1]),
        ([0, 0, 0], 1, [3]),
        ([9], 5, [1]),
        ([1] * 9, 100, [4, 4, 1]),
        ([1] * 9, 3, [3, 3, 3]),
        ([2, 2, 9, 2, 2, 2], 5, [2, 1, 2, 1]),
    ],
)
def test_a_batch_ends_before_it_gets_too_big(sizes, limit, kept):
    messages = [message(size) for size in sizes]
    batches = cut(messages, 4, limit, 1000, sum(map(len, messages)))
    assert list(map(len, batches)) == kept
    assert [item for batch in batches for item in batch.messages] == messages


@pytest.mark.parametrize(("room", "kept"), [(1, [4]), (8, [4, 4]), (11, [4, 4]), (12, [4, 4, 4])])
def test_a_group_ends_before_it_gets_too_big(room, kept):
    assert list(map(len, cut([message(1) for _ in range(12)], 4, 100, room, 12))) == kept


def test_the_end_is_behind_the_last_message_of_each_partition():
    batch = Batch([message(1, 0, 4, 7), message(1, 1, 9, 2), message(1, 0, 5, 8)])
    assert Group([batch]).end == {P0: Position(6, 8), P1: Position(10, 2)}
    assert batch.place == "3 messages from topic t, partition 0, offset 4"
    assert [Group([half]).end for half in batch.halves()] == [{P0: (5, 7)}, {P1: (10, 2), P0: (6, 8)}]
    assert Group([Batch([Message(topic="t", partition=0, offset=4)])]).end == {P0: Position(5)}


@pytest.mark.parametrize("partitions", [(), (P0, P1), (P0, P1, Partition("u", 0))])
def test_the_end_is_the_same_whatever_is_known_of_the_partitions(partitions):
    batches = [Batch([message(1, 1, 3), message(1, 0, 4)]), Batch([message(1, 0, 5)])]
    assert Group(batches, partitions=partitions).end == {P0: Position(6, 0), P1: Position(4, 0)}


def test_messages_of_the_only_partition_are_not_asked_for_it():
    class Last:
        """Has nothing but what the last message is asked for."""

        topic, partition, offset, leader_epoch = (staticmethod(lambda given=given: given) for given in ("t", 0, 5, 3))

    group = Group([Batch([None]), Batch([None, Last()])], partitions=[P0])
    assert group.end == {P0: Position(6, 3)}
    assert Group([], partitions=[P0]).end == {}


def test_all_of_a_group_is_that_group_which_knows_its_end_already():
    group = Group([Batch([message(1, 0, 4)]), Batch([message(1, 0, 5)])])
    assert group.part(0, 2) is group
    assert [len(group.part(0, 1)), len(group.part(1, 2)), len(group.part(2, 2))] == [1, 1, 0]
