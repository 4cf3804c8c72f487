#!/usr/bin/env bash
# uvloop 0.23.0, beside asyncio of Python 3.11
#
# One would guess: a protocol that calls `pause_reading()` in `connection_made` gets no data until it resumes, as with
#   asyncio, so a proxy can hold a client back until it has reached the server.
# What happens: uvloop begins to read once `connection_made` has returned. `is_reading()` says False all the same, while
#   data and the end of the stream arrive. A second `pause_reading()`, a turn of the loop later, holds: then one read
#   gets through.
#
# Seen:
#   asyncio, paused once: reading False, then []
#   uvloop, paused once: reading False, then ['data', 'end']
#   uvloop, paused again: reading False, then ['data']
#
# Exit status: 0 it is still so, 1 it has changed, 2 it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv" && "$work/venv/bin/pip" install --quiet uvloop==0.23.0 || exit 2
cd "$work"

"$work/venv/bin/python" - <<'EOF'
import asyncio
import socket
import sys

import uvloop


class Held(asyncio.Protocol):
    """Wants nothing for now."""

    def __init__(self, again):
        self.again, self.seen = again, []

    def connection_made(self, transport):
        self.transport = transport
        transport.pause_reading()
        self.reading = transport.is_reading()
        if self.again:
            asyncio.get_running_loop().call_soon(transport.pause_reading)

    def data_received(self, data):
        self.seen.append("data")

    def eof_received(self):
        self.seen.append("end")
        return True


async def accepted(again):
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    server.setblocking(False)
    client.sendall(b"hello")
    client.shutdown(socket.SHUT_WR)
    await asyncio.sleep(0.2)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_accepted_socket(lambda: Held(again), server)
    await asyncio.sleep(0.5)
    transport.abort()
    client.close()
    listener.close()
    return protocol.reading, protocol.seen


found = []
for name, new_loop, again in (
    ("asyncio, paused once", asyncio.new_event_loop, False),
    ("uvloop, paused once", uvloop.new_event_loop, False),
    ("uvloop, paused again", uvloop.new_event_loop, True),
):
    loop = new_loop()
    reading, seen = loop.run_until_complete(accepted(again))
    loop.close()
    print(f"{name}: reading {reading}, then {seen}")
    found.append((reading, seen))
sys.exit(0 if found == [(False, []), (False, ["data", "end"]), (False, ["data"])] else 1)
EOF
