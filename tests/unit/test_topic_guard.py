"""What a stream does where Kafka has nothing at its position, or has lost what it has read."""

from __future__ import annotations

import dataclasses

import pytest

from sluice.engine.gaps import past_gap, to_topics
from sluice.errors import GapFound, OffsetGone
from sluice.values.configuration import Configuration, OnGap
from sluice.values.model import Checkpoint, StreamSpec, Transform
from sluice.values.position import Position
from tests.unit.partitions import P0, P1

ID = "the topic's id"


def spec(on_gap: str) -> StreamSpec:
    return StreamSpec("u", "people", "h:1", "t", Transform("/t.py", "", ""), config=Configuration(on_gap=OnGap(on_gap)))


READ = Checkpoint({P0: 20, P1: 5}, "t", topic_ids={"t": ID}).moved({P0: Position(20, 3)})
OF_OLD = Checkpoint({P0: 20, P1: 5}, "t", topic_ids={"t": ID})


@pytest.mark.parametrize(
    ("held", "bounds", "log_end", "resume", "count", "what"),
    [
        pytest.param(
            READ, (25, 90), None, 25, 5, "offsets 20 to 24, at most 5 messages, were removed by retention", id="trimmed"
        ),
        pytest.param(READ, (25, 90), 0, 25, 5, "offsets 20 to 24, at most", id="trimmed and truncated"),
        pytest.param(READ, (0, 50), 0, 0, 0, "lost messages that the stream has read, from offset 0 on", id="all lost"),
        pytest.param(READ, (0, 15), 0, 0, 0, "lost messages that the stream has read, from offset 0 on", id="shorter"),
        pytest.param(
            READ, (2, 50), 12, 12, 0, "lost messages that the stream has read, from offset 12", id="a tail lost"
        ),
        pytest.param(READ, (2, 50), 0, 2, 0, "lost messages that the stream has read, from offset 2", id="and trimmed"),
        pytest.param(OF_OLD, (4, 15), None, 15, 11, "up to 11 of those it has may be new", id="no leader epoch known"),
        pytest.param(
            dataclasses.replace(OF_OLD, topic_ids={}), (4, 15), None, 4, 0, "it lost messages", id="no topic id either"
        ),
    ],
)
def test_a_gap_is_named_and_passed_as_the_policy_says(
    held: Checkpoint, bounds: tuple[int, int], log_end: int | None, resume: int, count: int, what: str
):
    gone = OffsetGone("gone", partition=P0, log_end=log_end)
    with pytest.raises(GapFound) as caught:
        past_gap(spec("stop"), held, gone, bounds)
    assert what in str(caught.value)
    assert f"to continue from offset {resume}:" in str(caught.value)
    move = past_gap(spec("skip"), held, gone, bounds)
    (entry,) = move.entries
    assert (entry.partition, entry.offset, entry.count) == (0, 20, count)
    assert move.after.positions == {P0: resume, P1: 5}
    assert move.after.places == {P0: Position(resume), P1: Position(5)}


def test_another_topic_is_a_gap_in_the_partitions_that_are_read():
    chosen = dataclasses.replace(spec("skip"), config=Configuration(on_gap=OnGap.SKIP, partitions=(1, 2)))
    move = to_topics(chosen, READ, {"t": "another id"})
    assert [(entry.partition, entry.offset) for entry in move.entries] == [(1, 5)]
    assert move.after.positions == {}


@pytest.mark.parametrize(
    "held", [READ, Checkpoint({}, "t", topic_ids={"t": ID})], ids=["it is there again", "nothing was read"]
)
def test_what_is_not_gone_is_no_gap(held: Checkpoint):
    with pytest.raises(OffsetGone):
        past_gap(spec("skip"), held, OffsetGone("gone", partition=P0), (0, 50))
