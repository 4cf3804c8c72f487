"""
The messages of both sides of Bolt, and the handshake, packed but not framed. No I/O.

Source: Bolt documentation, "Message specification" (versions 4.0 to 5.x) and "Handshake specification".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from sluice.bolt.packstream import pack, pack_into, unpack
from sluice.bolt.values import STRUCTURE, Structure, Value
from sluice.errors import LocalProtocolError, RemoteProtocolError

MAGIC = bytes.fromhex("6060B017")
HANDSHAKE_SIZE = 20
"Length of the client's first bytes: the magic and four proposals."
ANSWER_SIZE = 4
"Length of the server's answer, in bytes."


class Tag(IntEnum):
    """
    The signatures of all messages, requests first.

    What Bolt 1 calls INIT, PULL_ALL and DISCARD_ALL are HELLO, PULL and DISCARD here.
    """

    HELLO = 0x01
    GOODBYE = 0x02
    ACK_FAILURE = 0x0E
    RESET = 0x0F
    RUN = 0x10
    BEGIN = 0x11
    COMMIT = 0x12
    ROLLBACK = 0x13
    DISCARD = 0x2F
    PULL = 0x3F
    TELEMETRY = 0x54
    ROUTE = 0x66
    LOGON = 0x6A
    LOGOFF = 0x6B
    SUCCESS = 0x70
    RECORD = 0x71
    IGNORED = 0x7E
    FAILURE = 0x7F


class Version(NamedTuple):
    """A version of Bolt; versions compare as one expects."""

    major: int
    minor: int


class Proposal(NamedTuple):
    """A version that a client can speak, and how many minor versions below it as well."""

    major: int
    minor: int
    back: int = 0

    def includes(self, version: Version) -> bool:
        """Whether the server may answer with `version`."""
        return version.major == self.major and self.minor - self.back <= version.minor <= self.minor


class Message(NamedTuple):
    """A parsed message. `tag` may be one that `Tag` does not know."""

    tag: int
    fields: list[Value]

    @property
    def name(self) -> str:
        """The tag's name, or its number in hex."""
        return Tag(self.tag).name if self.tag in _TAGS else f"{self.tag:02X}"


_TAGS = frozenset(Tag)


def handshake(proposals: Iterable[Proposal]) -> bytes:
    """The client's first bytes: at most four proposals, the best first."""
    slots = [bytes((0, item.back, item.minor, item.major)) for item in proposals]
    if len(slots) > 4:
        raise LocalProtocolError(f"{len(slots)} versions proposed, Bolt has room for 4")
    return MAGIC + b"".join(slots).ljust(16, b"\0")


def parse_handshake(data: bytes) -> list[Proposal]:
    """The proposals in a client's first bytes, empty slots left out."""
    if len(data) != HANDSHAKE_SIZE or not data.startswith(MAGIC):
        raise RemoteProtocolError("the client does not begin with Bolt's handshake")
    slots = [data[start : start + 4] for start in range(4, HANDSHAKE_SIZE, 4)]
    return [Proposal(major, minor, back) for _, back, minor, major in slots if major]


def answer(version: Version | None) -> bytes:
    """The server's answer: the version that it chose, or None."""
    return bytes(4) if version is None else bytes((0, 0, version.minor, version.major))


def parse_answer(data: bytes) -> Version | None:
    """The version that the server chose; None: it supports none of those proposed."""
    if data == b"HTTP":
        raise RemoteProtocolError("the server speaks HTTP, not Bolt")
    if len(data) != ANSWER_SIZE or data[0] or data[1]:
        raise RemoteProtocolError(f"the server answered the handshake with {data.hex()}")
    return Version(data[3], data[2]) if data[3] else None


def _message(tag: Tag, *fields: Value) -> bytes:
    # Field by field, so that an error's path begins at the field: `rows[3].x`, not `[1].rows[3].x`.
    buffer = bytearray((STRUCTURE | len(fields), tag))
    for field in fields:
        pack_into(buffer, field)
    return bytes(buffer)


def hello(extra: Mapping[str, Value]) -> bytes:
    """Names the client; before 5.1 with its credentials (`scheme`, `principal`, `credentials`)."""
    return _message(Tag.HELLO, dict(extra))


def logon(auth: Mapping[str, Value]) -> bytes:
    """Credentials, from 5.1 on: `scheme`, `principal`, `credentials`."""
    return _message(Tag.LOGON, dict(auth))


def goodbye() -> bytes:
    """The client closes; there is no answer."""
    return _message(Tag.GOODBYE)


def reset() -> bytes:
    """Return to READY from any state; rolls back."""
    return _message(Tag.RESET)


def begin(extra: Mapping[str, Value] | None = None) -> bytes:
    """Open a transaction."""
    return _message(Tag.BEGIN, dict(extra or {}))


def commit() -> bytes:
    """Commit the open transaction."""
    return _message(Tag.COMMIT)


def rollback() -> bytes:
    """Roll the open transaction back."""
    return _message(Tag.ROLLBACK)


def run(query: str, parameters: Mapping[str, Value] | None = None, extra: Mapping[str, Value] | None = None) -> bytes:
    """Run a query, in the open transaction or in its own."""
    return _message(Tag.RUN, query, dict(parameters or {}), dict(extra or {}))


def pull(n: int = -1, qid: int | None = None) -> bytes:
    """Fetch `n` records of a result, -1: all; `qid` None: of the latest."""
    return _message(Tag.PULL, {"n": n} if qid is None else {"n": n, "qid": qid})


def discard(n: int = -1, qid: int | None = None) -> bytes:
    """As `pull`, but the server does not send the records; the query is still run to its end."""
    return _message(Tag.DISCARD, {"n": n} if qid is None else {"n": n, "qid": qid})


def success(metadata: Mapping[str, Value] | None = None) -> bytes:
    """The server did what it was asked."""
    return _message(Tag.SUCCESS, dict(metadata or {}))


def failure(code: str, message: str) -> bytes:
    """The server refuses; all that follows is IGNORED until RESET."""
    return _message(Tag.FAILURE, {"code": code, "message": message})


def ignored() -> bytes:
    """An earlier request was refused."""
    return _message(Tag.IGNORED)


def record(values: list[Value]) -> bytes:
    """One row of a result."""
    return _message(Tag.RECORD, values)


def parse(message: bytes, *, lenient: bool = False) -> Message:
    """
    Parse an unframed message.

    Args:
        lenient: as `unpack`.

    Raises:
        RemoteProtocolError: it is not a structure, or not PackStream at all.
    """
    value = unpack(message, lenient=lenient)
    if not isinstance(value, Structure):
        raise RemoteProtocolError(f"message is of type {type(value).__name__}, not a structure")
    return Message(value.tag, value.fields)


def pack_message(message: Message) -> bytes:
    """The reverse of `parse`."""
    return pack(Structure(message.tag, message.fields))
