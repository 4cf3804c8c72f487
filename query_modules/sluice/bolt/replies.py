"""A server's answers to requests, and which error of Sluice a refusal becomes. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Union

from sluice.bolt.messages import Tag, parse
from sluice.bolt.values import Value
from sluice.errors import QueryRefused, RemoteProtocolError, TransientFailure

TRACEBACK = "Traceback (most recent call last):"

_TIMED_OUT = re.compile("because of transaction timeout", re.IGNORECASE)
"Transient by its code, but of what a transaction was to do, which the half of it may do in time."


class Success:
    """The request was done. Parsed only when needed, which is hardly one of a thousand answers in a batch."""

    def __init__(self, message: bytes) -> None:
        self._message = message

    @cached_property
    def metadata(self) -> dict[str, Value]:
        """What the server adds: `fields` after RUN; `has_more`, `stats` and timings after PULL."""
        return _metadata(self._message)

    def __repr__(self) -> str:
        return f"Success({self.metadata!r})"


@dataclass(frozen=True)
class Failure:
    """The request was refused; all that follows is ignored until RESET."""

    code: str
    message: str


@dataclass(frozen=True)
class Ignored:
    """An earlier request was refused, so this one was not processed."""


# A union of names that `isinstance` takes on Python 3.10 as well.
Reply = Union[Success, Failure, Ignored]  # noqa: UP007


@dataclass
class RawRecords:
    """Collects the RECORDs of an exchange, not parsed until needed."""

    messages: list[bytes] = field(default_factory=list, repr=False)

    def rows(self) -> list[list[Value]]:
        """The values of each record, in the order of the result's fields."""
        rows = []
        for message in self.messages:
            fields = parse(message).fields
            if len(fields) != 1 or not isinstance(fields[0], list):
                raise RemoteProtocolError("a RECORD does not hold one list")
            rows.append(fields[0])
        return rows


def is_record(message: bytes) -> bool:
    """Whether `message` is a row, and not an answer."""
    return message[1:2] == b"\x71"


def reply_of(message: bytes) -> Reply:
    """The answer that `message` is. Raises RemoteProtocolError: it is not a message that a server sends."""
    tag = message[1] if len(message) > 1 else -1
    if tag == Tag.SUCCESS:
        return Success(message)
    if tag == Tag.IGNORED:
        return Ignored()
    if tag == Tag.FAILURE:
        metadata = _metadata(message)
        return Failure(str(metadata.get("code", "")), str(metadata.get("message", "")))
    raise RemoteProtocolError(f"the server sent a message with tag {tag:02X} where an answer is due")


def error_of(failure: Failure, index: int | None = None) -> QueryRefused:
    """The error to raise for a refusal. `index`: which request of the exchange was refused, counted from 0."""
    passes = ".TransientError." in failure.code and _TIMED_OUT.search(failure.message) is None
    kind = TransientFailure if passes else QueryRefused
    message = failure.message
    if TRACEBACK in message:
        # From a Python procedure: its message is in the last line, and the end of an error's text may be cut off.
        message = message.rstrip().rpartition("\n")[2]
    return kind(message, code=failure.code, index=index)


def _metadata(message: bytes) -> dict[str, Value]:
    # Memgraph 3 cuts a quoted query at a byte, not at a character, which must not cost the connection.
    fields = parse(message, lenient=True).fields
    if len(fields) != 1 or not isinstance(fields[0], dict):
        raise RemoteProtocolError("an answer does not hold one map")
    return fields[0]
