"""A reader of the history finds the transactions that its checkpoint counts: no more, no fewer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from confluent_kafka import Message

from sluice.engine.history import History, Mark
from sluice.persistence.transaction import Transaction
from sluice.scripting.process import PackedQueries
from sluice.values.batch import Batch, Group
from sluice.values.model import Checkpoint
from tests.unit.partitions import P0

NEW = Checkpoint({}, "t")


def reached(messages: int) -> Checkpoint:
    """The checkpoint after so many messages, in batches of ten."""
    return Checkpoint({P0: messages}, "t", batches=messages // 10, messages=messages)


def to(messages: int) -> Transaction:
    return Transaction(NEW, reached(messages))


IN_FLIGHT = (to(40), to(50))


@pytest.fixture
def history() -> History:
    """Of a stream that has committed 30 messages, and has two more transactions in flight."""
    made = History(3)
    made.start(Mark.of(NEW))
    for messages in (10, 20, 30):
        made.append(to(messages), 0, "5ha")
    return made


def ends(history: History, checkpoint: Checkpoint | None, in_flight: Sequence[Transaction] = IN_FLIGHT) -> list[int]:
    return [entry.end["0"] for entry in history.up_to(checkpoint, in_flight)]


@pytest.mark.parametrize("messages", [10, 20, 30, 40, 50])
def test_the_entries_add_up_to_what_the_reader_sees(history: History, messages: int):
    entries = history.up_to(reached(messages), IN_FLIGHT)
    assert [entry.end for entry in entries] == [{"0": end} for end in range(10, messages + 1, 10)]
    assert sum(entry.messages for entry in entries) == messages
    assert sum(entry.batches for entry in entries) == messages // 10


def test_before_the_first_transaction_there_is_none(history: History):
    assert ends(history, NEW) == []


def test_what_is_in_flight_is_reported_without_the_time_that_its_commit_took(history: History):
    message = Message(topic="t", partition=0, offset=30, value=b"")
    group, queries = Group([Batch([message])], polled=0.5), PackedQueries(5, b"", given=7)
    sent = dataclasses.replace(to(40), group=group, queries=queries, write_seconds=0.25)
    latest = history.up_to(reached(40), [sent], "5ha")[-1]
    assert (latest.begin, latest.end, latest.queries, latest.sent) == ({"0": 30}, {"0": 40}, 7, 5)
    assert (latest.ms, latest.transform_sha256) == ({"poll": 500, "transform": 0, "write": 250, "commit": 0}, "5ha")


@pytest.mark.parametrize("in_flight", [IN_FLIGHT, IN_FLIGHT[1:]], ids=["not let go of yet", "let go of"])
def test_what_is_recorded_is_reported_once(history: History, in_flight: Sequence[Transaction]):
    history.append(to(40), 0, "5ha")
    assert ends(history, reached(40), in_flight) == [20, 30, 40]
    assert ends(history, reached(50), in_flight) == [20, 30, 40, 50]


def test_what_was_refused_is_not_reported_though_it_is_sent_again_in_parts(history: History):
    assert ends(history, reached(35), [to(35)]) == [10, 20, 30, 35]
    assert ends(history, reached(40), [to(35)]) == [10, 20, 30]


def test_a_checkpoint_that_nothing_leads_to_gets_all_there_is(history: History):
    assert ends(history, dataclasses.replace(reached(20), messages=99)) == [10, 20, 30]
    assert ends(history, None) == [10, 20, 30]


def test_entries_that_were_dropped_leave_those_after_them_right(history: History):
    for messages in (40, 50, 60):
        history.append(to(messages), 0, "5ha")
    assert ends(history, reached(30), ()) == []
    assert ends(history, reached(50), ()) == [40, 50]
    assert ends(history, reached(20), ()) == [40, 50, 60]  # so long ago that nothing is known of it


def test_a_seek_is_no_entry_and_what_follows_adds_up(history: History):
    sought = dataclasses.replace(reached(30), positions={P0: 5})
    history.start(Mark.of(sought))
    again = dataclasses.replace(reached(40), positions={P0: 15})
    assert ends(history, sought) == [10, 20, 30]
    assert history.up_to(again, [Transaction(sought, again)])[-1].begin == {"0": 5}


def test_a_successor_goes_on_where_it_was_handed_over(history: History):
    successor = History(3)
    successor.take_over(history.handed_over())
    assert ends(successor, reached(30)) == [10, 20, 30]
    assert ends(successor, reached(40)) == [10, 20, 30, 40]
