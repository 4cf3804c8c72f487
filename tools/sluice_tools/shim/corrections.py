"""What the shim says in the server's place: the FAILURE of a clause, and the summary of one. No I/O."""

from __future__ import annotations

import re

from sluice.bolt import messages
from sluice.bolt.messages import Message, Tag
from sluice.bolt.replies import TRACEBACK
from sluice.bolt.values import Value
from sluice.errors import ProtocolError
from sluice_tools.shim.native_streams import NativeStreams

TRANSIENT = "Memgraph.TransientError.MemgraphError.MemgraphError"

_LAST_LINE = re.compile(r"(?P<kind>[\w.]+Error|sluice\.errors\.\w+)(?:: (?P<text>.*))?")
"The end of a traceback."

_FAULT = (
    "a fault of the module streams: please report it, with the traceback that the CALL gives on Memgraph's own port"
)
"What is said where a procedure raises what nobody has thought of."

_ACCESS_MODE = re.compile(r"Accessor type \S+ and query type \S+ are misaligned")
"""
What 3.x says to a query that writes in a transaction of access mode READ; 2.14.1 lets it write.

Source: `AccessorCompliance` in `interpreter.cpp`, August 2026.
"""

WRITES = "(this clause writes: it needs a session, or a transaction, with access mode WRITE)"
"What is added where a client has said that it only reads."

_RETRYABLE = frozenset(
    ("sluice.errors.ConflictError", "sluice.errors.CallAborted", "mgp.SerializationError", "_mgp.SerializationError")
)
"What a procedure raises that is worth another try of the whole transaction."

_NOT_FOUND = re.compile(r"Kafka stream (?P<name>.*), stream not found", re.DOTALL)


def corrected(payload: bytes, complaint: str | None, natives: NativeStreams) -> bytes | None:
    """
    The answer to a clause as the client is to get it; None: as it is.

    Args:
        payload: a SUCCESS with the summary of its result, or a FAILURE.
        complaint: what is wrong with the clause, where the server could not know.
        natives: the streams of Memgraph's own that are known.
    """
    try:
        # Memgraph 3 cuts what it quotes of a query at a byte, not at a character.
        match messages.parse(payload, lenient=True):
            case Message(Tag.FAILURE, [dict(metadata)]):
                said = _failure(metadata, complaint, natives)
                return messages.pack_message(Message(Tag.FAILURE, [said])) if said else None
            case Message(Tag.SUCCESS, [dict(metadata)]) if "stats" in metadata:
                # It counts what the procedure did to our nodes, which are not the user's business.
                del metadata["stats"]
                return messages.pack_message(Message(Tag.SUCCESS, [metadata]))
    except ProtocolError:
        pass  # the client shall judge it
    return None


def _failure(metadata: dict[str, Value], complaint: str | None, natives: NativeStreams) -> dict[str, Value] | None:
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
    if found and found["kind"] in _RETRYABLE:
        return {**metadata, "message": found["text"] or found["kind"], "code": TRANSIENT}
    if found and found["kind"].startswith("sluice.errors."):
        return {**metadata, "message": _with_hint(found["text"] or found["kind"], natives)}
    if TRACEBACK in message:
        return {**metadata, "message": f"{last} ({_FAULT})"}
    return None


def _with_hint(text: str, natives: NativeStreams) -> str:
    missing = _NOT_FOUND.fullmatch(text)
    made_by = natives.made_by(missing["name"]) if missing else None
    if made_by is None:
        return text
    return f"{text} ({made_by} made a stream of that name that is Memgraph's own: manage it on Memgraph's own port)"
