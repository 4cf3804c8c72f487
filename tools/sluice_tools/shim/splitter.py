"""
Cuts a stream of chunks into messages while it flows. No I/O.

Most messages pass as they arrive, byte for byte, in as many pieces as they come in. Only those that somebody wants to
see are held back until they are whole, and may then be replaced.
"""

from __future__ import annotations

import enum
import re
from typing import Protocol

_NOOPS = re.compile(rb"(?:\0\0)+")
_ONE_BYTE, _END = b"\0\1", b"\0\0"
"Of a chunk of one byte, and of a message."


class Verdict(enum.Enum):
    """What to do with a message of which the beginning is known."""

    PASS = enum.auto()
    HOLD = enum.auto()
    MORE = enum.auto()
    "It cannot be told yet. The same as PASS, once the message is whole."
    DROP = enum.auto()
    "Something went on in its place already, so that nothing more of it does."


class Reader(Protocol):
    """Who decides about the messages of a stream."""

    def skim(self, data: bytes, position: int) -> int:
        """
        Pass messages that are whole and need no look; where the first one begins that is not, or does.

        An accelerator: `position` is a right answer. Messages skimmed are not reported to `passed`.
        """

    def judge(self, payload: bytearray, whole: bool) -> Verdict:
        """Decide about the message that begins with `payload`, without chunk headers; empty in a NOOP."""

    def passed(self, tag: int) -> None:
        """The end of a message, not a NOOP, has passed; `tag` is -1 if it has no tag."""

    def replace(self, raw: bytes, payload: bytes) -> bytes:
        """What to send instead of a message that was held: `raw`, the chunks as they came, or others."""

    def outgrown(self, payload: bytearray) -> bytes | None:
        """
        What to send instead of a message that was to be held and is longer than the limit; None: it passes.

        Args:
            payload: its beginning.
        """


def skim_trifles(data: bytes, position: int) -> tuple[int, int]:
    """
    Go past the NOOPs that begin at `position`, or past a message of one byte, which has no tag.

    Nobody sends many of them but to do harm: looked at one by one they would cost fifty times as much as queries do.

    Args:
        position: where a message or NOOP begins, with at least five bytes of data after it.

    Returns:
        Where that ends, and how many messages, 0 or 1, it was; `position` itself if there is neither.
    """
    if noops := _NOOPS.match(data, position):
        return noops.end(), 0
    if data.startswith(_ONE_BYTE, position) and data.startswith(_END, position + 3):
        return position + 5, 1
    return position, 0


class Walker:
    """Goes along one message, in whatever pieces it arrives, to find its end."""

    def __init__(self) -> None:
        self.begun = False
        "Whether some byte of a message has passed, and not its last one."
        self.head = bytearray()
        "The first two bytes of the message: marker and tag."
        self._left = 0
        "Bytes still to come of the current chunk."
        self._high: int | None = None
        "The first byte of a chunk's length, if the second has not arrived."

    def walk(self, data: bytes, position: int, payload: bytearray | None) -> tuple[int, bool]:
        """
        Go to the end of the message, or of the data.

        Args:
            payload: where the chunks' contents go.

        Returns:
            Where it got, and whether that is the end of a message, or of a NOOP.
        """
        if not self.begun:
            self.begun = True
            self.head.clear()
        end = len(data)
        while position < end:
            if self._left:
                after = min(position + self._left, end)
                self._left -= after - position
                if len(self.head) < 2:
                    self.head += data[position : min(after, position + 2 - len(self.head))]
                if payload is not None:
                    payload += data[position:after]
                position = after
                continue
            if self._high is not None:
                self._left = self._high << 8 | data[position]
                self._high = None
                position += 1
            elif position + 1 < end:
                self._left = data[position] << 8 | data[position + 1]
                position += 2
            else:
                self._high = data[position]
                return end, False
            if not self._left:
                self.begun = False
                return position, True
        return position, False


class MessageSplitter:
    """
    Bytes in, bytes out: the same, but for the messages that the reader replaces.

    Keeps at most `limit` bytes, and what `feed` was last given, of a message that is held or not yet judged. A longer
    one passes, unless the reader has something to send in its place.
    """

    def __init__(self, reader: Reader, limit: int) -> None:
        self._reader = reader
        self._skim = reader.skim
        self._limit = limit
        self._walker = Walker()
        self._verdict = Verdict.MORE
        "About the message that the walker is in."
        self._held = bytearray()
        "That message as it came, unless it passes."
        self._payload = bytearray()
        "The same without the chunk headers."
        self._instead = b""
        "What goes on in the place of a message that is dropped."

    @property
    def between(self) -> bool:
        """Whether the stream is between two messages."""
        return not self._walker.begun

    def feed(self, data: bytes) -> bytes:
        """What goes on when `data` arrives."""
        position = 0 if self._walker.begun else self._skim(data, 0)
        if position == len(data):
            return data
        out: list[bytes] = []
        # data[:flushed] is in `out` or replaced or held, the rest of what was looked at will pass as it is.
        flushed = 0
        skimmed = True
        while position < len(data):
            if not self._walker.begun:
                position = position if skimmed else self._skim(data, position)
                if position == len(data):
                    break
                self._verdict = Verdict.MORE
                self._payload.clear()
            skimmed = False
            start = position
            decided = self._verdict is Verdict.PASS or self._verdict is Verdict.DROP
            position, ended = self._walker.walk(data, start, None if decided else self._payload)
            if self._verdict is Verdict.DROP:
                out.append(data[flushed:start])
                flushed = position
                continue
            if not decided:
                verdict = self._judge(ended, position - start)
                if verdict is Verdict.PASS and self._held:
                    out.append(bytes(self._held))
                    self._held.clear()
                elif verdict is not Verdict.PASS:
                    out.append(data[flushed:start])
                    flushed = position
                    self._held += data[start:position]
                    if verdict is Verdict.DROP:
                        out.append(self._instead)
                        self._held.clear()
                        continue
                    if ended:
                        out.append(self._reader.replace(bytes(self._held), bytes(self._payload)))
                        self._held.clear()
                        continue
            if ended and self._walker.head:
                self._reader.passed(self._walker.head[1] if len(self._walker.head) > 1 else -1)
        if not flushed and not out:
            return data
        out.append(data[flushed:])
        return b"".join(out)

    def end(self) -> bytes:
        """What is still held when the stream ends inside a message."""
        held = bytes(self._held)
        self._held.clear()
        return held

    def _judge(self, whole: bool, arrived: int) -> Verdict:
        """The reader's verdict on the message, once it has one; a message that is too long to be held passes."""
        if self._verdict is Verdict.MORE:
            self._verdict = self._reader.judge(self._payload, whole)
            if whole and self._verdict is Verdict.MORE:
                self._verdict = Verdict.PASS
        if len(self._held) + arrived > self._limit and not whole:
            instead = self._reader.outgrown(self._payload) if self._verdict is Verdict.HOLD else None
            self._verdict = Verdict.PASS if instead is None else Verdict.DROP
            self._instead = instead or b""
        return self._verdict
