"""
A Bolt server for tests: speaks through our own codec, and does what its script says.

A script is a function of a `Session`, one per connection that the server accepts, in that order. An error in a script,
a failed assertion above all, fails the test when the server is closed.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Message, Tag, Version
from sluice.bolt.values import Value

NEWEST = Version(5, 2)

PATIENCE = 30.0  # seconds, on a machine that does other things too


class Session:
    """The server's side of one connection."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.settimeout(PATIENCE)
        self._buffer = MessageBuffer(1 << 30)
        self._inbox: list[bytes] = []

    def shake_hands(self, version: Version | None = NEWEST) -> list[messages.Proposal]:
        """Read the client's proposals and answer with `version`."""
        data = b""
        while len(data) < messages.HANDSHAKE_SIZE:
            data += self._read(messages.HANDSHAKE_SIZE - len(data))
        self.socket.sendall(messages.answer(version))
        return messages.parse_handshake(data)

    def log_in(self, version: Version = NEWEST) -> None:
        """Handshake, HELLO and LOGON, all as it should be."""
        self.shake_hands(version)
        self.expect(Tag.HELLO)
        self.say(messages.success({"server": "Neo4j/v5.11.0 compatible graph database server - Memgraph"}))
        if version >= (5, 1):
            self.expect(Tag.LOGON)
            self.say(messages.success())

    def expect(self, tag: Tag) -> Message:
        """The next message, which must be a `tag`."""
        message = self.next()
        assert message.tag == tag, f"{message.name} came where {tag.name} was expected"
        return message

    def expect_all(self, *tags: Tag) -> None:
        for tag in tags:
            self.expect(tag)

    def next(self) -> Message:
        while not self._inbox:
            self._inbox += self._buffer.feed(self._read(0x10000))
        return messages.parse(self._inbox.pop(0))

    def say(self, *packed: bytes) -> None:
        """Send messages, in one write."""
        self.socket.sendall(b"".join(map(frame, packed)))

    def answer_query(self, fields: list[str], rows: list[list[Value]]) -> None:
        """RUN and PULL with this result."""
        self.expect(Tag.RUN)
        self.expect(Tag.PULL)
        self.say(messages.success({"fields": fields}), *map(messages.record, rows), messages.success({"type": "r"}))

    def vanish(self) -> None:
        """Close as a killed process does: with a reset, if anything is left unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _read(self, size: int) -> bytes:
        data = self.socket.recv(size)
        if not data:
            raise EOFError("the client closed")
        return data


Script = Callable[[Session], None]


class FakeServer:
    """Listens on a free port of 127.0.0.1 and plays one script per connection; a context manager."""

    def __init__(self, *scripts: Script) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self._scripts = scripts
        self._errors: list[BaseException] = []
        self._accepting = threading.Thread(target=self._accept, name="fake-server")
        self._playing: list[threading.Thread] = []

    def _accept(self) -> None:
        try:
            for script in self._scripts:
                connected, _ = self._listener.accept()
                thread = threading.Thread(target=self._play, args=(script, connected), name="fake-session")
                self._playing.append(thread)
                thread.start()
        except BaseException as error:
            self._errors.append(error)

    def _play(self, script: Script, connected: socket.socket) -> None:
        session = Session(connected)
        try:
            script(session)
        except BaseException as error:
            self._errors.append(error)
        finally:
            # Not `connected`, which TLS may have taken the place of.
            session.socket.close()

    def join(self) -> None:
        """Wait until the scripts have been played."""
        self._accepting.join(PATIENCE)
        for thread in self._playing:
            thread.join(PATIENCE)

    def __enter__(self) -> FakeServer:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.join()
        self._listener.close()
        alive = [thread for thread in (self._accepting, *self._playing) if thread.is_alive()]
        assert not alive, "the fake server's script did not end"
        if self._errors and error is None:
            raise self._errors[0]
