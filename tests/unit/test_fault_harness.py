"""What the fault harness says of a graph, of a stream that stands still, and of all its rounds."""

from __future__ import annotations

import pytest

from tests.faults.compare import Comparison, Entry, Move, read
from tests.faults.plan import Layout
from tests.faults.standstill import Standstills
from tests.faults.verdict import Order, Verdict, summary

FOUR = [Entry(number, f"{number:08x}") for number in range(4)]
AGAIN = [*FOUR, *FOUR[2:]]
OTHER = Entry(2, "another")

ONE_TOPIC = Layout(("a",), 4, has_side=True)
TWO_TOPICS = Layout(("a", "b"), 3, has_side=True)


@pytest.mark.parametrize(
    ("expected", "found", "lost", "twice", "strange", "misordered"),
    [
        pytest.param(FOUR, FOUR, 0, 0, 0, 0, id="all is right"),
        pytest.param(FOUR, FOUR[:3], 1, 0, 0, 0, id="the last is lost"),
        pytest.param(FOUR, [FOUR[0], *FOUR[2:]], 1, 0, 0, 0, id="one is lost"),
        pytest.param(FOUR, [*FOUR[:2], *FOUR], 0, 2, 0, 0, id="a batch is there twice"),
        pytest.param(FOUR, [*FOUR, FOUR[3]], 0, 1, 0, 0, id="the last is there twice"),
        pytest.param(FOUR, [*FOUR[:2], OTHER, FOUR[3]], 1, 0, 1, 0, id="one has another checksum"),
        pytest.param(FOUR, [FOUR[1], FOUR[0], *FOUR[2:]], 0, 0, 0, 1, id="two are in the wrong order"),
        pytest.param(FOUR, [], 4, 0, 0, 0, id="nothing is there"),
        pytest.param(AGAIN, AGAIN, 0, 0, 0, 0, id="two are applied once more"),
        pytest.param(AGAIN, FOUR, 2, 0, 0, 0, id="two should be applied once more"),
        pytest.param(AGAIN, [*AGAIN, FOUR[3]], 0, 1, 0, 0, id="one is applied three times"),
        pytest.param(AGAIN, [*FOUR, FOUR[3], FOUR[2]], 0, 0, 0, 1, id="... once more, in the wrong order"),
    ],
)
def test_the_comparison_tells_what_is_wrong(
    expected: list[Entry], found: list[Entry], lost: int, twice: int, strange: int, misordered: int
) -> None:
    comparison = Comparison()
    comparison.add("topic a, partition 0", expected, found)
    assert (comparison.messages, comparison.lost, comparison.twice) == (len(expected), lost, twice)
    assert (comparison.strange, comparison.misordered) == (strange, misordered)
    assert comparison.right is (found == expected)
    assert all(text.startswith("topic a, partition 0") for text in comparison.examples)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        pytest.param([], "01234567", id="nobody moves it"),
        pytest.param([Move(5, 3)], "0123434567", id="back"),
        pytest.param([Move(5, 3), Move(3, 5)], "01234567", id="back and to where it was"),
        pytest.param([Move(5, 8), Move(8, 5)], "01234567", id="to the end and to where it was"),
        pytest.param([Move(5, 3), Move(4, 0)], "012343" + "01234567", id="back twice"),
        pytest.param([Move(8, 0)], "01234567" * 2, id="all of it"),
    ],
)
def test_what_a_stream_reads_that_is_sought(moves: list[Move], expected: str) -> None:
    assert b"".join(read([b"%d" % number for number in range(8)], moves)).decode() == expected


@pytest.mark.parametrize("layout", [ONE_TOPIC, TWO_TOPICS])
def test_partitions_of_all_topics_are_numbered_in_one_row(layout: Layout) -> None:
    places = [layout.place(number) for number in layout.numbers]
    assert len(set(places)) == len(places) == layout.count + 1
    assert [layout.number(*place) for place in places] == list(layout.numbers)
    assert layout.place(layout.count) == (layout.topics[-1], layout.per_topic), "the side partition"


def test_positions_are_read_as_streams_info_has_them_and_written_as_seek_takes_them() -> None:
    assert ONE_TOPIC.numbered({"0": 7, "4": 2}) == {0: 7, 4: 2}
    by_topic = {"a": {"0": 7}, "b": {"1": 8, "3": 9}}
    assert TWO_TOPICS.numbered(by_topic) == {0: 7, 4: 8, 6: 9}
    assert TWO_TOPICS.as_map({0: 7, 4: 8, 6: 9}) == by_topic


def test_the_longest_standstill_is_that_of_a_stream_with_messages_before_it() -> None:
    standstills = Standstills()
    standstills.saw("s", {0: 1}, behind=True, seconds=0.5)
    assert standstills.saw("s", {0: 1}, behind=True, seconds=0.5) == 0.5
    assert standstills.saw("s", {0: 1}, behind=False, seconds=9) == 0
    assert standstills.saw("s", {0: 2}, behind=True, seconds=9) == 0
    for _ in range(3):
        standstills.saw("rider0", {0: 1}, behind=True, seconds=0.5)
    standstills.begin()
    assert standstills.saw("rider0", {0: 1}, behind=True, seconds=9) == 0
    assert (standstills.longest, standstills.longest_of) == (1.0, "rider0")


def test_the_summary_adds_up_all_rounds_and_names_those_that_failed() -> None:
    one = Verdict(Order("kill", 1, 100), Comparison(messages=100), {"host kills": 3, "poison": 2}, standstill=2.5)
    many = Verdict(
        Order("all", 2, 100, lanes=4),
        Comparison(messages=90, lost=1, twice=2, misordered=3, doubled=4),
        {"host kills": 5},
        standstill=7.25,
        ended_by_themselves=1,
    )
    assert summary([one, many]).splitlines() == [
        "of these, streams of several lanes and topics: 90 messages, 5 host kills, 1 lost, 2 twice, 3 misordered, "
        "4 keys doubled",
        "longest time without progress while nothing was in the way: 7.2 s (all, 4 lanes, seed 2)",
        "streams in error: 2 at a poisoned message, 1 for another reason",
        "total: 190 messages, 8 host kills, 1 lost, 2 twice, 3 misordered, 4 keys doubled; "
        "FAILED: all, 4 lanes (seed 2)",
    ]
    assert summary([one]).splitlines()[-1].endswith("; every promise kept")
