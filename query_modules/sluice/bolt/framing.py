"""
Messages to chunks and back. No I/O.

A message comes in chunks: two bytes of big-endian length, then that many bytes; a length of zero ends it. A zero length
with nothing before it is a NOOP, which either side may send to keep the connection alive.

Source: Bolt documentation, "Message transfer encoding".
"""

from __future__ import annotations

from sluice.errors import RemoteProtocolError

MAX_CHUNK = 0xFFFF
"Bytes that one chunk can hold."

NOOP = b"\0\0"


class MessageBuffer:
    """
    Bytes in, whole messages out.

    Keeps what has arrived of an incomplete message: never more than `limit` bytes and one chunk.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        "Maximum size of one message, in bytes."
        self._received = bytearray()
        "An incomplete chunk."
        self._message = bytearray()
        "The complete chunks of an incomplete message."

    def feed(self, data: bytes) -> list[bytes]:
        """
        The messages that `data` completes, in order: none, one or many. Raises RemoteProtocolError: a message is longer
        than the limit. The buffer cannot be used afterwards.
        """
        received = self._received
        received += data
        messages: list[bytes] = []
        position, end = 0, len(received)
        while position + 2 <= end:
            size = received[position] << 8 | received[position + 1]
            chunk_end = position + 2 + size
            if chunk_end > end:
                break
            if size:
                if len(self._message) + size > self._limit:
                    raise RemoteProtocolError(f"message is longer than {self._limit} bytes")
                self._message += received[position + 2 : chunk_end]
            elif self._message:
                messages.append(bytes(self._message))
                self._message.clear()
            position = chunk_end
        del received[:position]
        return messages

    @property
    def pending(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._received or self._message)


def frame(message: bytes) -> bytes:
    """The chunks of one message, including its end."""
    size = len(message)
    if size <= MAX_CHUNK:
        return size.to_bytes(2, "big") + message + NOOP
    framed = bytearray()
    for start in range(0, size, MAX_CHUNK):
        chunk = message[start : start + MAX_CHUNK]
        framed += len(chunk).to_bytes(2, "big")
        framed += chunk
    framed += NOOP
    return bytes(framed)


def end_of(framed: bytes, index: int) -> int:
    """Where message number `index`, counted from 0, ends in the result of `frame`; len(framed) if there are fewer."""
    position, inside = 0, False
    while position + 2 <= len(framed):
        size = int.from_bytes(framed[position : position + 2], "big")
        position += 2 + size
        if size:
            inside = True
        elif inside:
            inside = False
            if not index:
                return position
            index -= 1
    return len(framed)
