"""The table of a connection's life, row by row."""

from __future__ import annotations

from itertools import product

import pytest

from sluice_tools.shim.lifecycle import Event, ImpossibleEvent, State, Step, react

LIFE = """
CONNECTING   CONNECTED     OPEN         READ_CLIENT
CONNECTING   UNREACHABLE   CLOSING      RESET_CLIENT
CONNECTING   CLIENT_LOST   CLOSING      ABORT
CONNECTING   FINISH        CLOSING      ABORT
CONNECTING   ABORT         CLOSING      ABORT
OPEN         UNREACHABLE   CLOSING      RESET_CLIENT
OPEN         CLIENT_ENDED  CLIENT_DONE  FLUSH_TO_SERVER END_SERVER
OPEN         SERVER_ENDED  SERVER_DONE  FLUSH_TO_CLIENT END_CLIENT
OPEN         CLIENT_LOST   CLOSING      FLUSH_TO_SERVER CLOSE
OPEN         SERVER_LOST   CLOSING      FLUSH_TO_CLIENT CLOSE
OPEN         FINISH        CLOSING      CLOSE
OPEN         ABORT         CLOSING      ABORT
CLIENT_DONE  SERVER_ENDED  CLOSING      FLUSH_TO_CLIENT CLOSE
CLIENT_DONE  CLIENT_LOST   CLOSING      CLOSE
CLIENT_DONE  SERVER_LOST   CLOSING      FLUSH_TO_CLIENT CLOSE
CLIENT_DONE  FINISH        CLOSING      CLOSE
CLIENT_DONE  ABORT         CLOSING      ABORT
SERVER_DONE  CLIENT_ENDED  CLOSING      FLUSH_TO_SERVER CLOSE
SERVER_DONE  CLIENT_LOST   CLOSING      FLUSH_TO_SERVER CLOSE
SERVER_DONE  SERVER_LOST   CLOSING      CLOSE
SERVER_DONE  FINISH        CLOSING      CLOSE
SERVER_DONE  ABORT         CLOSING      ABORT
CLOSING      CONNECTED     CLOSING      ABORT
CLOSING      UNREACHABLE   CLOSING
CLOSING      CLIENT_ENDED  CLOSING
CLOSING      SERVER_ENDED  CLOSING
CLOSING      CLIENT_LOST   CLOSING
CLOSING      SERVER_LOST   CLOSING
CLOSING      FINISH        CLOSING
CLOSING      ABORT         CLOSING      ABORT
CLOSING      GONE          CLOSED       FORGET
CLOSED       FINISH        CLOSED
CLOSED       ABORT         CLOSED
"""
ROWS = [line.split() for line in LIFE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_what_happens_and_what_follows(row: list[str]) -> None:
    state, event, then, *steps = row
    assert react(State[state], Event[event]) == (State[then], tuple(Step[step] for step in steps))


def test_nothing_else_can_happen() -> None:
    possible = {(State[row[0]], Event[row[1]]) for row in ROWS}
    for state, event in set(product(State, Event)) - possible:
        with pytest.raises(ImpossibleEvent, match=f"^{event.name} cannot happen in {state.name}$"):
            react(state, event)


def test_every_life_ends_and_a_side_is_told_once_that_the_other_is_done() -> None:
    lives: list[tuple[State, tuple[Step, ...]]] = [(State.CONNECTING, ())]
    while lives:
        state, done = lives.pop()
        following = [react(state, event) for event in Event if (state.name, event.name) in {(r[0], r[1]) for r in ROWS}]
        assert state is State.CLOSED or any(then is not state for then, _ in following)
        for then, steps in following:
            if then is not state:
                told = done + steps
                for step in (Step.FLUSH_TO_SERVER, Step.FLUSH_TO_CLIENT, Step.FORGET):
                    assert told.count(step) <= 1
                lives.append((then, told))
