"""
What the shim says differently: a RUN that holds a clause of ours, and the FAILURE of such a clause. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from sluice.bolt import messages
from sluice.bolt.messages import Message, Tag
from sluice.bolt.replies import TRACEBACK
from sluice.bolt.values import STRING, Value
from sluice.clauses import is_clause
from sluice.errors import ClauseError, ProtocolError

MAX_CLAUSE = 0x2000
"Most bytes in the text of a clause, whose names, URIs and counts fit in a small part of that. A longer one is refused."

STAND_IN = "SLUICE COULD NOT READ THIS STREAM CLAUSE"
"""
What the server is given instead of a clause that cannot be read: no Cypher in any version, so it is refused in the very
place, with the server's own code, and the session and its transaction go where they go after a syntax error. The
clause itself will not do: to a server with streams of its own it may be something to carry out.
"""

REFUSED = "a clause that is refused"
"The kind of a clause that cannot be read."

TRANSIENT = "Memgraph.TransientError.MemgraphError.MemgraphError"

_MAY_BE_CLAUSE = re.compile(rb"[\s\x1c-\x1f]*(?:[ACDRSTacdrst/\x80-\xff]|$)")
"""
A text that begins with the letter of one of our keywords, with a comment or with a blank that is not ASCII; or that has
not begun. Only such a text is held until it is whole and shown to the translator.
"""

_TEXT_WIDTHS = {STRING.u8: 1, STRING.u16: 2, STRING.u32: 4}
"Marker -> how many bytes the size of the text takes."

_LAST_LINE = re.compile(r"(?P<kind>[\w.]+Error|sluice\.errors\.\w+)(?:: (?P<text>.*))?")
"The end of a traceback."

_ACCESS_MODE = re.compile(r"Accessor type \S+ and query type \S+ are misaligned")
"""
What 3.x says to a query that writes in a transaction of access mode READ; 2.14.1 lets it write.

Source: `AccessorCompliance` in `interpreter.cpp`, August 2026.
"""

_FAULT = (
    "a fault of the module streams: please report it, with the traceback that the CALL gives on Memgraph's own port"
)
"What is said where a procedure raises what nobody has thought of."

WRITES = "(this clause writes: it needs a session, or a transaction, with access mode WRITE)"
"What is added where a client has said that it only reads."

_RETRYABLE = frozenset(
    (
        "sluice.errors.ConflictError",
        "sluice.errors.CallAborted",
        "mgp.SerializationError",
        "_mgp.SerializationError",
    )
)
"What a procedure raises that is worth another try of the whole transaction."


class Translated(Protocol):
    """What a clause becomes."""

    @property
    def kind(self) -> str:
        """The clause's keywords, such as START STREAM."""

    @property
    def query(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The client's and ours."""


class Translate(Protocol):
    """Makes a query out of a clause; `sluice.clauses.translate`."""

    def __call__(self, text: str, parameters: Mapping[str, Value] | None = None, /) -> Translated | None:
        """
        The query for a clause of ours; None: the text is none.

        Raises:
            ClauseError: it begins like a clause and cannot be read.
        """


class Rewritten(NamedTuple):
    """A RUN as it goes to the server."""

    message: bytes
    "Not framed."
    kind: str
    "The clause's keywords, or REFUSED."
    complaint: str | None
    "What to tell the client when the server refuses it; None: what the server says."


def holds_clause(payload: bytes | bytearray) -> bool | None:
    """Whether the RUN that begins with `payload` holds a clause of ours; None: too little has arrived to know."""
    if len(payload) < 3:
        return None
    marker = payload[2]
    if 0x80 <= marker < 0x90:
        start, size = 3, marker & 0x0F
    elif marker in _TEXT_WIDTHS:
        start = 3 + _TEXT_WIDTHS[marker]
        if len(payload) < start:
            return None
        size = int.from_bytes(payload[3:start], "big")
    else:
        return False
    if not _MAY_BE_CLAUSE.match(payload, start):
        return False
    looked_at = min(size, MAX_CLAUSE)
    text = payload[start : start + looked_at]
    if len(text) < looked_at:
        return None
    try:
        return is_clause(text.decode(errors="strict" if looked_at == size else "ignore"))
    except UnicodeDecodeError:
        return False


def rewrite(payload: bytes, translate: Translate) -> Rewritten | None:
    """The RUN to send instead; None: not what it seemed to be, and to be sent as it is."""
    try:
        message = messages.parse(payload)
    except ProtocolError:
        return None
    # Bolt 1 has no third field, with the transaction's settings.
    match message.fields:
        case [str(text), dict(parameters), *rest]:
            pass
        case _:
            return None
    try:
        if len(text.encode()) > MAX_CLAUSE:
            return _refusal(rest, f"a stream clause has to be shorter than {MAX_CLAUSE // 1024} KiB")
        translated = translate(text, parameters)
        if translated is None:
            return None
        fields = [translated.query, dict(translated.parameters), *rest]
        return Rewritten(messages.pack_message(Message(Tag.RUN, fields)), translated.kind, None)
    except ClauseError as error:
        return _refusal(rest, str(error))
    except ProtocolError:
        return None  # the client sent a value that is against the rules; the server shall judge it


def refuse(beginning: bytes | bytearray, complaint: str) -> Rewritten:
    """The RUN to send instead of one that is to be refused unread; `beginning` has its marker."""
    return _refusal([{}] if beginning[0] & 0x0F > 2 else [], complaint)


def _refusal(rest: list[Value], complaint: str) -> Rewritten:
    return Rewritten(messages.pack_message(Message(Tag.RUN, [STAND_IN, {}, *rest])), REFUSED, complaint)


def mend(payload: bytes, complaint: str | None) -> bytes | None:
    """The FAILURE to send to the client of a clause that the server refused; None: the server's."""
    try:
        match messages.parse(payload, lenient=True).fields:
            case [dict(metadata)]:
                mended = _mended(metadata, complaint)
                return messages.pack_message(Message(Tag.FAILURE, [mended])) if mended else None
    except ProtocolError:
        pass  # the client shall judge it
    return None


def _mended(metadata: dict[str, Value], complaint: str | None) -> dict[str, Value] | None:
    """
    What a FAILURE is to say; None: what it says already.

    An exception of ours arrives as a traceback, whose last line is the class and the text.
    """
    if complaint is not None:
        return {**metadata, "message": complaint}
    message = str(metadata.get("message", "")).strip()
    if _ACCESS_MODE.search(message):
        return {**metadata, "message": f"{message} {WRITES}"}
    last = (message.splitlines() or [""])[-1].strip()
    found = _LAST_LINE.fullmatch(last)
    if found and (found["kind"] in _RETRYABLE or found["kind"].startswith("sluice.errors.")):
        mended = {**metadata, "message": found["text"] or found["kind"]}
        if found["kind"] in _RETRYABLE:
            mended["code"] = TRANSIENT
        return mended
    if TRACEBACK in message:
        return {**metadata, "message": f"{last} ({_FAULT})"}
    return None


def qid_of(payload: bytes) -> int | None:
    """The `qid` that a PULL or DISCARD names, or a SUCCESS tells; None: none."""
    try:
        match messages.parse(payload).fields:
            case [{"qid": int(qid)}]:
                return qid
    except ProtocolError:
        pass  # the other side will have its say on it
    return None
