"""
A Bolt server that accepts everything at once and keeps nothing: what a stream takes beside it is our own cost.

    python -m tests.bench.null_sink

prints its port, serves every connection in a thread, and ends with its standard input.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from types import TracebackType

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.bolt.messages import Tag, Version

DONE = frame(messages.success({}))
FIELDS = frame(messages.success({"fields": ["properties"]}))
EMPTY_CHECKPOINT = frame(messages.record([{}]))
"What it answers to whoever asks for a property map: a stream's checkpoint, which has read nothing."

ASKS = b"RETURN properties("


class NullSink:
    """The server, in a process of its own. A context manager."""

    port: int

    def __enter__(self) -> NullSink:
        command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def main() -> None:
    """Serves until the standard input ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(listening,), daemon=True).start()
    sys.stdin.read()


def _accept(listening: socket.socket) -> None:
    while True:
        connected, _ = listening.accept()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_serve, args=(connected,), daemon=True).start()


def _serve(connected: socket.socket) -> None:
    with connected:
        connected.recv(messages.HANDSHAKE_SIZE)
        connected.sendall(messages.answer(Version(5, 2)))
        received = bytearray()
        asked = begun = False
        tag = 0
        while data := connected.recv(1 << 20):
            received += data
            answers = []
            position, end = 0, len(received)
            while position + 2 <= end:
                size = received[position] << 8 | received[position + 1]
                behind = position + 2 + size
                if behind > end:
                    break
                if size and not begun:
                    begun, tag = True, received[position + 3]
                    asked = asked if tag != Tag.RUN else ASKS in received[position:behind]
                elif not size and begun:
                    begun = False
                    if tag == Tag.GOODBYE:
                        return
                    if tag == Tag.PULL and asked:
                        answers.append(EMPTY_CHECKPOINT)
                        asked = False
                    answers.append(FIELDS if tag == Tag.RUN else DONE)
                position = behind
            del received[:position]
            if answers:
                connected.sendall(b"".join(answers))


if __name__ == "__main__":
    main()
