"""
A server for the stress test, as a program: answers every query with its parameter `x`, and drops connections at random.

    python -m tests.integration.shim_upstream PORT CHANCE

A `CALL streams...` fails as our procedures do; its answer is the text of a clause that failed.
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import cast

import uvloop

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Tag, Version

CODE = "Memgraph.ClientError.MemgraphError.MemgraphError"
FAILURE = messages.failure(CODE, "streams.drop: Traceback (most recent call last):\nsluice.errors.StreamNotFound: none")
SUCCESS, IGNORED = messages.success(), messages.ignored()
FIELDS = messages.success({"fields": ["x"]})


class Upstream(asyncio.Protocol):
    """One session."""

    def __init__(self, chance: float) -> None:
        self._chance = chance
        self._opening = b""
        self._buffer = MessageBuffer(1 << 26)
        self._failed = False
        self._pending: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if len(self._opening) < messages.HANDSHAKE_SIZE:
            self._opening += data
            if len(self._opening) < messages.HANDSHAKE_SIZE:
                return
            data = self._opening[messages.HANDSHAKE_SIZE :]
            self._transport.write(messages.answer(Version(4, 3)))
        for packed in self._buffer.feed(data):
            if random.random() < self._chance:
                # In the middle of an answer, half of the time.
                if random.random() < 0.5:
                    self._transport.write(frame(SUCCESS)[:3])
                self._transport.abort()
                return
            self._transport.write(b"".join(map(frame, self._answer(packed))))

    def _answer(self, packed: bytes) -> list[bytes]:
        tag, fields = messages.parse(packed)
        if tag == Tag.RESET:
            self._failed = False
            return [SUCCESS]
        if self._failed:
            return [IGNORED]
        if tag == Tag.RUN:
            self._pending = FAILURE if fields[0].startswith("CALL streams.") else fields[1].get("x")
            return [FIELDS]
        if tag == Tag.PULL and self._pending is FAILURE:
            self._failed = True
            return [FAILURE]
        if tag == Tag.PULL:
            return [messages.record([self._pending]), SUCCESS]
        return [] if tag == Tag.GOODBYE else [SUCCESS]


def main() -> None:
    port, chance = int(sys.argv[1]), float(sys.argv[2])
    loop = uvloop.new_event_loop()
    loop.run_until_complete(loop.create_server(lambda: Upstream(chance), "127.0.0.1", port, backlog=1024))
    loop.run_forever()


if __name__ == "__main__":
    main()
