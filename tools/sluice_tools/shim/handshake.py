"""
How a connection begins: Bolt's handshake, or something that is no Bolt. No I/O.

Source: Bolt documentation, "Handshake specification", with the manifest of Bolt 5.7 and later.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Set

from sluice.bolt.messages import ANSWER_SIZE, HANDSHAKE_SIZE, MAGIC, Version

MANIFEST = bytes.fromhex("000001FF")
"A proposal, and an answer: the server lists what it speaks, and the client chooses."

MAX_HEAD = 0x4000
"Most bytes of an HTTP head that are gathered, and of a manifest."

FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"What a web page is told that is not allowed."

_GET = b"GET "
_HEAD_END = b"\r\n\r\n"
_ORIGIN = re.compile(rb"\r\n[ \t]*origin[ \t]*:([^\r\n]*)", re.IGNORECASE)
_MAX_SHOWN = 100
"Characters of an origin that the log has."
_NEWEST = 0x20
"No major version of Bolt is above; what is, is not the answer to a handshake."


class Kind(enum.Enum):
    """What a connection turned out to be."""

    UNDECIDED = enum.auto()
    BOLT = enum.auto()
    RAW = enum.auto()
    "Something else. Passes as it is, for good."
    REFUSED = enum.auto()
    "A WebSocket from a web page that is not allowed. Nothing of it passes."


class Handshake:
    """
    Follows both sides until it is known where their messages begin.

    Client: the magic and four proposals; then, if the server answers with a manifest, its choice from that.
    Server: four bytes with a version; or a manifest.

    Each part is passed on once it is whole.
    """

    def __init__(self, origins: Set[str] = frozenset()) -> None:
        """
        Args:
            origins: the web pages that may open a WebSocket, such as `https://lab.example.org`; `*` is any. A client
                that is no browser sends no Origin, and is not asked for one.
        """
        self.kind = Kind.UNDECIDED
        self.version = Version(0, 0)
        "Of Bolt, once `kind` is BOLT."
        self.reason = ""
        "Why it is RAW or REFUSED, for the log."
        self._origins = origins
        self._client: bytearray | None = bytearray()
        "What has arrived of the client's part; None: it is over."
        self._server: bytearray | None = bytearray()
        self._proposals = b""
        "Set when the client has proposed."
        self._manifest = False
        "The server answered with a manifest, so the client has a choice to make."

    def from_client(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data`, and of what was kept, passes now, and which messages follow it."""
        if self.kind is Kind.REFUSED:
            return b"", b""
        if self._client is None or self.kind is Kind.RAW:
            return b"", data
        self._client += data
        if self._proposals:
            # A client that goes on before it has seen whether it has a choice cannot be followed.
            size = _choice_size(self._client) if self._manifest else -1
        else:
            size = self._proposals_size(self._client)
        if size is None:
            return b"", b""
        if size < 0:
            refusal = self._refusal_of(self._client)
            if refusal is not None:
                self._client.clear()
                self.kind, self.reason = Kind.REFUSED, refusal
                return b"", b""
            return self._give_up(self._client, _what_it_is(self._client)), b""
        part, rest = bytes(self._client[:size]), bytes(self._client[size:])
        if self._manifest:
            self.version = Version(part[3], part[2])
        if not self._proposals:
            self._proposals = part
            if MANIFEST in (part[start : start + 4] for start in range(4, HANDSHAKE_SIZE, 4)):
                self._client.clear()
                # To be looked at again as what follows the proposals.
                after = self.from_client(rest) if rest else (b"", b"")
                return part + after[0], after[1]
        self._client = None
        self._settle()
        return part, rest

    def from_server(self, data: bytes) -> tuple[bytes, bytes]:
        """The same for the server's side."""
        if self.kind is Kind.REFUSED:
            return b"", b""
        if self._server is None and self.kind is Kind.UNDECIDED:
            return self._give_up(bytearray(data), "the server goes on before the client has chosen"), b""
        if self._server is None or self.kind is Kind.RAW:
            return b"", data
        self._server += data
        if not self._proposals:
            return self._give_up(self._server, "the server speaks first"), b""
        size = _answer_size(self._server)
        if size is None:
            return b"", b""
        if size < 0:
            return self._give_up(self._server, "the server accepts no version"), b""
        part, rest = bytes(self._server[:size]), bytes(self._server[size:])
        self._server = None
        if part.startswith(MANIFEST):
            self._manifest = True
        else:
            self.version = Version(part[3], part[2])
            self._client = None
        self._settle()
        return part, rest

    def client_ended(self) -> bytes:
        """What was kept, when the client's stream ends inside its part."""
        kept, self._client = self._client, None
        return bytes(kept or b"")

    def server_ended(self) -> bytes:
        """The same for the server's side."""
        kept, self._server = self._server, None
        return bytes(kept or b"")

    def _settle(self) -> None:
        if self._client is None and self._server is None:
            self.kind = Kind.BOLT

    def _give_up(self, kept: bytearray, reason: str) -> bytes:
        self.kind, self.reason = Kind.RAW, reason
        passing = bytes(kept)
        kept.clear()
        return passing

    def _refusal_of(self, arrived: bytearray) -> str | None:
        """Why what is not Bolt does not pass at all; None: it passes."""
        if not arrived.startswith(_GET):
            return None
        head, end, _ = bytes(arrived).partition(_HEAD_END)
        if not end:
            return f"its HTTP head is longer than {MAX_HEAD // 1024} KiB"
        if "*" in self._origins:
            return None
        origins = [value.strip().decode("latin-1") for value in _ORIGIN.findall(head)]
        if strangers := [origin for origin in origins if origin.lower() not in self._origins]:
            shown = strangers[0][:_MAX_SHOWN].encode("unicode_escape").decode("ascii")
            return f"a web page of {shown} opens a WebSocket, and --websocket-origin does not name it"
        return None

    def _proposals_size(self, arrived: bytearray) -> int | None:
        """Of the client's first part; -1: it is no Bolt; None: more has to arrive."""
        if arrived[:4] == MAGIC[: len(arrived)]:
            return HANDSHAKE_SIZE if len(arrived) >= HANDSHAKE_SIZE else None
        if arrived[:4] == _GET[: len(arrived)] and _HEAD_END not in arrived and len(arrived) < MAX_HEAD:
            # A WebSocket, it seems. Memgraph recognises it only if the whole head arrives at once.
            return None
        return -1


def _what_it_is(arrived: bytearray) -> str:
    if arrived.startswith(b"\x16\x03"):
        return "the client speaks TLS to the server, and not to the shim"
    if arrived.startswith(_GET):
        return "the client speaks Bolt over WebSocket"
    return "the client does not speak Bolt"


def _answer_size(arrived: bytearray) -> int | None:
    if len(arrived) < ANSWER_SIZE:
        return None
    if arrived[:4] == MANIFEST:
        return _manifest_size(arrived)
    return ANSWER_SIZE if not (arrived[0] or arrived[1]) and 0 < arrived[3] <= _NEWEST else -1


def _manifest_size(arrived: bytearray) -> int | None:
    """The answer, how many versions, four bytes for each, and a number whose bits are capabilities."""
    versions = _varint(arrived, ANSWER_SIZE)
    if versions is None:
        return None
    count, end = versions
    capabilities = _varint(arrived, end + 4 * count)
    if len(arrived) > MAX_HEAD or 4 * count > MAX_HEAD:
        return -1
    return capabilities[1] if capabilities else None


def _choice_size(arrived: bytearray) -> int | None:
    """The version and a number whose bits are capabilities."""
    capabilities = _varint(arrived, 4)
    if capabilities is None:
        return None if len(arrived) <= MAX_HEAD else -1
    return capabilities[1]


def _varint(data: bytearray, start: int) -> tuple[int, int] | None:
    """A number in groups of seven bits, the lowest first, and where it ends; None: it is not whole."""
    value = 0
    for position in range(start, min(len(data), start + 10)):
        value |= (data[position] & 0x7F) << 7 * (position - start)
        if data[position] < 0x80:
            return value, position + 1
    return None
