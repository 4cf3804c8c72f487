"""
Frames to and from a transform process, within limits of size and time, and never waiting with the interpreter lock.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Mapping

from sluice.errors import Stopped
from sluice.scripting.child_process import ChildProcess
from sluice.scripting.frames import HEAD, MAX_TEXT

SLICE = 0.2
"Seconds between two questions whether the owner wants to stop."

AFTER_OUTPUT = 0.001
"Seconds that what a process writes is left in its pipe after some of it was read: so it waits for us, not we for it."

RECEIVE_SIZE = 1 << 18
"Bytes that are received at a time; an answer takes no more memory than has come of it, and this."

Limits = Mapping[bytes, int]
"Kind of an answer -> bytes that it may have; any other has at most MAX_TEXT."


class WrongAnswer(Exception):
    """The process answered what it must not; the text says what."""


class Patience:
    """The time that a process has for a request: so much for each batch, and no more than that for all together."""

    def __init__(self, timeout: float, begun: int, batches: int = 1) -> None:
        """
        Args:
            timeout: seconds for one batch.
            begun: what the process's counter says before the request.
            batches: how many there are in the request.
        """
        now = time.monotonic()
        self._timeout = timeout
        self._begun = begun
        self._deadline = now + timeout
        self._end = now + timeout * batches

    def remaining(self, begun: int) -> float:
        """Seconds left, for a process that has begun so many batches."""
        now = time.monotonic()
        if begun != self._begun:
            self._begun, self._deadline = begun, now + self._timeout
        return min(self._deadline, self._end) - now


class Channel:
    """A process's channel as its owner has it. Threads: for the thread that made it."""

    def __init__(self, process: ChildProcess, wants_stop: Callable[[], bool]) -> None:
        """`wants_stop`: asked while something takes its time; what it raises passes through."""
        self._process = process
        self._socket = process.socket
        self._wants_stop = wants_stop
        self._asked_at = 0.0
        self._output_open = True
        self._output_read_at = 0.0

    def exchange(self, number: int, request: bytes, limits: Limits, patience: Patience) -> memoryview:
        """
        Sends the request of that number and gives its answer, at least one byte.

        Raises:
            WrongAnswer: it is that of another request, empty, or too long.
            TimeoutError, Stopped: as they say.
            OSError: the process is gone.
        """
        self._asked_at = time.monotonic()
        self._send(HEAD.pack(len(request), number) + request, patience)
        self._wants_stop()  # an owner has time for something else now; a quick answer is taken whatever it says
        size, answered = HEAD.unpack(self._receive(bytearray(), HEAD.size, patience))
        if answered != number or not size:
            raise WrongAnswer("answered another request")
        answer = self._receive(bytearray(), 1, patience)
        if size > limits.get(bytes(answer), MAX_TEXT):
            raise WrongAnswer(f"gave an answer of {size} bytes, which is too large")
        self._receive(answer, size, patience)
        if self._output_open:  # what it has written before it answered
            self._output_open = self._process.output.read()
        return memoryview(answer)

    def _send(self, data: bytes, patience: Patience) -> None:
        view = memoryview(data)
        while view:
            try:
                # Without MSG_NOSIGNAL a dead child would end the database where SIGPIPE is not ignored.
                view = view[self._socket.send(view, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, patience)

    def _receive(self, data: bytearray, size: int, patience: Patience) -> bytearray:
        """The same data, grown to that size."""
        while len(data) < size:
            try:
                part = self._socket.recv(min(size - len(data), RECEIVE_SIZE))
            except BlockingIOError:
                self._wait(select.POLLIN, patience)
                continue
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def _wait(self, event: int, patience: Patience) -> None:
        """
        Waits, with the interpreter lock released, until the channel is ready; takes meanwhile what the process writes.
        Raises TimeoutError, Stopped: as they say.
        """
        while True:
            now = time.monotonic()
            remaining = patience.remaining(self._process.counter.value)
            if remaining <= 0:
                raise TimeoutError
            if now >= self._asked_at + SLICE:
                self._asked_at = now
                if self._wants_stop():
                    raise Stopped
            left_alone = self._output_read_at + AFTER_OUTPUT - now
            poll = select.poll()
            poll.register(self._socket, event)
            output = self._process.output
            if self._output_open and left_alone <= 0:
                poll.register(output.descriptor, select.POLLIN)
            slice_ = AFTER_OUTPUT if self._output_open and left_alone > 0 else SLICE
            ready = dict(poll.poll(min(remaining, slice_) * 1000))
            if output.descriptor in ready:
                self._output_open = output.read()
                self._output_read_at = time.monotonic()
            if self._socket.fileno() in ready:
                return
