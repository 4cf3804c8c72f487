"""One run of a stream: what all who work for it share, and what they report."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sluice.engine.batch_limit import BatchLimit
from sluice.engine.broker_health import Health
from sluice.engine.host_state import HostState
from sluice.engine.log_throttle import LogThrottle
from sluice.engine.retry_policy import RetryPolicy
from sluice.engine.status import Monitor, WorkerState
from sluice.engine.turns import Turns
from sluice.errors import Stopped
from sluice.folding import FOLDED
from sluice.host.attempts import Attempts
from sluice.host.settings import Settings
from sluice.persistence.transaction import InFlight, Transaction
from sluice.values.failed_message import now
from sluice.values.model import MAX_TEXTS_PER_BATCH, Checkpoint, Desired, StreamSpec
from sluice.values.output_lines import OutputLines
from sluice.values.position import as_map

log = logging.getLogger("sluice.worker")

SEARCH = "looking for the message that cannot be applied"
"How the text of a trouble begins that is over once the message is found."


class RunStatus:
    """
    How a run is doing: reported to the stream's status, which outlives it, and to the log.

    Threads: for the run's worker.
    """

    def __init__(self, desired: Desired, monitor: Monitor, attempts: Attempts | None) -> None:
        """
        Args:
            monitor: the stream's; nobody else writes to it meanwhile.
            attempts: where the run's first transaction is noted until it is answered, in case the server ends at it.
                None: nowhere, since there is no run that could end.
        """
        self._desired = desired
        self._name = desired.spec.title
        self._monitor = monitor
        self._attempts = attempts
        self._is_attempting = False  # whether its first transaction was noted
        self._is_proven = False  # whether one was answered
        self._throttle = LogThrottle(self._name)
        self._health = Health()
        self._troubled_at: float | None = None  # None: there is no trouble, or none that was worth a line
        self._started = False

    def began(self, held: Checkpoint, in_flight: InFlight) -> None:
        """The checkpoint was read, and the stream continues from there; its transactions will be in `in_flight`."""
        self._monitor.begun(held, in_flight, self._desired.spec.transform.sha256)

    def assigned(self, held: Checkpoint) -> None:
        """Partitions are assigned."""
        self._monitor.changed(assigned=True)
        if not self._started:
            self._started = True
            # As SEEK takes it; no topic's name has quotes.
            place = str(as_map(held.positions, held.topic) or "its beginning").replace("'", "")
            log.info("stream %s: started: reads topic %s from %s", self._name, self._desired.spec.topic, place)

    def unassigned(self) -> None:
        """It does not read any more."""
        self._monitor.changed(assigned=False)

    def update(self, health: Health) -> None:
        """To be called now and then, with how the brokers are."""
        self._throttle.pulse()
        if health.watermarks != self._health.watermarks:
            self._monitor.changed(watermarks=health.watermarks)
        if health.trouble is not None or self._health.trouble is not None:
            self.trouble(health.trouble)
        self._health = health

    def sending(self) -> None:
        """A transaction is about to be sent: the first one is noted."""
        if not self._is_proven and not self._is_attempting and self._attempts is not None:
            self._is_attempting = True
            self._attempts.begin(self._desired.key, self._desired.generation)

    def answered(self) -> None:
        """A transaction was answered, or the run has ended, so the server has not ended at it."""
        if not self._is_proven and self._attempts is not None:
            self._is_proven = True
            self._attempts.end(self._desired.key)

    def committed(self, transaction: Transaction) -> None:
        """A transaction is in the graph."""
        self.answered()
        if transaction.notice:
            self._throttle.say(transaction.notice, transaction.notice, 0)
        folding, news = self._monitor.folding, transaction.queries.news if transaction.group else ()
        for text, how in news:
            if how != FOLDED and len(folding.texts) < MAX_TEXTS_PER_BATCH:
                log.info("stream %s: %s: %s", self._name, how, text)
        self._monitor.folding = folding.after(transaction.given, transaction.sent, news)
        self._monitor.committed(transaction)
        if transaction.queries.shapes:
            self._monitor.waits.merges(transaction.queries.shapes)

    def trouble(self, text: str | None, *, in_seconds: float | None = None) -> None:
        """
        What the stream is trying to get over, in one line; None: nothing. Logged when it begins and when it is over.

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
            logged = not text.startswith(SEARCH) or self._throttle.is_news(text)
            self._troubled_at = time.monotonic() if logged else None
            if logged:
                log.warning("stream %s: retrying: %s", self._name, text)
        elif text is None and state.trouble is not None and self._troubled_at is not None:
            log.info("stream %s: recovered, after %.1f s", self._name, time.monotonic() - self._troubled_at)

    def failed(self, text: str, in_seconds: float) -> None:
        """Something has failed and is tried again after this many seconds."""
        self._monitor.retrying()
        self.trouble(text, in_seconds=in_seconds)

    @property
    def lines(self) -> OutputLines:
        """What keeps the lines that the transform writes."""
        return self._monitor.lines

    def refused(self, text: str, reason: str, messages: int) -> None:
        """
        Messages cannot be applied; for the log.

        Args:
            messages: that are done with by that; 0: what they are is still to be found.
        """
        self._throttle.say(text, reason, messages)

    def stopped_by(self, reason: str) -> None:
        """The run ends by an error."""
        log.error("stream %s: stopped by an error: %s", self._name, reason)
        self._monitor.failed(reason)

    def ended(self) -> None:
        """The run has ended, whatever became of it: the server is still here."""
        self.answered()
        self._throttle.end()


class Calls:
    """
    What the supervisor asks of a worker besides that it ends.

    Threads: the supervisor's asks; the worker's answers, and waits at `nudge` while its stream rests.
    """

    def __init__(self) -> None:
        self.retry_requested = 0
        "The number of the last `RetryRequest`; only ever more."
        self.constrained = False
        "Whether a uniqueness constraint was seen that the worker has not heeded yet."
        self.nudge = threading.Event()
        "Set after each change of the above, and once the worker is to end."


class Watch:
    """Asked again and again while a transform works: whether the run is to end."""

    def __init__(self, cancel: threading.Event) -> None:
        """`cancel`: set when it is."""
        self._cancel = cancel
        self.meanwhile: Callable[[], None] = lambda: None
        "What is done each time."

    def __call__(self) -> bool:
        """Whether the run is to end."""
        self.meanwhile()
        return self._cancel.is_set()


@dataclass(frozen=True)
class Run:
    """
    What is wanted, and the few things that everybody who works for the stream shares.

    Threads: what is in it says who may change it.
    """

    desired: Desired
    settings: Settings
    host: HostState
    status: RunStatus
    turns: Turns
    only_retries: bool = False
    "Whether the stream does not run, and there are only parked messages to be retried."
    cancel: threading.Event = field(default_factory=threading.Event)
    "Set when the run is to end."
    calls: Calls = field(default_factory=Calls)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    batch_limit: BatchLimit | None = None
    "The run's limit of batches, where several lanes share it."

    @property
    def spec(self) -> StreamSpec:
        """What the stream is."""
        return self.desired.spec

    def check(self) -> None:
        """Raises Stopped once the run is to end."""
        if self.cancel.is_set():
            raise Stopped
