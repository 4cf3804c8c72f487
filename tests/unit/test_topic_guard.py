"""What a stream does where Kafka has nothing at its position, or has lost what it has read."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from sluice.engine.topic_guard import TopicGuard
from sluice.errors import GapFound, OffsetGone
from sluice.host.settings import Settings
from sluice.values.configuration import decode
from sluice.values.failed_message import FailedMessage
from sluice.values.model import Checkpoint, StreamSpec, Transform
from sluice.values.position import Position

ID = "the topic's id"


class Stream:
    """A guard between a topic, of which bounds are known, and a checkpoint that is where it is told to be."""

    def __init__(self, held: Checkpoint, bounds: tuple[int, int], on_gap: str = "skip") -> None:
        self.held = held
        self.entries: list[FailedMessage] = []
        self.assigned: list[dict[int, Position]] = []
        spec = StreamSpec(
            "u", "people", "h:1", "t", Transform("/t.py", "", ""), config=decode("people", ON_GAP[on_gap])
        )
        topic = SimpleNamespace(partitions=lambda **_: frozenset({0}), watermarks=lambda _: bounds)
        self.log_ends: dict[tuple[int, int, int], int] = {}
        consumer: Any = SimpleNamespace(
            topic=topic,
            assign=lambda _, places: self.assigned.append(places),
            log_end=lambda *asked: self.log_ends[asked],
        )
        identity: Any = SimpleNamespace(wait=lambda _: ID, ask=lambda: None)
        self.guard = TopicGuard(spec, Settings(), consumer, self, identity, lambda: False)  # type: ignore[arg-type]

    def drain(self) -> None:
        """Nothing is in flight."""

    def move(self, entries: Any = (), **changes: Any) -> None:
        self.entries += entries
        self.held = dataclasses.replace(self.held, **changes)

    def meets(self, log_end: int | None) -> None:
        self.guard.pass_gap(OffsetGone("gone", partition=0, log_end=log_end))


ON_GAP = {"stop": "{}", "skip": '{"on_gap": "skip"}'}
READ = Checkpoint({0: 20, 1: 5}, topic_id=ID).moved({0: Position(20, 3)})
OF_OLD = Checkpoint({0: 20, 1: 5}, topic_id=ID)


@pytest.mark.parametrize(
    ("held", "bounds", "log_end", "resume", "count", "what"),
    [
        pytest.param(
            READ, (25, 90), None, 25, 5, "offsets 20 to 24 are gone, at most 5 messages: retention", id="trimmed"
        ),
        pytest.param(READ, (25, 90), 0, 25, 5, "offsets 20 to 24 are gone", id="trimmed and truncated"),
        pytest.param(READ, (0, 50), 0, 0, 0, "lost messages that the stream has read, from offset 0 on", id="all lost"),
        pytest.param(READ, (0, 15), 0, 0, 0, "lost messages that the stream has read, from offset 0 on", id="shorter"),
        pytest.param(
            READ, (2, 50), 12, 12, 0, "lost messages that the stream has read, from offset 12", id="a tail lost"
        ),
        pytest.param(READ, (2, 50), 0, 2, 0, "lost messages that the stream has read, from offset 2", id="and trimmed"),
        pytest.param(OF_OLD, (4, 15), None, 15, 11, "up to 11 of those it has may be new", id="no leader epoch known"),
        pytest.param(
            dataclasses.replace(OF_OLD, topic_id=""), (4, 15), None, 4, 0, "it lost messages", id="no topic id either"
        ),
    ],
)
def test_a_gap_is_named_and_passed_as_the_policy_says(
    held: Checkpoint, bounds: tuple[int, int], log_end: int | None, resume: int, count: int, what: str
):
    stopped = Stream(held, bounds, "stop")
    with pytest.raises(GapFound) as caught:
        stopped.meets(log_end)
    assert what in str(caught.value)
    assert f"to go on from offset {resume}:" in str(caught.value)
    assert (stopped.held, stopped.assigned) == (held, [])
    passing = Stream(held, bounds)
    passing.meets(log_end)
    (entry,) = passing.entries
    assert (entry.partition, entry.offset, entry.count) == (0, 20, count)
    assert passing.held.positions == {0: resume, 1: 5}
    assert passing.assigned == [{0: Position(resume), 1: Position(5)}]


@pytest.mark.parametrize(("bounds", "log_end", "resume"), [((0, 15), 0, 0), ((2, 15), 0, 2), ((0, 15), 15, 15)])
def test_a_log_that_ends_before_the_position_is_asked_about_its_leader_epoch(
    bounds: tuple[int, int], log_end: int, resume: int
):
    stream = Stream(READ, bounds)
    stream.log_ends = {(0, 15, 3): log_end}
    stream.meets(None)
    (entry,) = stream.entries
    assert f"lost messages that the stream has read, from offset {resume} on" in entry.error
    assert (entry.count, stream.held.positions[0]) == (0, resume)
    assert stream.assigned == [{0: Position(resume), 1: Position(5)}]


@pytest.mark.parametrize("held", [READ, Checkpoint({}, topic_id=ID)], ids=["it is there again", "nothing was read"])
def test_what_is_not_gone_is_no_gap(held: Checkpoint):
    with pytest.raises(OffsetGone):
        Stream(held, (0, 50)).meets(None)
