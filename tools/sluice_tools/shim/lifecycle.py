"""
The life of a client's connection through the shim, as a table. No I/O.

`STATES` says for each state which events can happen in it, which state follows, and what has to be done.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias


class State(enum.Enum):
    """Where a connection is in its life."""

    CONNECTING = "the client is accepted, and not read yet; the server is being connected to"
    OPEN = "both sides may send"
    CLIENT_DONE = "the client sends no more, and still reads"
    SERVER_DONE = "the server sends no more, and still reads"
    CLOSING = "nothing passes any more; what is written is still sent"
    CLOSED = "nothing is left"


class Event(enum.Enum):
    """What can happen to it."""

    CONNECTED = "there is a connection to the server"
    UNREACHABLE = "there is none, and will not be"
    CLIENT_ENDED = "the client has said that it sends no more"
    SERVER_ENDED = "the server has said that it sends no more"
    CLIENT_LOST = "the client's connection is gone"
    SERVER_LOST = "the server's connection is gone"
    FINISH = "the shim is done with the client, once what it wrote is sent"
    ABORT = "the shim wants nothing more of it: a fault, a timeout, a limit"
    GONE = "neither a connection nor an attempt at one is left"


class Step(enum.Enum):
    """A part of what has to be done about it."""

    READ_CLIENT = "begin to read the client"
    FLUSH_TO_SERVER = "send the server what was held back of what the client sent"
    FLUSH_TO_CLIENT = "send the client what was held back of what the server sent"
    END_SERVER = "tell the server that no more comes"
    END_CLIENT = "tell the client that no more comes"
    RESET_CLIENT = "reset the client's connection, as a port that is closed does"
    CLOSE = "close both connections, once what was written is sent"
    ABORT = "close both connections, and give up connecting, at once"
    FORGET = "let go of all that is kept for the connection"


Reaction: TypeAlias = tuple[State, tuple[Step, ...]]

_ABORT: Reaction = State.CLOSING, (Step.ABORT,)
_CLOSE: Reaction = State.CLOSING, (Step.CLOSE,)
_RESET: Reaction = State.CLOSING, (Step.RESET_CLIENT,)
_CLIENT_GOES: Reaction = State.CLOSING, (Step.FLUSH_TO_SERVER, Step.CLOSE)
_SERVER_GOES: Reaction = State.CLOSING, (Step.FLUSH_TO_CLIENT, Step.CLOSE)
_STILL_CLOSING: Reaction = State.CLOSING, ()
_STILL_CLOSED: Reaction = State.CLOSED, ()

STATES: Mapping[State, Mapping[Event, Reaction]] = {
    State.CONNECTING: {
        Event.CONNECTED: (State.OPEN, (Step.READ_CLIENT,)),
        Event.UNREACHABLE: _RESET,
        Event.CLIENT_LOST: _ABORT,
        Event.FINISH: _ABORT,
        Event.ABORT: _ABORT,
    },
    State.OPEN: {
        Event.UNREACHABLE: _RESET,  # it was reached too late
        Event.CLIENT_ENDED: (State.CLIENT_DONE, (Step.FLUSH_TO_SERVER, Step.END_SERVER)),
        Event.SERVER_ENDED: (State.SERVER_DONE, (Step.FLUSH_TO_CLIENT, Step.END_CLIENT)),
        Event.CLIENT_LOST: _CLIENT_GOES,
        Event.SERVER_LOST: _SERVER_GOES,
        Event.FINISH: _CLOSE,
        Event.ABORT: _ABORT,
    },
    State.CLIENT_DONE: {
        Event.SERVER_ENDED: _SERVER_GOES,
        Event.CLIENT_LOST: _CLOSE,
        Event.SERVER_LOST: _SERVER_GOES,
        Event.FINISH: _CLOSE,
        Event.ABORT: _ABORT,
    },
    State.SERVER_DONE: {
        Event.CLIENT_ENDED: _CLIENT_GOES,
        Event.CLIENT_LOST: _CLIENT_GOES,
        Event.SERVER_LOST: _CLOSE,
        Event.FINISH: _CLOSE,
        Event.ABORT: _ABORT,
    },
    State.CLOSING: {
        Event.CONNECTED: _ABORT,
        Event.UNREACHABLE: _STILL_CLOSING,
        Event.CLIENT_ENDED: _STILL_CLOSING,
        Event.SERVER_ENDED: _STILL_CLOSING,
        Event.CLIENT_LOST: _STILL_CLOSING,
        Event.SERVER_LOST: _STILL_CLOSING,
        Event.FINISH: _STILL_CLOSING,
        Event.ABORT: _ABORT,
        Event.GONE: (State.CLOSED, (Step.FORGET,)),
    },
    State.CLOSED: {  # the shim may ask for an end that has come already
        Event.FINISH: _STILL_CLOSED,
        Event.ABORT: _STILL_CLOSED,
    },
}


class ImpossibleEvent(Exception):
    """An event happened in a state in which it cannot: a fault of the shim."""


def react(state: State, event: Event) -> Reaction:
    """The state that follows, and what to do, in order. Raises ImpossibleEvent: with the names of both."""
    try:
        return STATES[state][event]
    except KeyError:
        raise ImpossibleEvent(f"{event.name} cannot happen in {state.name}") from None
