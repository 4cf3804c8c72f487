"""
Keeps one stream going: a session after the other, each from the checkpoint, until it is to end or nothing can help.
"""

from __future__ import annotations

import dataclasses
import logging
import threading

from sluice.doubts import Doubts
from sluice.errors import CommitUnknown, FenceLost, QueryRefused, SluiceError
from sluice.folding import FOLDED
from sluice.jail import Stopped
from sluice.listener import Transaction
from sluice.loopback import Loopback
from sluice.model import MOST_TEXTS, Desired, Status, WorkerStatus
from sluice.pace import LONGEST_PAUSE, pause
from sluice.retrier import RetrySession
from sluice.session import Session
from sluice.set_aside import now
from sluice.settings import Settings

log = logging.getLogger("sluice.worker")


class Worker:
    """
    Runs one stream: one thread, one consumer, one transform process, one connection to the database.

    Threads: the worker's thread alone touches those. Any thread may call the rest.

    A worker is used once. It ends when it is told to, when its limit of batches is reached, or by an error that trying
    again would not cure; the last two it writes into the checkpoint. Everything else (broker away, server restarting,
    conflicts) it tries again, for ever.
    """

    def __init__(self, desired: Desired, settings: Settings) -> None:
        self.desired = desired
        self._settings = settings
        self._retries_asked = 0  # set by the supervisor, only ever to more; any thread may read it
        self._failures = 0  # in a row; the worker's thread alone
        self._doubts = Doubts()  # the same
        self._stop = threading.Event()
        self._status = WorkerStatus()  # replaced by the worker's thread, never changed: any thread may read it
        self._lock = threading.Lock()  # guards _loopback
        self._loopback: Loopback | None = None
        self._thread = threading.Thread(target=self._run, name=f"Cons#{desired.spec.name}"[:15], daemon=True)

    def start(self) -> None:
        """Begins to run; once."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the worker to end once what is in flight is settled. Returns at once."""
        self._stop.set()

    def retry(self, number: int) -> None:
        """Lets the worker know that the `RetryRequest` of that number, and those before it, are to be answered."""
        self._retries_asked = number

    def abort(self) -> None:
        """Asks the worker to end now: a batch in flight is given up, and so is not in the graph, or is, whole."""
        self._stop.set()
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

    @property
    def status(self) -> WorkerStatus:
        """What it is doing now."""
        return self._status

    def committed(self, transaction: Transaction) -> None:
        """The session's word that a transaction is in the graph. Threads: the worker's."""
        self._failures = 0
        folding = self._status.folding
        for text, how in transaction.news:
            if how != FOLDED and len(folding.texts) < MOST_TEXTS:
                log.info("stream %s: %s: %s", self.desired.spec.name, how, text)
        folding = folding.after(transaction.given, transaction.sent, transaction.news)
        self._status = WorkerStatus(transaction.reached.positions, folding=folding)

    def trouble(self, text: str | None) -> None:
        """The session's word about what it is trying to get over. Threads: the worker's."""
        since = None if text is None else self._status.since or now()
        self._status = dataclasses.replace(self._status, trouble=text, since=since)

    def _run(self) -> None:
        name = self.desired.spec.name
        while not self._stop.is_set():
            try:
                self._session()
                break
            except Stopped:
                break
            except (CommitUnknown, FenceLost) as error:
                # Whatever happened to the batch, the checkpoint tells, and a new session begins by reading it.
                self._retry(error, "going on from the checkpoint")
            except QueryRefused as error:
                self._retry(error, "trying again")
            except SluiceError as error:
                if not error.retryable:
                    self._end(str(error))
                    break
                self._retry(error, "trying again")
            except Exception as error:
                log.exception("stream %s: stopped by an error of its own", name)
                self._end(f"{type(error).__name__}: {error}")
                break
        log.info("stream %s: ended", name)

    def _retry(self, error: SluiceError, how: str) -> None:
        """Makes an error that may pass visible, and waits for a while."""
        log.warning("stream %s: %s; %s", self.desired.spec.name, error, how)
        self.trouble(str(error))
        self._failures += 1
        self._stop.wait(pause(self._failures))

    def _session(self) -> None:
        with self._connected() as loopback, self._work(loopback) as work:
            work.run()

    def _work(self, loopback: Loopback) -> Session | RetrySession:
        """What is to be done over one connection."""
        return Session(
            self.desired, self._settings, loopback, self._stop, self, lambda: self._retries_asked, self._doubts
        )

    def _connected(self) -> Loopback:
        loopback = Loopback(self._settings)
        with self._lock:
            self._loopback = loopback
        return loopback

    def _end(self, reason: str) -> None:
        """Writes down that the run ended by an error, however long the server takes to be there for it."""
        name = self.desired.spec.name
        log.error("stream %s: stopped: %s", name, reason)
        failures = 0
        while not self._stop.is_set():
            try:
                with self._connected() as loopback:
                    loopback.end_run(self.desired.checkpoint_id, self.desired.generation, Status.ERROR, reason)
            except SluiceError as error:
                failures += 1
                log.warning("stream %s: cannot write down why it stopped: %s; trying again", name, error)
                self.trouble(f"{reason} (not written down yet: {error})")
                self._stop.wait(pause(failures))
            else:
                break


class RetryWorker(Worker):
    """
    Answers `streams.retry` for a stream that does not run, and ends.

    What goes wrong with a message is in the message's node. Everything else is tried again: by this worker, or by the
    next, which the supervisor starts as long as something is asked for.
    """

    def _work(self, loopback: Loopback) -> RetrySession:
        return RetrySession(self.desired, self._settings, loopback, self._stop, self, self._doubts)

    def _end(self, reason: str) -> None:
        log.error("stream %s: what was set aside cannot be retried: %s; trying again", self.desired.spec.name, reason)
        self.trouble(reason)
        self._stop.wait(LONGEST_PAUSE)
