"""Whoever reads the ledger finds the transactions that his checkpoint counts: no more, no fewer."""

from __future__ import annotations

import dataclasses

import pytest
from sluice.engine.listener import Transaction

from sluice.engine.history import History, Mark
from sluice.values.model import Checkpoint

NEW = Checkpoint(positions={})


def reached(messages: int) -> Checkpoint:
    """The checkpoint after so many messages, in batches of ten."""
    return Checkpoint(positions={0: messages}, batches=messages // 10, messages=messages)


@pytest.fixture
def ledger() -> History:
    """Of a stream that has committed 30 messages, and has two more transactions on their way."""
    made = History(3)
    made.start(Mark.of(NEW))
    for messages in (10, 20, 30):
        made.append(Transaction(reached(messages)), 0, "5ha")
    for messages in (40, 50):
        made.send(Transaction(reached(messages), given=7), "5ha")
    return made


def ends(ledger: History, checkpoint: Checkpoint | None) -> list[int]:
    return [entry.end[0] for entry in ledger.told(checkpoint)]


@pytest.mark.parametrize("messages", [10, 20, 30, 40, 50])
def test_the_entries_add_up_to_what_the_reader_sees(ledger: History, messages: int):
    told = ledger.told(reached(messages))
    assert [entry.end for entry in told] == [{0: end} for end in range(10, messages + 1, 10)]
    assert sum(entry.messages for entry in told) == messages
    assert sum(entry.batches for entry in told) == messages // 10


def test_before_the_first_transaction_there_is_none(ledger: History):
    assert ends(ledger, NEW) == []


def test_what_is_on_its_way_is_told_without_the_time_that_its_commit_took(ledger: History):
    latest = ledger.told(reached(40))[-1]
    assert (latest.begin, latest.end, latest.queries, latest.ms["commit"]) == ({0: 30}, {0: 40}, 7, 0)


def test_what_was_committed_is_not_on_its_way_any_more(ledger: History):
    ledger.append(Transaction(reached(40)), 0, "5ha")
    assert ends(ledger, reached(40)) == [20, 30, 40]
    assert ends(ledger, reached(50)) == [20, 30, 40, 50]


def test_what_was_refused_is_not_told_though_it_is_sent_again_in_parts(ledger: History):
    ledger.unsend()
    ledger.send(Transaction(reached(35)), "5ha")
    assert ends(ledger, reached(35)) == [10, 20, 30, 35]
    assert ends(ledger, reached(40)) == [10, 20, 30]


def test_a_checkpoint_that_nothing_leads_to_gets_all_there_is(ledger: History):
    assert ends(ledger, dataclasses.replace(reached(20), messages=99)) == [10, 20, 30]
    assert ends(ledger, None) == [10, 20, 30]


def test_entries_that_were_dropped_leave_those_behind_them_right(ledger: History):
    for messages in (40, 50, 60):
        ledger.append(Transaction(reached(messages)), 0, "5ha")
    assert ends(ledger, reached(30)) == []
    assert ends(ledger, reached(50)) == [40, 50]
    assert ends(ledger, reached(20)) == [40, 50, 60]  # so long ago that nothing is known of it


def test_a_seek_is_no_entry_and_what_follows_adds_up(ledger: History):
    sought = dataclasses.replace(reached(30), positions={0: 5})
    ledger.start(Mark.of(sought))
    again = dataclasses.replace(reached(40), positions={0: 15})
    ledger.send(Transaction(again), "5ha")
    assert ends(ledger, sought) == [10, 20, 30]
    assert ledger.told(again)[-1].begin == {0: 5}


def test_a_successor_goes_on_where_it_was_handed_over(ledger: History):
    successor = History(3)
    successor.take_over(ledger.handed_over())
    assert ends(successor, reached(30)) == [10, 20, 30]
    successor.send(Transaction(reached(40)), "5ha")
    assert ends(successor, reached(40)) == [10, 20, 30, 40]
