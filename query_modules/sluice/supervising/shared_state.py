"""What procedures and the supervisor tell each other: the only state that they share besides the graph."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from sluice.engine.host_state import HostState
from sluice.engine.merge_guard import MergeGuard
from sluice.engine.status import Monitor
from sluice.engine.test_execution import TestExecution
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
from sluice.values.model import VertexId

MAX_TEST_EXECUTIONS = 50
"Executed tests whose reports are kept, one for each stream."

TIME_TO_SEE = 3.0
"Seconds after a START in which the supervisor sees what is committed."


MAX_FOUNDING = 60.0
"Seconds after which a catalog that was begun is in nobody's way, also where no supervisor finds out about it."


class SharedState:
    """
    Vertex ids that help to find nodes, what the workers do, and a bell.

    Everything here is a hint: a procedure checks an id in its own transaction, the supervisor in what is committed,
    so a transaction that is rolled back leaves nothing wrong behind.

    Threads: any.
    """

    def __init__(self, history: int, host: HostState | None = None) -> None:
        """
        Args:
            history: how many transactions of each stream are remembered.
            host: what is known of the server; None: nothing yet.
        """
        self.host = host or HostState(Attempts(None), Installation(None))
        "What is known of the server. Written by the supervisor."
        self._history = history
        self._lock = threading.Lock()  # guards all sets and dicts below
        self._catalogs: dict[VertexId, float | None] = {}
        self._dropped: dict[VertexId, float] = {}
        self._monitors: dict[str, Monitor] = {}
        self._test_executions: dict[str, TestExecution] = {}
        self._bell = threading.Event()
        self.guard = MergeGuard()
        "The turns of all streams that merge the same."
        self.trouble: str | None = None
        "Why the supervisor cannot reach the server, in one line; None: it can. Written by the supervisor."
        self.seen: frozenset[str] | None = None
        "The streams, by uid, that the supervisor saw when it last looked; None: not yet. Written by the supervisor."
        self.no_catalog = False
        "Whether the supervisor has looked for catalogs in the whole graph and found none. Written by the supervisor."
        self._catalog_wanted = False
        self._started: dict[str, float] = {}
        self._began = time.monotonic()

    def catalogs(self) -> list[VertexId]:
        """Where catalog nodes were seen or made, oldest first."""
        with self._lock:
            return list(self._catalogs)

    def announce_catalog(self, catalog: VertexId) -> None:
        """A catalog node was seen that is committed."""
        with self._lock:
            self._catalogs[catalog] = None

    def begin_catalog(self, catalog: VertexId) -> bool:
        """
        A transaction that sees no catalog has made one, and is still open. Returns False: it must not be committed,
        since another one is there, or may come to be: made by a transaction that is open, or committed after this one
        began.
        """
        now = time.monotonic()
        with self._lock:
            if any(begun is None or now - begun < MAX_FOUNDING for begun in self._catalogs.values()):
                return False
            self._catalogs = {catalog: now}
            return True

    def catalog_begun(self, catalog: VertexId) -> float | None:
        """When a catalog was made that was not seen committed yet (`time.monotonic`); None: it was."""
        with self._lock:
            return self._catalogs.get(catalog)

    def forget_catalog(self, catalog: VertexId) -> None:
        """A catalog node is not there, and will not be: it was deleted, or its transaction was rolled back."""
        with self._lock:
            self._catalogs.pop(catalog, None)

    def want_catalog(self) -> None:
        """A procedure has found no catalog: the supervisor is to look whether there is one by now."""
        self._catalog_wanted = True
        self.ring()

    def take_catalog_wanted(self) -> bool:
        """Whether a procedure has found no catalog since this was last asked."""
        wanted, self._catalog_wanted = self._catalog_wanted, False
        return wanted

    def announce_dropped(self, stream: VertexId) -> None:
        """A stream was dropped, perhaps in a transaction that is still open."""
        with self._lock:
            self._dropped[stream] = time.monotonic()

    def dropped(self) -> set[VertexId]:
        """The streams that were announced as dropped and not forgotten."""
        with self._lock:
            return set(self._dropped)

    def forget_dropped(self, stream: VertexId) -> None:
        """The stream's nodes are gone."""
        with self._lock:
            self._dropped.pop(stream, None)

    def forget_dropped_before(self, seconds: float) -> None:
        """Forgets what was announced longer than so many seconds ago."""
        with self._lock:
            limit = time.monotonic() - seconds
            self._dropped = {stream: at for stream, at in self._dropped.items() if at > limit}

    def announce_start(self, uid: str) -> None:
        """The stream `uid` is to run, once a transaction that may be open is committed."""
        with self._lock:
            self._started[uid] = time.monotonic()

    def forget_start(self, uid: str) -> None:
        """The stream `uid` has a worker."""
        with self._lock:
            self._started.pop(uid, None)

    def overlooked(self, uid: str) -> bool:
        """Whether the supervisor should have seen the stream `uid`, which is to run, and has not."""
        with self._lock:
            since = self._started.get(uid, self._began)
        seen = self.seen
        return seen is not None and uid not in seen and time.monotonic() - since > TIME_TO_SEE

    def monitor(self, uid: str) -> Monitor:
        """What is known of the work of the stream `uid` in this process."""
        with self._lock:
            found = self._monitors.get(uid)
            if found is None:
                found = self._monitors[uid] = Monitor(self._history)
            return found

    def keep_monitors(self, uids: frozenset[str]) -> None:
        """Forgets all streams but these."""
        with self._lock:
            self._monitors = {uid: monitor for uid, monitor in self._monitors.items() if uid in uids}

    def handed_over(self) -> Mapping[str, Mapping[str, Any]]:
        """What a successor is to know of each stream's work, by uid."""
        with self._lock:
            monitors = dict(self._monitors)
        return {uid: monitor.handed_over() for uid, monitor in monitors.items()}

    def announce_test_execution(self, uid: str, test_execution: TestExecution) -> None:
        """A stream's executed test is to be run; one before it is forgotten, and those of others if there are many."""
        with self._lock:
            self._test_executions.pop(uid, None)
            self._test_executions[uid] = test_execution
            while len(self._test_executions) > MAX_TEST_EXECUTIONS:
                del self._test_executions[next(iter(self._test_executions))]

    def test_execution(self, uid: str) -> TestExecution | None:
        """The latest executed test of a stream; None if there was none."""
        with self._lock:
            return self._test_executions.get(uid)

    def test_executions(self) -> list[TestExecution]:
        """All that are known."""
        with self._lock:
            return list(self._test_executions.values())

    def ring(self) -> None:
        """Something was written that the supervisor should see soon."""
        self._bell.set()

    def await_bell(self, timeout: float) -> bool:
        """Waits until somebody rings, at most `timeout` seconds; whether somebody did."""
        rung = self._bell.wait(timeout)
        self._bell.clear()
        return rung

    def adopt(self, other: SharedState) -> None:
        """Takes over what a predecessor knows, which may be of another version."""
        # Those whose transactions are open stay so: the supervisor finds out about each.
        with self._lock:
            self._catalogs.update(dict.fromkeys(other.catalogs(), time.monotonic()))
        for stream in other.dropped():
            self.announce_dropped(stream)
        if (guard := getattr(other, "guard", None)) is not None:
            self.guard.take_over(guard.handed_over())
        # The predecessor may be of a version that had nothing to hand over.
        handed_over: Mapping[str, Mapping[str, Any]] = getattr(other, "handed_over", dict)()
        for uid, given in handed_over.items():
            self.monitor(uid).take_over(given)
