"""
Runs a transform in a process of its own, so that it may loop, leak, crash or exit without harming the database.

The child (`child`) also packs the queries, so what comes back is bytes for the loopback, and the database's
interpreter lock is free while a transform computes.
"""

from __future__ import annotations

import marshal
import mmap
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from sluice.bolt.packstream import unpack
from sluice.errors import RemoteProtocolError, ScriptError, SettingError, Stopped, TransformError
from sluice.folding import Need
from sluice.host.settings import Settings
from sluice.scripting.contract import STREAM, STREAM_MESSAGES
from sluice.scripting.environment import server_packages, transform_environment
from sluice.scripting.frames import COUNTER, FAILED, FOLDED, HEAD, PACKED, READY, ROWS, answer_of
from sluice.scripting.interpreter import Interpreter, find_interpreter, forget_interpreter
from sluice.values.merge_keys import NOTHING, MergeKeys, MergeShape, analysis_of
from sluice.values.model import Transform
from sluice.values.record import Messages

CHILD = Path(__file__).with_name("child.py")

SLICE = 0.2
"Seconds between two looks at whether the owner wants to stop."

MAX_ANSWER = 1 << 30
"Bytes of one answer; the child is not trusted to say less."

OUT_OF_MEMORY = re.compile(rb"\w+\(batch\) raised MemoryError")
"How a failure begins after which a process is of no use any more: what it has leaked stays leaked."

EPITAPH = 1.0
"Seconds that a process has to end once it has hung up."


class PackedQueries(NamedTuple):
    """The queries of a group's first batches as framed Bolt messages, ready to be sent."""

    size: int
    "How many queries; each is a RUN and a DISCARD."
    frames: bytes | memoryview
    batches: int = 1
    "How many batches were done. Fewer than asked for: the others are to be asked for again."
    given: int = 0
    "How many queries they gave, before any were folded."
    failed: int = 0
    "The number of the batch that `error` is about; those between `batches` and it are as those behind it."
    error: TransformError | None = None
    "Why a batch cannot be transformed."
    news: tuple[tuple[str, str], ...] = ()
    "Texts of queries that were met for the first time, and how queries of each are folded, or why not."
    keys: MergeKeys = NOTHING
    "What they merge."
    shapes: tuple[MergeShape, ...] = ()
    "Kinds of vertices and relationships that were merged for the first time."


class _Patience:
    """The time that a child has for each batch."""

    def __init__(self, timeout: float, begun: int) -> None:
        self._timeout = timeout
        self._begun = begun
        self._deadline = time.monotonic() + timeout

    def remaining(self, begun: int) -> float:
        """Seconds left, for a child that has begun so many batches."""
        now = time.monotonic()
        if begun != self._begun:
            self._begun, self._deadline = begun, now + self._timeout
        return self._deadline - now


class TransformProcess:
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
            ScriptError: the script does not compile, raises when it is run, defines no transform, or does not end in
                time; retryable in the last case alone, since a busy machine is enough for it.
            SettingError: there is no interpreter to run it with.
            Stopped: `wants_stop` answered True meanwhile.
        """
        self._uri = transform.uri
        self._timeout = settings.transform_timeout
        self._wants_stop = wants_stop
        self.worn = False
        "Whether it has transformed anything yet."
        self.died = False
        "Whether it ended by itself, or was of no use any more; for a reason that may lie in what it did before."
        self._requests = 0
        interpreter = find_interpreter(settings)
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        counter = os.memfd_create("sluice-transform")
        try:
            with theirs:
                os.ftruncate(counter, COUNTER.size)
                self._counter = mmap.mmap(counter, COUNTER.size)
                self._process = _start_child(interpreter, theirs, counter, settings)
        finally:
            os.close(counter)
        task = {
            "uri": transform.uri,
            "source": transform.source,
            "path": server_packages(),
            "own_first": not interpreter.is_ours,
            "memory_bytes": settings.transform_memory_mb << 20,
        }
        try:
            answer = self._exchange(task, settings.script_timeout, "loading it")
        except TransformError as error:
            self.close()
            raise ScriptError(f"bad {error}", retryable=not self.died) from error
        except BaseException:
            self.close()
            raise
        told = bytes(answer[1:]).decode(errors="replace")
        if answer[:1] != READY:
            self.close()
            raise ScriptError(f"bad transform {self._uri}: {told}")
        self._entry = told if told == STREAM_MESSAGES else STREAM

    def __enter__(self) -> TransformProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def pack(
        self,
        batches: Sequence[Messages],
        *,
        fold: bool = False,
        lacks: frozenset[Need] = frozenset(),
        wants_keys: bool = True,
    ) -> PackedQueries:
        """
        The queries that the transform gives for each batch, packed. At least those of the first batch, or why there
        are none; of further ones as many as do not take long.

        Args:
            fold: fewer queries, which do the same to the graph.
            lacks: what the server does not do that folding needs.
            wants_keys: whether to compute what the queries merge; otherwise their keys are EVERYTHING.

        Returns:
            With an error if a batch made the transform raise, break its contract or not end in time; the process can be
            used again only in the first two cases (`closed` tells).

        Raises:
            Stopped: the owner wants to stop.
        """
        kind = FOLDED if fold else PACKED
        before = self._begun
        try:
            answer, frames = answer_of(self._answer(kind, batches, lacks, wants_keys=wants_keys))
            if not 0 < answer.batches + bool(answer.error) <= len(batches):
                raise self._out_of_turn()
            news = tuple((str(text), str(how)) for text, how in unpack(answer.news)) if answer.news else ()
        except TransformError as error:
            # The child is gone, and with it what it had of the batches that it began before the last.
            failed = min(max(self._begun - before, 1), len(batches)) - 1
            return PackedQueries(0, b"", 0, failed=failed, error=error)
        except (struct.error, RemoteProtocolError, ValueError, TypeError):
            return PackedQueries(0, b"", 0, error=self._out_of_turn())
        finally:
            self.worn = True
        failure = self._failure(answer.error) if answer.error else None
        merges = analysis_of(answer.merges)
        keys = merges.keys if answer.size else NOTHING
        return PackedQueries(
            answer.size, frames, answer.batches, answer.given, answer.batches, failure, news, keys, merges.shapes
        )

    def rows(self, batch: Messages) -> list[tuple[str, dict[str, Any]]]:
        """
        The queries that the transform gives, as (query, parameters).

        Raises:
            TransformError: it raised, broke its contract or did not end in time.
            Stopped: the owner wants to stop.
        """
        return [(query, parameters) for query, parameters in unpack(bytes(self._answer(ROWS, [batch])))]

    @property
    def closed(self) -> bool:
        """Whether the child is gone."""
        return self._channel.fileno() < 0

    def close(self) -> None:
        """Ends the child, and what it has started, at once. May be called twice."""
        self._channel.close()
        if self._process.returncode is None:  # until it was waited for, its number is nobody else's
            with suppress(ProcessLookupError):  # it leads no group yet
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
        self._process.wait()

    @property
    def _begun(self) -> int:
        """How many batches the child has begun."""
        (begun,) = COUNTER.unpack_from(self._counter)
        return int(begun)

    def _answer(
        self,
        kind: bytes,
        batches: Sequence[Messages],
        lacks: frozenset[Need] = frozenset(),
        *,
        wants_keys: bool = False,
    ) -> memoryview:
        columns = [batch.columns(whole=self._entry == STREAM_MESSAGES) for batch in batches]
        names = sorted(need.value for need in lacks)
        answer = self._exchange((kind, columns, names, wants_keys), self._timeout, f"{self._entry}(batch)")
        if answer[:1] == FAILED:
            raise self._failure(bytes(answer[1:]))
        if answer[:1] != kind:
            raise self._out_of_turn()
        return answer[1:]

    def _failure(self, reason: bytes) -> TransformError:
        if OUT_OF_MEMORY.match(reason):
            self._give_up()
        return TransformError(f"transform {self._uri}: {reason.decode(errors='replace')}")

    def _give_up(self) -> None:
        self.died = True
        self.close()

    def _out_of_turn(self) -> TransformError:
        self._give_up()
        return TransformError(f"transform {self._uri}: its process answered out of turn")

    def _exchange(self, request: Any, timeout: float, what: str) -> memoryview:
        body, number = marshal.dumps(request, 4), self._requests
        self._requests += 1
        patience = _Patience(timeout, self._begun)
        try:
            self._send(HEAD.pack(len(body), number) + body, patience)
            size, answered = HEAD.unpack(self._receive(HEAD.size, patience))
            if answered != number:
                raise self._out_of_turn()
            answer = self._receive(size, patience) if 0 < size <= MAX_ANSWER else None
        except TimeoutError:
            self.close()
            raise TransformError(f"transform {self._uri}: {what} did not end within {timeout:g} s") from None
        except OSError:
            raise TransformError(f"transform {self._uri}: {self._epitaph()}") from None
        if answer is None:
            self._give_up()
            raise TransformError(f"transform {self._uri}: an answer of {size} bytes is too large")
        return answer

    def _send(self, data: bytes, patience: _Patience) -> None:
        view = memoryview(data)
        while view:
            self._wait(select.POLLOUT, patience)
            # Without MSG_NOSIGNAL a dead child would end the database where SIGPIPE is not ignored.
            view = view[self._channel.send(view, socket.MSG_NOSIGNAL) :]

    def _receive(self, size: int, patience: _Patience) -> memoryview:
        data = memoryview(bytearray(size))
        view = data
        while view:
            self._wait(select.POLLIN, patience)
            received = self._channel.recv_into(view)
            if not received:
                raise ConnectionResetError
            view = view[received:]
        return data

    def _wait(self, event: int, patience: _Patience) -> None:
        """Waits, with the interpreter lock released, until the channel is ready. Raises TimeoutError or Stopped."""
        poll = select.poll()
        poll.register(self._channel, event)
        while True:
            remaining = patience.remaining(self._begun)
            if remaining <= 0:
                raise TimeoutError
            if poll.poll(min(remaining, SLICE) * 1000):
                return
            if self._wants_stop():
                raise Stopped

    def _epitaph(self) -> str:
        """How it ended, which is looked at before what it has started is ended as well."""
        deadline = time.monotonic() + EPITAPH
        while not self._has_ended() and time.monotonic() < deadline:
            time.sleep(0.01)
        hung_up = not self._has_ended()
        self._give_up()
        code = self._process.returncode
        if hung_up:
            return "its process hung up"
        return f"its process ended (exit status {code})" if code >= 0 else f"its process was ended by signal {-code}"

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _start_child(
    interpreter: Interpreter, channel: socket.socket, counter: int, settings: Settings
) -> subprocess.Popen[bytes]:
    # -I: neither the environment nor the current folder decides what a transform imports. No preexec_fn: it would
    # fork the whole database instead of vforking.
    command = [interpreter.path, "-I", "-X", "utf8", str(CHILD), str(counter)]
    try:
        return subprocess.Popen(
            command,
            stdin=channel.fileno(),
            stdout=subprocess.DEVNULL,
            env=transform_environment(),
            pass_fds=(counter,),
        )
    except OSError as error:
        forget_interpreter(settings)
        raise SettingError(
            f"the interpreter {interpreter} cannot run transforms: {error.strerror}; set SLUICE_PYTHON"
        ) from error
