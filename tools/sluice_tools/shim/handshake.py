"""
How a connection begins: Bolt's handshake, or something that is no Bolt. No I/O.

Source: Bolt documentation, "Handshake specification", with the manifest of Bolt 5.7 and later.
"""

from __future__ import annotations

import enum

from sluice.bolt.messages import ANSWER_SIZE, HANDSHAKE_SIZE, MAGIC, Version

MANIFEST = bytes.fromhex("000001FF")
"A proposal, and an answer: the server lists what it speaks, and the client chooses."

MAX_MANIFEST = 0x4000
"Most bytes of a manifest."

_NEWEST = 0x20
"No major version of Bolt is above; what is, is not the answer to a handshake."


class HandshakeKind(enum.Enum):
    """What a connection turned out to be."""

    UNDECIDED = enum.auto()
    BOLT = enum.auto()
    RAW = enum.auto()
    "Something else. Passes as it is, for good."


class Handshake:
    """
    Follows both sides until it is known where their messages begin.

    Client: the magic and four proposals; then, if the server answers with a manifest, its choice from that.
    Server: four bytes with a version; or a manifest.

    Each part is passed on once it is whole.
    """

    def __init__(self) -> None:
        self.kind = HandshakeKind.UNDECIDED
        self.version = Version(0, 0)
        "Of Bolt, once `kind` is BOLT."
        self.reason = ""
        "Why it is RAW, for the log."
        self._client: bytearray | None = bytearray()
        "What has arrived of the client's part; None: it is over."
        self._server: bytearray | None = bytearray()
        self._proposals = b""
        "Set when the client has proposed."
        self._manifest = False
        "The server answered with a manifest, so the client has a choice to make."

    def from_client(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data`, and of what was kept, passes now, and which messages follow it."""
        if self._client is None or self.kind is HandshakeKind.RAW:
            return b"", data
        self._client += data
        if self._proposals:
            # A client that goes on before it has seen whether it has a choice cannot be followed.
            size = _choice_size(self._client) if self._manifest else -1
        else:
            size = _proposals_size(self._client)
        if size is None:
            return b"", b""
        if size < 0:
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
        if self._server is None and self.kind is HandshakeKind.UNDECIDED:
            return self._give_up(bytearray(data), "the server goes on before the client has chosen"), b""
        if self._server is None or self.kind is HandshakeKind.RAW:
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
            self.kind = HandshakeKind.BOLT

    def _give_up(self, kept: bytearray, reason: str) -> bytes:
        self.kind, self.reason = HandshakeKind.RAW, reason
        passing = bytes(kept)
        kept.clear()
        return passing


def _proposals_size(arrived: bytearray) -> int | None:
    """Of the client's first part; -1: it is no Bolt; None: more has to arrive."""
    if arrived[:4] != MAGIC[: len(arrived)]:
        return -1
    return HANDSHAKE_SIZE if len(arrived) >= HANDSHAKE_SIZE else None


def _what_it_is(arrived: bytearray) -> str:
    if arrived.startswith(b"\x16\x03"):
        return "the client speaks TLS to the server, and not to the shim"
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
    if len(arrived) > MAX_MANIFEST or 4 * count > MAX_MANIFEST:
        return -1
    return capabilities[1] if capabilities else None


def _choice_size(arrived: bytearray) -> int | None:
    """The version and a number whose bits are capabilities."""
    capabilities = _varint(arrived, 4)
    if capabilities is None:
        return None if len(arrived) <= MAX_MANIFEST else -1
    return capabilities[1]


def _varint(data: bytearray, start: int) -> tuple[int, int] | None:
    """A number in groups of seven bits, the lowest first, and where it ends; None: it is not whole."""
    value = 0
    for position in range(start, min(len(data), start + 10)):
        value |= (data[position] & 0x7F) << 7 * (position - start)
        if data[position] < 0x80:
            return value, position + 1
    return None
