"""
Keeps one stream going: a session after the other, each from the checkpoint, until it is to end or nothing can help.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import NamedTuple

from sluice.engine.batch_limit import BatchLimit
from sluice.engine.group_size import MAX_BACKOFF, pause
from sluice.engine.run import Run
from sluice.engine.session import run_session
from sluice.errors import CommitUnknown, FenceLost, QueryRefused, SluiceError, Stopped
from sluice.host.attempts import MAX_ATTEMPTS
from sluice.host.ending import interpreter_ends
from sluice.persistence.loopback import Loopback
from sluice.persistence.own_server import open_loopback
from sluice.values.model import Desired, Status

log = logging.getLogger("sluice.worker")

FENCE_OFF_TRIES = 4
"Tries of a worker that ends to fence off what it had sent over a lost connection; with pauses of 0.7 s together."

ENDED_SERVER = (
    "Kafka stream {name}, the server ended {times} times in a row while the stream's first transaction was in flight, "
    "and it is not sent again by itself; find its queries with TEST STREAM {name} and change the transform, or go past "
    "them with SEEK STREAM {name}; then START STREAM {name}"
)


class SessionEnd(NamedTuple):
    """Why a session ended. The error itself would keep all that the session had alive."""

    reason: str
    passes: bool
    "Whether another session may do better."


class Worker:
    """
    Runs one stream: one thread, one consumer, one transform process, one connection to the database.

    Threads: the worker's thread alone touches those. Any thread may call the rest.

    A worker is used once. It ends when it is told to, when its limit of batches is reached, or by an error that trying
    again would not cure; the last two it writes into the checkpoint. Everything else (broker away, server restarting,
    conflicts) it tries again, for ever.

    For a stream that does not run (`Run.only_retries`) it answers `streams.retry`, and ends. What goes wrong with a
    message is in the message's node. Everything else is tried again: by this worker, or by the next, which the
    supervisor starts as long as something is asked for.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()  # guards _loopback
        self._loopback: Loopback | None = None
        self._aborted = False
        self._thread = threading.Thread(target=self._work, name=f"Cons#{run.spec.name}"[:15], daemon=True)

    @property
    def desired(self) -> Desired:
        """What it was started for."""
        return self._run.desired

    def batch_limit(self, desired: Desired) -> BatchLimit | None:
        """What it shares with the other lanes of that run, if it is one of them."""
        mine = self._run.desired
        is_same = (mine.stream_id, mine.generation) == (desired.stream_id, desired.generation)
        return self._run.batch_limit if is_same else None

    def start(self) -> None:
        """Begins to run; once."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the worker to end once what is in flight is settled. Returns at once."""
        self._run.cancel.set()
        self._run.calls.nudge.set()

    def retry(self, number: int) -> None:
        """Lets the worker know that the `RetryRequest` of that number, and those before it, are to be answered."""
        self._run.calls.retry_requested = number
        self._run.calls.nudge.set()

    def unlabel(self) -> None:
        """Lets the worker know that the graph has a uniqueness constraint."""
        self._run.calls.constrained = True
        self._run.calls.nudge.set()

    def abort(self) -> None:
        """Asks the worker to end now: a batch in flight is given up, and so is not in the graph, or is, whole."""
        self.stop()
        self._aborted = True
        with self._lock:
            loopback = self._loopback
        if loopback is not None:
            loopback.abort()

    def join(self, timeout: float) -> bool:
        """Waits for the end, at most `timeout` seconds; tells whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the worker may still write."""
        return self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._run.cancel.is_set()

    def _work(self) -> None:
        try:
            self._run_sessions()
            self._fence_off()
        finally:
            self._run.status.ended()

    def _run_sessions(self) -> None:
        run, name = self._run, self._run.spec.title
        if not run.only_retries and run.host.attempts.count(run.desired.key, run.desired.generation) >= MAX_ATTEMPTS:
            self._end(ENDED_SERVER.format(name=run.spec.name, times=MAX_ATTEMPTS))
            run.host.attempts.end(run.desired.key)
            return
        while not run.cancel.is_set():
            failure = self._session()
            if failure is None:
                break
            if not failure.passes:
                self._end(failure.reason)
                return
            run.status.unassigned()
            seconds = run.retry_policy.failed()
            run.status.failed(failure.reason, seconds)
            run.cancel.wait(seconds)
        if run.only_retries:
            log.debug("stream %s: nothing more to retry", name)
        else:
            if run.batch_limit is not None:
                self._write_end(Status.STOPPED, None)
            log.info("stream %s: stopped", name)

    def _fence_off(self) -> None:
        """
        Nothing that was sent over a lost connection can be committed any more; a checkpoint that is gone sees to that
        by itself. The next session of the lane would do this, but there may be none, or ALTER may have put other lanes
        in its place; and meanwhile others wait for what was sent.
        """
        run = self._run
        for failures in range(1, FENCE_OFF_TRIES + 1):
            if self._aborted or not run.turns.has_lost:
                return
            try:
                with self._connected() as loopback:
                    loopback.fence_off(run.desired.checkpoint_id)
                run.turns.fenced_off()
            except SluiceError as error:
                log.debug("stream %s: not fenced off: %s", run.spec.title, error)
                time.sleep(pause(failures))

    def _session(self) -> SessionEnd | None:
        """Works over one connection; why that ended before its time."""
        try:
            with self._connected() as loopback:
                run_session(self._run, loopback)
        except Stopped:
            return None
        except (CommitUnknown, FenceLost, QueryRefused) as error:
            # Whatever happened to the batch, the checkpoint tells, and a new session begins by reading it.
            return SessionEnd(str(error), passes=True)
        except SluiceError as error:
            return SessionEnd(str(error), error.retryable)
        except Exception as error:
            if interpreter_ends(error):
                return None  # its open batch is rolled back with its connection
            log.exception("stream %s: a fault in the worker", self._run.spec.name)
            return SessionEnd(f"{type(error).__name__}: {error}", passes=False)
        return None

    def _connected(self) -> Loopback:
        loopback = open_loopback(self._run.settings)
        with self._lock:
            self._loopback = loopback
        return loopback

    def _end(self, reason: str) -> None:
        """
        Makes known that the work ended by an error, and writes that into the checkpoint, however long the server takes
        to be there for it.
        """
        run = self._run
        if run.only_retries:
            log.error("stream %s: parked messages cannot be retried: %s; trying again", run.spec.name, reason)
            run.status.trouble(reason)
            run.cancel.wait(MAX_BACKOFF)
            return
        run.status.stopped_by(reason)
        self._write_end(Status.ERROR, reason)

    def _write_end(self, status: Status, reason: str | None) -> None:
        run, failures = self._run, 0
        while not run.cancel.is_set():
            try:
                with self._connected() as loopback:
                    loopback.end_run(run.desired.checkpoint_id, run.desired.generation, status, reason)
            except SluiceError as error:
                failures += 1
                seconds = pause(failures)
                run.status.trouble(
                    f"{reason or 'the limit of batches is reached'} (not written down yet: {error})", in_seconds=seconds
                )
                run.cancel.wait(seconds)
            else:
                break
