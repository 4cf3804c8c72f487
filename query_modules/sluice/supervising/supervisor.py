"""Makes what runs equal to what the committed metadata nodes say: starts and stops workers, and nothing else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable

from sluice.engine.batch_limit import BatchLimit
from sluice.engine.group_size import pause
from sluice.engine.run import Run, RunStatus
from sluice.engine.turns import Turns
from sluice.errors import GraphError, ProtocolError, SchemaError, SettingError
from sluice.host.ending import interpreter_ends
from sluice.host.settings import Settings
from sluice.persistence.loopback import Loopback
from sluice.persistence.own_server import open_loopback
from sluice.persistence.stream_row import StreamRow
from sluice.supervising.catalogs import Catalogs
from sluice.supervising.plan import Running, Start, plan
from sluice.supervising.server_watch import ServerWatch
from sluice.supervising.shared_state import SharedState
from sluice.supervising.worker import Worker
from sluice.values.lane import WHOLE
from sluice.values.model import Desired, Status

log = logging.getLogger("sluice.supervisor")

PATIENCE = ((1.0, 0.02), (10.0, 0.1))
"""
(for so many seconds after the bell, seconds between two looks). A procedure rings before its transaction is
committed, so one look is not enough; whoever leaves a transaction open for longer waits for `poll_interval`.
"""

DROP_GRACE = 3600.0
"""
Seconds after which a dropped stream's node that never showed up is not awaited any more: it was made and dropped in one
transaction that was rolled back. Until then each look asks for it.
"""

STARTING = 2.0
"Seconds for which connections to the server may fail before that is called a trouble: it may be about to start."

STOP_PATIENCE = 10.0
"Seconds that a worker has to finish its batch when all are to end."


class Supervisor:
    """One thread that owns all workers. Threads: `run` is the body of its thread; `stop` may be called from any."""

    def __init__(self, settings: Settings, shared: SharedState) -> None:
        self._settings = settings
        self._shared = shared
        self._workers: dict[str, tuple[Hashable, Worker]] = {}
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._rung_at = time.monotonic()
        self._catalogs = Catalogs(shared)
        self._unobstructed = False  # as of the last look
        self._server = ServerWatch(settings, shared)

    def stop(self, *, hurry: bool = False) -> None:
        """Asks for the end: workers finish their batch, or give it up if there is a hurry."""
        if hurry:
            self._hurry.set()
        self._stop.set()
        self._shared.ring()

    def run(self) -> None:
        """Until stopped: keep a connection to the server, and look, plan and act over it."""
        failures, in_touch = 0, time.monotonic()
        while not self._stop.is_set():
            try:
                with open_loopback(self._settings) as loopback:
                    if failures:
                        log.info("connected to the server")
                    failures = 0
                    self._unobstructed = False
                    self._server.connected()
                    while not self._stop.is_set():
                        self._reconcile(loopback)
                        in_touch = time.monotonic()
                        self._wait()
            except (GraphError, ProtocolError) as error:
                failures += 1
                # While the server starts its Bolt port is closed: that is no news.
                if time.monotonic() - in_touch >= STARTING:
                    port = self._settings.loopback_port
                    self._shared.trouble = f"no connection to the server at port {port}: {error}"
                level = logging.WARNING if failures in (10, 100) else logging.DEBUG
                log.log(level, "no connection to the server at port %s: %s", self._settings.loopback_port, error)
                self._stop.wait(pause(failures) / 2)
            except Exception as error:
                if interpreter_ends(error):
                    break
                failures += 1
                log.exception("the supervisor met an internal error, and continues")
                self._stop.wait(pause(failures))
        self._end_all()

    def _reconcile(self, loopback: Loopback) -> None:
        """Looks at the graph once and acts on what it says."""
        self._reap()
        obstacle, rows = self._read(loopback)
        if obstacle not in (None, self._shared.trouble):
            log.warning("streams wait: %s", obstacle)
        self._shared.trouble = obstacle
        self._unobstructed = obstacle is None
        listed = frozenset(row.key for row in rows)
        if obstacle is None:
            self._shared.seen = listed
            self._shared.keep_monitors(listed | self._workers.keys())
        wanted = {row.key: row for row in rows if self._should_run(row) or row.should_retry}
        running = {key: Running(run, worker.stopping) for key, (run, worker) in self._workers.items()}
        for action in plan({key: row.work for key, row in wanted.items()}, running):
            if isinstance(action, Start):
                self._start(loopback, wanted[action.key])
            else:
                self._workers[action.key][1].stop()
                if obstacle is None and action.key not in listed:
                    self._note_gone(self._workers[action.key][1])
        if self._workers and self._server.learn_constraints(loopback):
            for _, busy in self._workers.values():
                busy.unlabel()
        for key, row in wanted.items():
            work, worker = self._workers.get(key, (None, None))
            if worker is not None and work == row.work and row.should_retry:
                worker.retry(row.retry_requested)

    def _read(self, loopback: Loopback) -> tuple[str | None, list[StreamRow]]:
        """What keeps every stream from running, if something does; and the streams, if nothing does."""
        obstacle = self._server.obstacle(loopback)
        if obstacle is not None:
            self._shared.no_catalog = False  # on a replica one may come at any time
            return obstacle, []
        if not self._unobstructed:
            self._begin(loopback)
        try:
            rows = self._catalogs.look(loopback)
            self._shared.host.installation.note_main(row.installation for row in rows)
            self._sweep(loopback, rows)
            if rows:
                self._server.look_for_indexes(loopback)
        except SchemaError as error:
            # Not before the last worker is gone: it writes nodes of the form that it knows.
            if error.older and not self._workers:
                loopback.migrate(error)
                self._shared.ring()
            return str(error), []
        for test_execution in self._shared.test_executions():
            if not test_execution.started:
                test_execution.start(self._settings)
        return None, rows

    def _begin(self, loopback: Loopback) -> None:
        """What is done once whenever streams may run again: others may have changed the graph meanwhile."""
        self._catalogs.begin()
        for stream in loopback.find_dropped():
            self._shared.announce_dropped(stream)

    def _start(self, loopback: Loopback, row: StreamRow) -> None:
        try:
            desired = loopback.desired(row)
        except SettingError as error:
            if not row.should_run:
                self._shared.monitor(row.key).cannot_retry(str(error))
                return
            # Only an edit of the node by hand can cause this; the stream's status says so, like any other end by error.
            log.error("stream %s: its metadata node cannot be run: %s", row.properties["name"], error)  # noqa: TRY400
            loopback.end_run(row.checkpoint_id, row.properties["generation"], Status.ERROR, str(error))
            return
        monitor = self._shared.monitor(row.key)
        should_run, host = self._should_run(row), self._shared.host
        monitor.begin(only_retries=not should_run)
        status = RunStatus(desired, monitor, host.attempts if should_run else None)
        turns = Turns(
            self._shared.guard,
            (row.stream_id, row.checkpoint_id.vertex),
            monitor.waits,
            has_lanes=desired.spec.lane != WHOLE,
        )
        limit = self._limit_of(desired)
        worker = Worker(Run(desired, self._settings, host, status, turns, not should_run, batch_limit=limit))
        self._workers[row.key] = (row.work, worker)
        self._shared.forget_start(row.uid)
        worker.start()

    def _limit_of(self, desired: Desired) -> BatchLimit | None:
        """The limit of batches that the lanes of a run share; None: it has none, or only one lane."""
        if desired.limit_batches is None or desired.spec.lane == WHOLE:
            return None
        limits = (worker.batch_limit(desired) for _, worker in self._workers.values())
        return next((limit for limit in limits if limit is not None), BatchLimit(desired.limit_batches))

    def _should_run(self, row: StreamRow) -> bool:
        """Whether the stream was asked to run, and here: not where its nodes were copied from."""
        return row.should_run and self._shared.host.installation.owns(row.installation)

    def _note_gone(self, worker: Worker) -> None:
        name = worker.desired.spec.name
        if worker.desired.stream_id in self._shared.dropped():
            log.info("stream %s: dropped", name)
        else:
            log.warning("stream %s: its node is no longer in the graph: it has ended", name)

    def _reap(self) -> None:
        ended = [key for key, (_, worker) in self._workers.items() if not worker.alive]
        for key in ended:
            del self._workers[key]
            self._shared.monitor(key).end()

    def _sweep(self, loopback: Loopback, rows: list[StreamRow]) -> None:
        """Deletes the nodes of dropped streams whose worker is gone."""
        self._shared.forget_dropped_before(DROP_GRACE)
        listed = {row.stream_id for row in rows}
        busy = {worker.desired.stream_id for _, worker in self._workers.values()}
        for stream in self._shared.dropped() - busy:
            # A stream that is still listed was dropped in a transaction that is open, or was rolled back.
            if stream not in listed and loopback.sweep(stream):
                self._shared.forget_dropped(stream)

    def _wait(self) -> None:
        """Until it is time to look again."""
        since_bell = time.monotonic() - self._rung_at
        interval = next((interval for limit, interval in PATIENCE if since_bell < limit), self._settings.poll_interval)
        if self._shared.await_bell(interval):
            self._rung_at = time.monotonic()

    def _end_all(self) -> None:
        workers = [worker for _, worker in self._workers.values()]
        for worker in workers:
            worker.stop()
        for test_execution in self._shared.test_executions():
            test_execution.end(timeout=0.5)
        deadline = time.monotonic() + STOP_PATIENCE
        while any(worker.alive for worker in workers):
            if self._hurry.is_set() or time.monotonic() > deadline:
                for worker in workers:
                    worker.abort()
            for worker in workers:
                worker.join(0.05)
