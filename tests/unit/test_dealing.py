"""Partitions and checkpoints are dealt to lanes, and lanes are one stream again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SettingError
from sluice.persistence import nodes
from sluice.persistence.stream_row import StreamRow, heeding_lanes
from sluice.values.configuration import Configuration
from sluice.values.dealing import dealt, joined, lanes_for
from sluice.values.failed_message import of_gap
from sluice.values.lane import WHOLE, Lane, key_of, lane_of
from sluice.values.model import Checkpoint, CheckpointId, Status, StreamSpec, Transform, VertexId
from sluice.values.parked_message import RetryRequest, decode_requests, encode_requests
from sluice.values.position import Partition, Position
from tests.unit.partitions import P0, P1, P2

CHOSEN = st.lists(st.integers(0, 40), unique=True, max_size=8).map(lambda found: tuple(sorted(found)))


def spec(**config: Any) -> StreamSpec:
    return StreamSpec("u", "s", "h:1", "t", Transform("/t.py", "", ""), config=Configuration(**config))


@given(st.integers(1, 8), CHOSEN, st.integers(1, 40))
def test_each_partition_is_read_by_one_lane_and_stays_with_it(lanes: int, chosen: tuple[int, ...], there: int) -> None:
    stream = spec(partitions=chosen)
    parts = [replace(stream, lane=Lane(number, lanes)) for number in range(lanes)]
    partitions = [Partition("t", number) for number in range(there + 5)]
    before = [one.reads(partitions[:there]) for one in parts]
    after = [one.reads(partitions) for one in parts]
    assert sorted(p for one in before for p in one) == sorted(stream.reads(partitions[:there]))
    assert all(one <= more for one, more in zip(before, after, strict=True))
    sizes = [len(one) for one in before]
    if not chosen or max(chosen) < there:
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("config", "partitions", "expected"),
    [
        pytest.param({}, range(8), 1, id="the default"),
        pytest.param({"lanes": 4}, range(8), 4, id="a number"),
        pytest.param({"lanes": "auto"}, range(8), 2, id="as many as cores"),
        pytest.param({"lanes": "auto"}, range(1), 1, id="as many as partitions"),
        pytest.param({"lanes": "auto", "partitions": (5,)}, [5], 1, id="as many as chosen ones"),
    ],
)
def test_how_many_lanes_a_stream_gets(config: dict[str, Any], partitions: Any, expected: int) -> None:
    assert lanes_for(spec(**config), [Partition("t", number) for number in partitions], cores=2) == expected


def test_more_lanes_than_partitions_are_refused() -> None:
    with pytest.raises(SettingError, match="config: lanes: the stream reads 3 partitions of topic t, so .* 3 at most"):
        lanes_for(spec(lanes=4), [P0, P1, P2], cores=8)


GAP = of_gap("t", 1, 5, 2, "removed")
HELD = Checkpoint(
    {P0: 10, P1: 7, P2: 3},
    "t",
    batches=9,
    messages=20,
    failed=5,
    parked=8,
    history=(replace(GAP, partition=0, time="1"), replace(GAP, time="2"), replace(GAP, partition=2, time="3")),
    topic_ids={"t": "id"},
    leader_epochs={P1: Position(7, 4)},
    generation=3,
    generation_batches=2,
    ended_generation=3,
    ended_status=Status.ERROR,
    error="lane 0 of 2: why",
    ended_at="2026",
)


@pytest.mark.parametrize("lanes", [1, 2, 3, 5])
def test_what_is_dealt_is_the_same_stream(lanes: int) -> None:
    parked = [1, 2, *[0] * 5][:lanes]
    parts = dealt(HELD, spec(), lanes, parked)
    assert joined(parts, 3) == HELD
    assert [{p.number for p in one.positions} for one in parts] == [
        {p for p in range(3) if p % lanes == n} for n in range(lanes)
    ]
    assert all(one.failed >= count for one, count in zip(parts, parked, strict=True))
    assert all({Partition("t", entry.partition) for entry in one.history} <= one.positions.keys() for one in parts)


ENDED = Checkpoint({}, ended_generation=3, ended_at="2026")


@pytest.mark.parametrize(
    ("lanes", "expected"),
    [
        pytest.param([ENDED, Checkpoint({}, ended_generation=2)], (2, Status.STOPPED, None), id="one is at work"),
        pytest.param([ENDED, ENDED], (3, Status.STOPPED, None), id="all have ended"),
        pytest.param(
            [Checkpoint({}), replace(ENDED, ended_status=Status.ERROR, error="why")],
            (3, Status.ERROR, "lane 1 of 2: why"),
            id="one has failed",
        ),
        pytest.param(
            [replace(ENDED, ended_generation=2, ended_status=Status.ERROR, error="why"), Checkpoint({})],
            (2, Status.ERROR, "why"),
            id="one had failed before",
        ),
    ],
)
def test_how_the_run_of_all_lanes_stands(lanes: list[Checkpoint], expected: tuple[int, Status, str | None]) -> None:
    found = joined(lanes, 3)
    assert (found.ended_generation, found.ended_status, found.error) == expected


def row(lane: Lane, status: str = "stopped", ended: int = 0) -> StreamRow:
    properties = {"uid": "u", "generation": 3, "ended_generation": ended, "ended_status": status}
    properties |= nodes.lane_properties(lane)
    return StreamRow(VertexId(1), CheckpointId(VertexId(2 + lane.number), "u"), ended != 3, False, properties)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([row(WHOLE)], [True], id="one lane"),
        pytest.param([row(Lane(0, 2)), row(Lane(1, 2))], [True, True], id="two"),
        pytest.param([row(Lane(0, 2)), row(Lane(1, 2), ended=3)], [True, False], id="one has done its part"),
        pytest.param([row(Lane(0, 2)), row(Lane(1, 2), "error", 3)], [False, False], id="one has failed"),
        pytest.param([row(Lane(0, 2)), row(Lane(1, 2), "error", 2)], [True, True], id="one had failed before"),
        pytest.param([row(Lane(0, 3)), row(Lane(1, 3))], [False, False], id="a checkpoint is gone"),
    ],
)
def test_no_lane_runs_on_when_another_has_failed(rows: list[StreamRow], expected: list[bool]) -> None:
    assert [one.should_run for one in heeding_lanes(rows)] == expected


def test_what_is_kept_by_lane_is_kept_by_the_stream_where_there_is_one() -> None:
    assert [row(Lane(number, 3)).key for number in range(3)] == ["u", "u/1", "u/2"]
    assert row(WHOLE).key == key_of("u", 0) == "u"
    assert [nodes.lane_in(row(lane).properties) for lane in (WHOLE, Lane(1, 2))] == [WHOLE, Lane(1, 2)]


def test_a_retry_means_other_numbers_in_each_lane() -> None:
    request = RetryRequest(1, 9, lanes=(4, 9))
    [again] = decode_requests(encode_requests([request]))
    assert [again.for_lane(lane).upto for lane in range(3)] == [4, 9, 9]
    assert "lanes" not in encode_requests([RetryRequest(1, 9)])
    assert decode_requests('[{"number":1,"upto":9,"lanes":["x"]}]') == ()


def test_a_partition_keeps_its_lane_by_its_place_among_the_chosen() -> None:
    assert [lane_of(Partition("t", number), 2, (1, 3, 5), "t") for number in (1, 3, 5)] == [0, 1, 0]


def test_partitions_of_several_topics_are_dealt_evenly() -> None:
    names = [f"topic-{number}" for number in range(300)]
    lanes = Counter(lane_of(Partition(name, 0), 3, (), ",".join(names)) for name in names)
    assert min(lanes.values()) > 70
    assert [lane_of(Partition("a", number), 2, (), "a,b") for number in range(3)] in ([0, 1, 0], [1, 0, 1])
