"""
Starts and ends a transform process, and keeps what it and its owner share besides the channel: the counter of batches
that it has begun, and the last of what it has written to its standard output and error.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from sluice.errors import SettingError, one_line
from sluice.scripting.environment import transform_environment
from sluice.scripting.frames import COUNTER
from sluice.values.output_lines import OutputLines

log = logging.getLogger("sluice.transform")

CHILD = Path(__file__).with_name("child.py")

MAX_OUTPUT = 4096
"Bytes of what a process has written that are kept, the last ones."

OUTPUT_IN_ERRORS = 120
"Characters of it that an error repeats, the last ones: few enough that a stream's error, which is short, has them."

OUTPUT_INTERVAL = 60.0
"Seconds between two lines in the server's log about what a process writes."

READ_SIZE = 1 << 16
"Bytes that are read of it at a time: what a pipe holds."

EPITAPH = 1.0
"Seconds that a process has to end once it has hung up."


class Counter:
    """
    A number that the process counts up in memory that both see.

    It is read as a file is, not mapped: were it possible to make the memory smaller, a mapping would end the database.
    Where the system has sealed memory it is not possible, and the number cannot be lost either.
    """

    def __init__(self) -> None:
        self.descriptor = _sealed_memory()
        self._last = 0

    @property
    def value(self) -> int:
        """What was counted; after `close`, what was counted until then."""
        if self.descriptor >= 0:
            with suppress(struct.error):
                (self._last,) = COUNTER.unpack(os.pread(self.descriptor, COUNTER.size, 0))
        return self._last

    def close(self) -> None:
        """May be called twice."""
        self._last = self.value
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Output:
    """
    The reading end of the pipe that is a process's standard output and error. Bounded in memory and in the server's
    log; never waits.
    """

    def __init__(self, name: str, lines: OutputLines) -> None:
        """
        Args:
            name: what the log calls the process.
            lines: what keeps its lines.
        """
        self._name = name
        self._lines = lines
        self.size = 0
        "Bytes that were read."
        self._next_line = 0.0
        self._tail = b""
        self.descriptor, self.theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.descriptor, False)

    @property
    def last(self) -> str:
        """The last of what was written, one line."""
        return one_line(self._tail.decode("utf-8", "replace"), MAX_OUTPUT)

    def read(self) -> bool:
        """Takes what there is, at most READ_SIZE bytes; False once nothing more can come."""
        try:
            data = os.read(self.descriptor, READ_SIZE)
        except BlockingIOError:
            return True
        self.size += len(data)
        self._lines.feed(data)
        self._tail = (self._tail + data)[-MAX_OUTPUT:]
        now = time.monotonic()
        if self._tail.strip() and now >= self._next_line:
            self._next_line = now + OUTPUT_INTERVAL
            log.info("%s wrote: %s", self._name, self.shown)
        return bool(data)

    @property
    def shown(self) -> str:
        """The end of it, as errors and the log have it."""
        text = self.last
        return text if len(text) <= OUTPUT_IN_ERRORS else f"...{text[-OUTPUT_IN_ERRORS:]}"

    def close(self) -> None:
        """Takes what there still is, and closes the pipe. May be called twice."""
        if self.descriptor >= 0:
            self.read()
            self._lines.end()
            os.close(self.descriptor)
            self.descriptor = -1


class ChildProcess:
    """
    A process with its end of a channel as its standard input. It ends with the thread that started it at the latest.

    Threads: for the thread that made it.
    """

    def __init__(self, interpreter: str, name: str, lines: OutputLines) -> None:
        """
        Args:
            interpreter: the Python that runs it.
            name: what the log calls it.
            lines: what keeps the lines that it writes.

        Raises:
            SettingError: the interpreter cannot be started.
        """
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.counter = Counter()
        self.output = Output(name, lines)
        try:
            self._process = _start(interpreter, theirs, self.counter.descriptor, self.output.theirs)
        except BaseException:
            self._close_descriptors()
            raise
        finally:
            theirs.close()
            os.close(self.output.theirs)

    @property
    def closed(self) -> bool:
        """Whether it was ended."""
        return self.socket.fileno() < 0

    def close(self) -> None:
        """Ends it, and what it has started, at once. May be called twice."""
        if self._process.returncode is None:  # until it was waited for, its number is nobody else's
            with suppress(ProcessLookupError):  # it leads no group yet
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
        self._process.wait()
        self._close_descriptors()

    def epitaph(self) -> str:
        """How it ended, which is looked at before what it has started is ended as well; and its last words."""
        deadline = time.monotonic() + EPITAPH
        while not self._has_ended() and time.monotonic() < deadline:
            time.sleep(0.01)
        hung_up = not self._has_ended()
        self.close()
        code = self._process.returncode
        if hung_up:
            how = "its process hung up"
        else:
            how = f"its process ended (exit status {code})" if code >= 0 else f"its process was ended by signal {-code}"
        return f"{how}; it wrote: {self.output.shown}" if self.output.shown else how

    def _close_descriptors(self) -> None:
        self.socket.close()
        self.counter.close()
        self.output.close()

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _start(interpreter: str, channel: socket.socket, counter: int, output: int) -> subprocess.Popen[bytes]:
    # -I: neither the environment nor the current folder decides what a transform imports. No preexec_fn: it would
    # fork the whole database instead of vforking.
    command = [interpreter, "-I", "-X", "utf8", str(CHILD), str(counter)]
    try:
        return subprocess.Popen(
            command,
            stdin=channel.fileno(),
            stdout=output,
            stderr=output,
            env=transform_environment(),
            pass_fds=(counter,),
        )
    except OSError as error:
        raise SettingError(
            f"the interpreter {interpreter} cannot run transforms: {error.strerror}; set SLUICE_PYTHON"
        ) from error


def _sealed_memory() -> int:
    """A descriptor of memory for the counter that nobody can make smaller or larger; an unnamed file where none is."""
    try:
        descriptor = os.memfd_create("sluice-transform", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError):
        with tempfile.TemporaryFile(prefix="sluice-transform-") as file:
            descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, COUNTER.size)
        return descriptor
    os.ftruncate(descriptor, COUNTER.size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor
