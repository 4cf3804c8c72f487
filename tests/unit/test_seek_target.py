"""Where a stream can be sent: what may be given for it, and what that comes to."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SettingError
from sluice.values.position import Partition, Position
from sluice.values.seek_target import (
    FORMS,
    AtOffsets,
    AtTime,
    ByCount,
    Earliest,
    Latest,
    Move,
    Target,
    leader_epochs_after,
    moves_to,
    positions_after,
    start_of,
    target_of,
)
from tests.unit.partitions import P0, P1, P2

NOON = 1732276800000
"2024-11-22 12:00 in UTC."


@pytest.mark.parametrize(
    ("what", "target"),
    [
        pytest.param("earliest", Earliest(), id="the beginning"),
        pytest.param("latest", Latest(), id="the end"),
        pytest.param("2024-11-22T12:00:00Z", AtTime(NOON), id="UTC"),
        pytest.param("2024-11-22T12:00:00", AtTime(NOON), id="no zone is UTC"),
        pytest.param("2024-11-22 13:00:00+01:00", AtTime(NOON), id="another zone"),
        pytest.param("2024-11-22T12:00:00.250Z", AtTime(NOON + 250), id="milliseconds"),
        pytest.param("2024-11-22", AtTime(NOON - 12 * 3_600_000), id="a day begins at midnight"),
        pytest.param(datetime.datetime(2024, 11, 22, 12), AtTime(NOON), id="Memgraph's localDateTime"),
        pytest.param(datetime.date(2024, 11, 22), AtTime(NOON - 12 * 3_600_000), id="Memgraph's date"),
        pytest.param({"timestamp": NOON}, AtTime(NOON), id="milliseconds since 1970"),
        pytest.param({"timestamp": 5}, AtTime(5), id="shortly after the epoch"),
        pytest.param({"timestamp": "1970-01-01"}, AtTime(0), id="the epoch"),
        pytest.param({"relative": -5}, ByCount(-5), id="back"),
        pytest.param({"relative": 5}, ByCount(5), id="on"),
        pytest.param(
            {"orders": {"0": 5}, "relative": {"1": 7}},
            AtOffsets({Partition("orders", 0): 5, Partition("relative", 1): 7}),
            id="offsets of topics",
        ),
        pytest.param({"0": 5, "10": 0}, AtOffsets({Partition("", 0): 5, Partition("", 10): 0}), id="offsets"),
    ],
)
def test_what_a_user_means(what: Any, target: Target) -> None:
    assert target_of("here", what) == target


@pytest.mark.parametrize(
    ("what", "message"),
    [
        pytest.param("end", f"expected {FORMS}, got 'end'", id="a word"),
        pytest.param("-5", f"expected {FORMS}, got '-5'", id="a number in quotes"),
        pytest.param(None, f"expected {FORMS}, got None", id="nothing"),
        pytest.param(True, f"expected {FORMS}, got True", id="a truth value"),
        pytest.param(1.5, f"expected {FORMS}, got 1.5", id="a fraction"),
        pytest.param([5], f"expected {FORMS}, got [5]", id="a list"),
        pytest.param(
            {"orders": {"0": 5}, "users": {}},
            f"expected {FORMS}, got no offsets for the topic users",
            id="a topic without offsets",
        ),
        pytest.param({"partition": 5}, f"expected {FORMS}, got the key 'partition'", id="a key that is no partition"),
        pytest.param({"0": True}, "the offset of partition 0 must be 0 or more, got True", id="a truth for an offset"),
        pytest.param({"0": None}, "the offset of partition 0 must be 0 or more, got None", id="no offset"),
        pytest.param({"a": {"x": 1}}, f"expected {FORMS}, got the key 'x'", id="a topic without partitions"),
        pytest.param({"a": {"0": 1}, "0": 1}, f"expected {FORMS}, got the key 'a'", id="a topic beside a partition"),
        pytest.param({"relative": 1.5}, "relative must be an integer, got 1.5", id="half a message"),
        pytest.param(
            {"timestamp": "noon"},
            "expected a timestamp (ISO 8601 or milliseconds since 1970), got 'noon'",
            id="a time of day",
        ),
        pytest.param({"timestamp": -1}, "expected a timestamp (ISO 8601 or milliseconds since 1970), got -1", id="-1"),
        pytest.param(7, f"expected {FORMS}, got 7", id="a number that could be an offset, a count or a time"),
        pytest.param(NOON, f"expected {FORMS}, got {NOON}", id="a large number"),
        pytest.param(-7, f"expected {FORMS}, got -7", id="a negative number"),
        pytest.param("1969-12-31", "1969-12-31 is before 1970", id="before the epoch"),
    ],
)
def test_what_nobody_can_mean(what: Any, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        target_of("here", what)
    assert str(caught.value) == f"here: {message}"


@pytest.mark.parametrize("what", [5, -5, {"0": 5}, None, True, [], "soon"])
def test_a_start_is_an_end_or_a_time(what: Any) -> None:
    with pytest.raises(SettingError):
        start_of("here", what)
    assert start_of("here", "latest") == Latest()
    assert start_of("here", NOON) == start_of("here", "2024-11-22T12:00Z") == AtTime(NOON)


BOUNDS = {P0: (10, 100), P1: (0, 50)}


@pytest.mark.parametrize(
    ("target", "positions", "moves", "after"),
    [
        pytest.param(Earliest(), {P0: 60}, [(0, 60, 10, 50, "read again"), (1, 0, 0, 0, "none")], {}, id="earliest"),
        pytest.param(
            Latest(),
            {P0: 60},
            [(0, 60, 100, 40, "skipped"), (1, 0, 50, 50, "skipped")],
            {P0: 100, P1: 50},
            id="latest",
        ),
        pytest.param(
            AtTime(5),
            {P0: 60, P1: 50},
            [(0, 60, 30, 30, "read again"), (1, 50, 50, 0, "none")],
            {P0: 30, P1: 50},
            id="a time after which one partition has nothing",
        ),
        pytest.param(
            ByCount(-20),
            {P0: 20, P1: 50},
            [(0, 20, 10, 10, "read again"), (1, 50, 30, 20, "read again")],
            {P0: 10, P1: 30},
            id="back, as far as it goes",
        ),
        pytest.param(
            ByCount(70),
            {P1: 10},
            [(0, 10, 80, 70, "skipped"), (1, 10, 50, 40, "skipped")],
            {P0: 80, P1: 50},
            id="on, as far as it goes, from the beginning where nothing was read",
        ),
        pytest.param(
            ByCount(-5),
            {P0: 4, P1: 50},
            [(0, 4, 10, 0, "none"), (1, 50, 45, 5, "read again")],
            {P0: 10, P1: 45},
            id="retention has passed the position",
        ),
        pytest.param(
            AtOffsets({P0: 30}),
            {P0: 60},
            [(0, 60, 30, 30, "read again"), (1, 0, 0, 0, "none")],
            {P0: 30},
            id="one partition; one that was not read stays so",
        ),
        pytest.param(
            AtOffsets({P0: 100}),
            {P0: 60, P1: 7},
            [(0, 60, 100, 40, "skipped"), (1, 7, 7, 0, "none")],
            {P0: 100, P1: 7},
            id="one partition; the other stays where it is",
        ),
        pytest.param(
            Earliest(),
            {P0: 500, P1: 0},
            [(0, 500, 10, 90, "read again"), (1, 0, 0, 0, "none")],
            {},
            id="the topic lost what was read",
        ),
    ],
)
def test_what_a_target_comes_to(
    target: Target, positions: dict[Partition, int], moves: list[tuple[Any, ...]], after: dict[Partition, int]
) -> None:
    found = moves_to("here", target, positions, BOUNDS, {P0: 30, P1: None})
    assert [tuple(move.as_row().values())[1:] for move in found] == moves
    assert positions_after(target, positions, found) == after


partitions = st.builds(Partition, st.just("t"), st.integers(0, 3))
spans = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (min(pair), max(pair)))
targets = st.one_of(st.sampled_from([Earliest(), Latest(), AtTime(0)]), st.builds(ByCount, st.integers(-100, 100)))


@given(targets, st.dictionaries(partitions, st.integers(0, 60)), st.dictionaries(partitions, spans))
def test_a_move_ends_inside_the_topic_and_counts_what_kafka_has(
    target: Target, positions: dict[Partition, int], bounds: dict[Partition, tuple[int, int]]
) -> None:
    for move in moves_to("here", target, positions, bounds, dict.fromkeys(bounds)):
        low, high = bounds[move.partition]
        assert low <= move.after <= high
        there = set(range(low, high))
        was, will = there & set(range(move.before, high)), there & set(range(move.after, high))
        assert move.messages == len(was ^ will)
        assert (move.effect == "none") == (was == will)


def test_an_offset_that_is_not_there_is_refused() -> None:
    for offsets, message in (
        ({P0: 9}, "here: partition 0 can be read from offset 10 to 100, not 9"),
        ({P1: 51}, "here: partition 1 can be read from offset 0 to 50, not 51"),
        ({P2: 0}, "here: the stream reads no partition 2, only 0, 1"),
    ):
        with pytest.raises(SettingError) as caught:
            moves_to("here", AtOffsets(offsets), {}, BOUNDS, {})
        assert str(caught.value) == message


def test_partitions_that_are_not_read_stay_where_they_are() -> None:
    other, positions = Partition("t", 7), {P0: 12, Partition("t", 7): 3}
    for target, expected in (
        (Earliest(), {other: 3}),
        (Latest(), {P0: 100, P1: 50, other: 3}),
        (AtOffsets({P0: 20}), {P0: 20, other: 3}),
    ):
        assert positions_after(target, positions, moves_to("here", target, positions, BOUNDS, {})) == expected


def test_a_lost_log_is_noticed_in_partitions_that_the_seek_is_not_about() -> None:
    known = {P0: Position(5, 2), P1: Position(7, 3)}
    bounds = {P0: (0, 10), P1: (0, 10)}
    for target, kept in ((AtOffsets({P0: 5}), {P1: known[P1]}), (ByCount(0), {}), (Earliest(), {})):
        moves = moves_to("here", target, {P0: 5, P1: 7}, bounds, {})
        assert leader_epochs_after(known, moves) == kept


def test_offsets_of_several_topics_name_theirs() -> None:
    orders, users = Partition("orders", 0), Partition("users", 0)
    bounds = {orders: (0, 10), users: (0, 20)}
    moves = moves_to("here", target_of("here", {"users": {"0": 5}}), {orders: 3, users: 7}, bounds, {})
    assert [(move.partition, move.after) for move in moves] == [(orders, 3), (users, 5)]
    assert positions_after(AtOffsets({}), {orders: 3}, moves) == {orders: 3, users: 5}
    for to, message in (
        ({"0": 5}, "the stream reads the topics orders, users: give offsets as {topic: {`partition`: offset}}"),
        ({"letters": {"0": 5}}, "the stream reads no topic letters, only orders, users"),
        ({"users": {"1": 5}}, "the stream reads no partition 1 of topic users, only 0"),
        ({"users": {"0": 21}}, "topic users, partition 0 can be read from offset 0 to 20, not 21"),
    ):
        with pytest.raises(SettingError) as caught:
            moves_to("here", target_of("here", to), {}, bounds, {})
        assert str(caught.value) == f"here: {message}"
    with pytest.raises(SettingError, match="there is no topic for the stream yet"):
        moves_to("here", target_of("here", {"0": 5}), {}, {}, {})


def test_a_move_says_how_many_at_the_most() -> None:
    assert Move(P0, before=5, after=10, low=8, high=20).messages == 2
