"""
Keeps one stream going: a session after the other, each from the checkpoint, until it is to end or nothing can help.
"""

from __future__ import annotations

import logging
import threading
import time

from sluice.engine.calls import Calls
from sluice.engine.group_size import MAX_BACKOFF, pause
from sluice.engine.host_state import HostState
from sluice.engine.listener import SEARCH, Transaction, Watermarks
from sluice.engine.merge_guard import Admission, MergeGuard
from sluice.engine.retrier import RetrySession
from sluice.engine.retry_policy import RetryPolicy
from sluice.engine.session import StreamSession
from sluice.errors import CommitUnknown, FenceLost, QueryRefused, SluiceError, Stopped
from sluice.folding import FOLDED
from sluice.host.attempts import MAX_ATTEMPTS
from sluice.host.ending import interpreter_ends
from sluice.host.settings import Settings
from sluice.persistence.loopback import Loopback
from sluice.persistence.own_server import open_loopback
from sluice.supervising.log_throttle import LogThrottle
from sluice.supervising.status import Monitor, WorkerState
from sluice.values.failed_message import now
from sluice.values.model import MAX_TEXTS_PER_BATCH, Checkpoint, Desired, Status

log = logging.getLogger("sluice.worker")

ENDED_SERVER = (
    "Kafka stream {name}, the server ended {times} times in a row while the stream's first transaction was in flight, "
    "and it is not sent again by itself; find its queries with TEST STREAM {name} and change the transform, or go past "
    "them with SEEK STREAM {name}; then START STREAM {name}"
)


class Worker:
    """
    Runs one stream: one thread, one consumer, one transform process, one connection to the database.

    Threads: the worker's thread alone touches those. Any thread may call the rest.

    A worker is used once. It ends when it is told to, when its limit of batches is reached, or by an error that trying
    again would not cure; the last two it writes into the checkpoint. Everything else (broker away, server restarting,
    conflicts) it tries again, for ever.
    """

    def __init__(
        self, desired: Desired, settings: Settings, monitor: Monitor, host: HostState, guard: MergeGuard
    ) -> None:
        """
        Args:
            monitor: what the worker does is told to it; nobody else writes to it meanwhile.
            host: what is known of the server.
            guard: the same for all workers of this process.
        """
        self.desired = desired
        self._host = host
        self._is_attempting = False  # whether its first transaction was noted
        self._is_proven = False  # whether one was answered
        self._settings = settings
        self._calls = Calls()
        self._failures = 0  # in a row; this and all down to _held are the worker's thread's alone
        self._retry_policy = RetryPolicy()
        self._repeats = LogThrottle(desired.spec.name)
        self._troubled_at: float | None = None  # None: there is no trouble, or none that was worth a line
        self._started = False
        self._held = Checkpoint(positions={})
        self._stop = threading.Event()
        self._monitor = monitor
        self._admission = Admission(guard, desired.checkpoint_id.vertex, self._stop, monitor.waits)
        self._lock = threading.Lock()  # guards _loopback
        self._loopback: Loopback | None = None
        self._thread = threading.Thread(target=self._run, name=f"Cons#{desired.spec.name}"[:15], daemon=True)

    def start(self) -> None:
        """Begins to run; once."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the worker to end once what is in flight is settled. Returns at once."""
        self._stop.set()
        self._calls.nudge.set()

    def retry(self, number: int) -> None:
        """Lets the worker know that the `RetryRequest` of that number, and those before it, are to be answered."""
        self._calls.retry_requested = number
        self._calls.nudge.set()

    def unlabel(self) -> None:
        """Lets the worker know that the graph has a uniqueness constraint."""
        self._calls.constrained = True
        self._calls.nudge.set()

    def abort(self) -> None:
        """Asks the worker to end now: a batch in flight is given up, and so is not in the graph, or is, whole."""
        self.stop()
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
        return self._stop.is_set()

    def begun(self, held: Checkpoint) -> None:
        """As `Listener`. Threads: for this and all words of a listener, the worker's."""
        self._held = held
        self._monitor.begun(held, self.desired.spec.transform.sha256)

    def reading(self) -> None:
        """As `Listener`."""
        self._monitor.changed(assigned=True)
        if not self._started:
            self._started = True
            spec, positions = self.desired.spec, self._held.positions
            place = dict(positions) or "its beginning"
            log.info("stream %s: started: reads topic %s from %s", spec.name, spec.topic, place)

    def saw(self, watermarks: Watermarks | None) -> None:
        """As `Listener`."""
        self._monitor.changed(watermarks=watermarks)

    def sent(self, transaction: Transaction) -> None:
        """As `Listener`."""
        self._attempt()
        self._monitor.sent(transaction, self.desired.spec.transform.sha256)

    def unsent(self) -> None:
        """As `Listener`."""
        self._prove()
        self._monitor.unsent()

    def committed(self, transaction: Transaction) -> None:
        """As `Listener`."""
        self._prove()
        self._failures = 0
        if transaction.notice:
            self._repeats.say(transaction.notice, transaction.notice, 0)
        folding = self._monitor.folding
        for text, how in transaction.news:
            if how != FOLDED and len(folding.texts) < MAX_TEXTS_PER_BATCH:
                log.info("stream %s: %s: %s", self.desired.spec.name, how, text)
        self._monitor.folding = folding.after(transaction.given, transaction.sent, transaction.news)
        self._monitor.committed(transaction, self.desired.spec.transform.sha256)
        if transaction.shapes:
            self._monitor.waits.merges(transaction.shapes)

    def trouble(self, text: str | None, *, in_seconds: float | None = None) -> None:
        """
        As `Listener`. Logged when there begins to be a trouble, and when there is none any more.

        Args:
            in_seconds: until the next try; None: now.
        """
        state = self._monitor.state or WorkerState()
        next_try = None if text is None or in_seconds is None else now(in_seconds=in_seconds)
        since = None if text is None else state.since or now()
        if (text, next_try) != (state.trouble, state.next_try):
            self._monitor.changed(trouble=text, since=since, next_try=next_try)
        if text is not None and text != state.trouble:
            self._monitor.failed(text)
        if text is not None and state.trouble is None:
            told = not text.startswith(SEARCH) or self._repeats.is_news(text)
            self._troubled_at = time.monotonic() if told else None
            if told:
                log.warning("stream %s: retrying: %s", self.desired.spec.name, text)
        elif text is None and state.trouble is not None and self._troubled_at is not None:
            seconds = time.monotonic() - self._troubled_at
            log.info("stream %s: recovered, after %.1f s", self.desired.spec.name, seconds)

    def failed(self, text: str, in_seconds: float) -> None:
        """As `Listener`."""
        self._monitor.retrying()
        self.trouble(text, in_seconds=in_seconds)

    def refused(self, text: str, reason: str, messages: int) -> None:
        """As `Listener`."""
        self._repeats.say(text, reason, messages)

    def pulse(self) -> None:
        """As `Listener`."""
        self._repeats.pulse()

    def _run(self) -> None:
        try:
            self._go()
        finally:
            self._prove()  # whatever became of it, the server is still here
            self._repeats.end()

    def _attempt(self) -> None:
        """A transaction is about to be sent: notes the first one, in case the server ends at it."""
        if not self._is_proven and not self._is_attempting:
            self._is_attempting = True
            self._host.attempts.begin(self.desired.spec.uid, self.desired.generation)

    def _prove(self) -> None:
        """A transaction was answered, so the server has not ended at it."""
        if not self._is_proven:
            self._is_proven = True
            self._host.attempts.end(self.desired.spec.uid)

    def _has_ended_server(self) -> bool:
        """Whether the server has ended so often at this run's first transaction that it is not sent again."""
        return self._host.attempts.count(self.desired.spec.uid, self.desired.generation) >= MAX_ATTEMPTS

    def _go(self) -> None:
        name = self.desired.spec.name
        if self._has_ended_server():
            self._end(ENDED_SERVER.format(name=name, times=MAX_ATTEMPTS))
            self._host.attempts.end(self.desired.spec.uid)
            return
        while not self._stop.is_set():
            try:
                self._session()
            except Stopped:
                break
            except (CommitUnknown, FenceLost) as error:
                # Whatever happened to the batch, the checkpoint tells, and a new session begins by reading it.
                self._retry(error)
            except QueryRefused as error:
                self._retry(error)
            except SluiceError as error:
                if not error.retryable:
                    self._end(str(error))
                    return
                self._retry(error)
            except Exception as error:
                if interpreter_ends(error):
                    return  # its open batch is rolled back with its connection
                log.exception("stream %s: a fault in the worker", name)
                self._end(f"{type(error).__name__}: {error}")
                return
            else:
                break
        self._stopped()

    def _retry(self, error: SluiceError) -> None:
        """Makes an error that may pass visible, and waits for a while."""
        self._failures += 1
        seconds = pause(self._failures)
        self._monitor.changed(assigned=False)
        self.failed(str(error), seconds)
        self._stop.wait(seconds)

    def _session(self) -> None:
        with self._connected() as loopback, self._work(loopback) as work:
            work.run()

    def _work(self, loopback: Loopback) -> StreamSession | RetrySession:
        """What is to be done over one connection."""
        return StreamSession(
            self.desired,
            self._settings,
            loopback,
            self._stop,
            self,
            self._calls,
            self._retry_policy,
            self._host.lacks,
            self._admission,
        )

    def _connected(self) -> Loopback:
        loopback = open_loopback(self._settings)
        with self._lock:
            self._loopback = loopback
        return loopback

    def _stopped(self) -> None:
        """Says that the work ended otherwise than by an error."""
        log.info("stream %s: stopped", self.desired.spec.name)

    def _end(self, reason: str) -> None:
        """Writes down that the run ended by an error, however long the server takes to be there for it."""
        log.error("stream %s: stopped by an error: %s", self.desired.spec.name, reason)
        self._monitor.failed(reason)
        failures = 0
        while not self._stop.is_set():
            try:
                with self._connected() as loopback:
                    loopback.end_run(self.desired.checkpoint_id, self.desired.generation, Status.ERROR, reason)
            except SluiceError as error:
                failures += 1
                seconds = pause(failures)
                self.trouble(f"{reason} (not written down yet: {error})", in_seconds=seconds)
                self._stop.wait(seconds)
            else:
                break


class RetryWorker(Worker):
    """
    Answers `streams.retry` for a stream that does not run, and ends.

    What goes wrong with a message is in the message's node. Everything else is tried again: by this worker, or by the
    next, which the supervisor starts as long as something is asked for.
    """

    def _work(self, loopback: Loopback) -> RetrySession:
        return RetrySession(
            self.desired, self._settings, loopback, self._stop, self, self._retry_policy, self._admission
        )

    def _has_ended_server(self) -> bool:
        return False  # what is retried is asked for anew, and has no run that could end

    def _attempt(self) -> None:
        """Nothing is noted, for the same reason."""

    def _stopped(self) -> None:
        log.debug("stream %s: nothing more to retry", self.desired.spec.name)

    def _end(self, reason: str) -> None:
        log.error("stream %s: parked messages cannot be retried: %s; trying again", self.desired.spec.name, reason)
        self.trouble(reason)
        self._stop.wait(MAX_BACKOFF)
