"""
Runs a transform in a process of its own, so that it may loop, leak, crash or exit without harming the database.

The child (`jail_child`) also packs the queries, so what comes back is bytes for the loopback, and the database's
interpreter lock is free while a transform computes.
"""

from __future__ import annotations

import marshal
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from sluice.bolt.packstream import unpack
from sluice.errors import ScriptError, SettingError, TransformError
from sluice.interpreter import find_interpreter
from sluice.jail_frames import FAILED, FOLDED, LENGTH, PACKED, READY, ROWS
from sluice.model import Transform
from sluice.settings import Settings

CHILD = Path(__file__).with_name("jail_child.py")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

MAX_ANSWER = 1 << 30
"Bytes of one answer; the child is not trusted to say less."

KEPT = re.compile("(PATH|HOME|USER|LANG|LANGUAGE|TZ|TMPDIR|LD_LIBRARY_PATH|(LC|OMP|MKL|OPENBLAS)_.*)$")
"""
Variables that a transform sees: what an interpreter and its packages need. Others may hold secrets: our own the way
into the database, those that streams refer to by `env:NAME` the way into Kafka.
"""

Payload = bytes | None


class Stopped(Exception):  # noqa: N818 - not an error: the owner asked for it
    """The owner wanted to stop while the transform was running."""


class PackedQueries(NamedTuple):
    """A batch's queries as framed Bolt messages, ready to be sent."""

    size: int
    "How many queries; each is a RUN and a PULL."
    frames: bytes


class Jail:
    """
    One child process with one transform loaded.

    Threads: for the thread that made it. The child ends with that thread at the latest.
    """

    def __init__(
        self, transform: Transform, settings: Settings, wants_stop: Callable[[], bool] = lambda: False
    ) -> None:
        """
        Starts the child and loads the script.

        Raises:
            ScriptError: the script does not compile, raises when it is run, has no callable `stream`, or does not end
                in time.
            SettingError: there is no interpreter to run it with.
            Stopped: `wants_stop` answered True meanwhile.
        """
        self._uri = transform.uri
        self._timeout = settings.transform_timeout
        self._wants_stop = wants_stop
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            self._process = _start_child(find_interpreter(settings), theirs)
        task = {
            "uri": transform.uri,
            "source": transform.source,
            "path": list(sys.path),
            "memory_bytes": settings.transform_memory_mb << 20,
        }
        try:
            answer = self._exchange(task, settings.script_timeout, "loading it")
        except TransformError as error:
            self.close()
            raise ScriptError(f"bad {error}") from error
        except BaseException:
            self.close()
            raise
        if answer[:1] != READY:
            self.close()
            raise ScriptError(f"bad transform {self._uri}: {answer[1:].decode(errors='replace')}")

    def __enter__(self) -> Jail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def pack(self, batch: Sequence[Payload], *, fold: bool = False) -> PackedQueries:
        """
        The queries that `stream(batch)` gives, packed.

        Args:
            fold: fewer queries, which do the same to the graph.

        Raises:
            TransformError: it raised, broke its contract or did not end in time; the jail can be used again only in
                the first two cases
                (`closed` tells).
            Stopped: the owner wants to stop.
        """
        answer = self._answer(FOLDED if fold else PACKED, batch)
        (count,) = LENGTH.unpack_from(answer, 0)
        return PackedQueries(count, answer[LENGTH.size :])

    def rows(self, batch: Sequence[Payload]) -> list[tuple[str, dict[str, Any]]]:
        """The queries that `stream(batch)` gives, as (query, parameters). Raises as `pack` does."""
        return [(query, parameters) for query, parameters in unpack(self._answer(ROWS, batch))]

    @property
    def closed(self) -> bool:
        """Whether the child is gone."""
        return self._channel.fileno() < 0

    def close(self) -> None:
        """Ends the child, at once. May be called twice."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def _answer(self, kind: bytes, batch: Sequence[Payload]) -> bytes:
        answer = self._exchange((kind, list(batch)), self._timeout, "stream(batch)")
        if answer[:1] == FAILED:
            raise TransformError(f"transform {self._uri}: {answer[1:].decode(errors='replace')}")
        if answer[:1] != kind:
            self.close()
            raise TransformError(f"transform {self._uri}: its process answered out of turn")
        return answer[1:]

    def _exchange(self, request: Any, timeout: float, what: str) -> bytes:
        deadline = time.monotonic() + timeout
        body = marshal.dumps(request, 4)
        try:
            self._send(LENGTH.pack(len(body)) + body, deadline)
            (size,) = LENGTH.unpack(self._receive(LENGTH.size, deadline))
            answer = self._receive(size, deadline) if 0 < size <= MAX_ANSWER else None
        except TimeoutError:
            self.close()
            raise TransformError(f"transform {self._uri}: {what} did not end within {timeout:g} s") from None
        except OSError:
            raise TransformError(f"transform {self._uri}: {self._epitaph()}") from None
        if answer is None:
            self.close()
            raise TransformError(f"transform {self._uri}: an answer of {size} bytes is too large")
        return answer

    def _send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(select.POLLOUT, deadline)
            # Without MSG_NOSIGNAL a dead child would end the database where SIGPIPE is not ignored.
            view = view[self._channel.send(view, socket.MSG_NOSIGNAL) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self._wait(select.POLLIN, deadline)
            received = self._channel.recv_into(view)
            if not received:
                raise ConnectionResetError
            view = view[received:]
        return bytes(data)

    def _wait(self, event: int, deadline: float) -> None:
        """Waits, with the interpreter lock released, until the channel is ready. Raises TimeoutError or Stopped."""
        poll = select.poll()
        poll.register(self._channel, event)
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            if poll.poll(min(remaining, SLICE) * 1000):
                return
            if self._wants_stop():
                raise Stopped

    def _epitaph(self) -> str:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "its process hung up"
        finally:
            self.close()
        return f"its process ended (exit status {code})" if code >= 0 else f"its process was ended by signal {-code}"


def _start_child(interpreter: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    # -I: neither the environment nor the current folder decides what a transform imports. No preexec_fn: it would
    # fork the whole database instead of vforking.
    command = [interpreter, "-I", "-X", "utf8", str(CHILD)]
    environment = {name: value for name, value in os.environ.items() if KEPT.match(name)}
    try:
        return subprocess.Popen(
            command, stdin=channel.fileno(), stdout=subprocess.DEVNULL, env=environment, close_fds=True
        )
    except OSError as error:
        raise SettingError(
            f"the interpreter {interpreter} cannot run transforms: {error.strerror}; set SLUICE_PYTHON"
        ) from error
