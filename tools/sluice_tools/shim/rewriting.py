"""What the shim says in the client's place: a RUN that holds a clause of ours. No I/O."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from sluice.bolt import messages
from sluice.bolt.messages import Message, Tag
from sluice.bolt.values import STRING, Value
from sluice.clauses import Beginning, recognise, translation_of
from sluice.errors import ClauseError, ProtocolError, SettingError
from sluice_tools.shim.native_streams import NativeStream, native_stream_in

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

_MAY_BE_CLAUSE = re.compile(rb"[\s\x1c-\x1f]*(?:[ACDEPRSTacdeprst/\x80-\xff]|$)")
"""
A text that begins with the letter of one of our keywords, with a comment or with a blank that is not ASCII; or that has
not begun. Only such a text is held until it is whole.
"""


def _in_any_case(*words: str) -> bytes:
    return b"|".join(b"[%c%c](?i:%b)" % (ord(word[0]), ord(word[0].lower()), word[1:].encode()) for word in words)


# First letters as sets, by which other words are passed over at once; what is only looked at keeps blanks from being
# gone through twice.
FIRST_WORDS = re.compile(
    b"%(blanks)b*(?=[/ACDEPRSTacdeprst])(?:(?:%(plan)b)%(blanks)b*(?=[/ACDRSTacdrst]))?"
    b"(?:/[/*]|(?:%(verb)b)(?:%(blanks)b*/[/*]|%(blanks)b+(?:%(noun)b|(?P<native>%(native)b))))"
    % {
        b"blanks": rb"[\t\n\v\f\r\x1c-\x1f \x80-\xff]",  # in UTF-8, and more
        b"plan": _in_any_case("EXPLAIN", "PROFILE"),
        b"verb": _in_any_case("CREATE", "DROP", "SHOW", "START", "STOP", "TEST", "ALTER", "RELOAD", "SEEK"),
        b"noun": _in_any_case("STREAM", "ALL", "OR", "CREATE", "TRANSFORM"),
        b"native": _in_any_case("KAFKA", "PULSAR"),
    }
)
"How each text begins that is a clause of ours or creates a stream of Memgraph's own (native), and few others do."

_TEXT_WIDTHS = {STRING.u8: 1, STRING.u16: 2, STRING.u32: 4}
"Marker -> how many bytes the size of the text takes."


class Rewritten(NamedTuple):
    """A RUN as it goes to the server."""

    message: bytes
    "Not framed."
    kind: str
    "The clause's keywords, or REFUSED."
    complaint: str | None
    "What to tell the client when the server refuses it; None: what the server says."


def clause_in(payload: bytes | bytearray) -> Beginning | NativeStream | Literal[False] | None:
    """
    The clause in the RUN that begins with `payload`, or the stream of Memgraph's own that it creates. Returns False
    where there is neither; None where too little has arrived to know.
    """
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
    looked_at = min(size, MAX_CLAUSE)
    text = payload[start : start + looked_at]
    if len(text) < looked_at:
        return None if _MAY_BE_CLAUSE.match(text) else False
    begins = FIRST_WORDS.match(text)
    if begins is None:
        return False
    try:
        query = text.decode(errors="strict" if looked_at == size else "ignore")
    except UnicodeDecodeError:
        return False
    return (native_stream_in(query) if begins["native"] else recognise(query)) or False


def rewrite(payload: bytes, clause: Beginning) -> Rewritten | None:
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
        call = translation_of(clause, parameters)
        return Rewritten(messages.pack_message(Message(Tag.RUN, [call.query, call.parameters, *rest])), call.kind, None)
    except (ClauseError, SettingError) as error:
        return _refusal(rest, str(error))
    except ProtocolError:
        return None  # the client sent a value that is against the rules; the server shall judge it


def refuse(beginning: bytes | bytearray, complaint: str) -> Rewritten:
    """The RUN to send instead of one that is to be refused unread; `beginning` has its marker."""
    return _refusal([{}] if beginning[0] & 0x0F > 2 else [], complaint)


def _refusal(rest: list[Value], complaint: str) -> Rewritten:
    return Rewritten(messages.pack_message(Message(Tag.RUN, [STAND_IN, {}, *rest])), REFUSED, complaint)


def qid_of(payload: bytes) -> int | None:
    """The `qid` that a PULL or DISCARD names, or a SUCCESS tells; None: none."""
    try:
        match messages.parse(payload).fields:
            case [{"qid": int(qid)}]:
                return qid
    except ProtocolError:
        pass  # the other side will have its say on it
    return None
