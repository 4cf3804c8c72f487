"""
Runs one stream: Kafka, batch, transform, one transaction.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import threading
from collections.abc import Mapping
from typing import Any

from sluice import nodes
from sluice.consumer import Batch, Consumer
from sluice.errors import CommitUnknown, FenceLost, SluiceError
from sluice.jail import Jail, Stopped
from sluice.loopback import Loopback
from sluice.model import Checkpoint, Desired, Status
from sluice.reporter import Progress
from sluice.settings import Settings
from sluice.sink import Sink

log = logging.getLogger("sluice.worker")

FIRST_PAUSE = 0.1
"Seconds before the first new try after something that may pass."
LONGEST_PAUSE = 5.0


class Worker:
    """
    Runs one stream: one thread, one consumer, one transform process, one connection to the database.

    Threads: the worker's thread alone touches those. Any thread may call start, stop, join and alive.

    A worker is used once. It ends when it is told to, when its limit of batches is reached, or by an error that
    trying again would not cure; the last two it writes into the checkpoint. Everything else (broker away, server
    restarting, conflicts) it tries again, for ever.
    """

    def __init__(self, desired: Desired, settings: Settings) -> None:
        self.desired = desired
        self._settings = settings
        self._failures = 0  # in a row; the worker's thread alone
        self._stop = threading.Event()
        self._progress: Mapping[int, int] = {}  # replaced, never changed: any thread may read it
        self._lock = threading.Lock()  # guards _loopback
        self._loopback: Loopback | None = None
        self._thread = threading.Thread(target=self._run, name=f"Cons#{desired.spec.name}"[:15], daemon=True)

    def start(self) -> None:
        """Begins to run; once."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the worker to end after the batch in flight. Returns at once."""
        self._stop.set()

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
    def progress(self) -> Progress:
        """How far the stream is in the graph, as far as this worker has brought it. Threads: any."""
        spec = self.desired.spec
        return Progress(spec.name, spec.uri, spec.topic, self._progress)

    def _run(self) -> None:
        name = self.desired.spec.name
        while not self._stop.is_set():
            try:
                self._session()
            except Stopped:
                break
            except (CommitUnknown, FenceLost) as error:
                # Whatever happened to the batch, the checkpoint tells, and a new session begins by reading it.
                log.warning("stream %s: %s; going on from the checkpoint", name, error)
            except SluiceError as error:
                if not error.retryable:
                    self._end(Status.ERROR, str(error))
                    break
                log.warning("stream %s: %s; trying again", name, error)
            except Exception as error:
                log.exception("stream %s: stopped by an error of its own", name)
                self._end(Status.ERROR, f"{type(error).__name__}: {error}")
                break
            else:
                break
            self._failures += 1
            self._stop.wait(pause(self._failures))
        log.info("stream %s: ended", name)

    def _session(self) -> None:
        """Runs until told to stop, until the limit, or until something goes wrong."""
        spec = self.desired.spec
        with (
            self._open_loopback() as loopback,
            Consumer(spec.name, spec.uri, spec.topic, self._settings) as consumer,
            Jail(spec.transform, self._settings, self._stop.is_set) as jail,
        ):
            sink = Sink(loopback.connection, self.desired.checkpoint_id)
            held = loopback.read_checkpoint(self.desired.checkpoint_id)
            if held.ended_generation == self.desired.generation:
                return
            consumer.assign(consumer.partitions(), held.positions)
            log.info(
                "stream %s: running, topic %s from %s", spec.name, spec.topic, dict(held.positions) or "its beginning"
            )
            while not self._limit_reached(held):
                batch = consumer.poll_batch(spec.batch_size, spec.batch_interval, self._stop.is_set)
                if batch is None:
                    return
                queries = jail.pack(batch.payloads)
                reached = self._after(held, batch)
                sink.write(queries, held, self._properties(reached))
                held = reached
                self._failures = 0
                self._progress = held.positions

    def _open_loopback(self) -> Loopback:
        loopback = Loopback(self._settings)
        with self._lock:
            self._loopback = loopback
        return loopback

    def _after(self, held: Checkpoint, batch: Batch) -> Checkpoint:
        """The checkpoint behind `batch`."""
        return dataclasses.replace(
            held,
            positions={**held.positions, **batch.end},
            batches=held.batches + 1,
            messages=held.messages + len(batch.payloads),
            generation=self.desired.generation,
            generation_batches=held.batches_in(self.desired.generation) + 1,
        )

    def _properties(self, reached: Checkpoint) -> dict[str, Any]:
        """What the checkpoint node is to hold; with the last batch of a limit, also that the run has ended."""
        properties = nodes.checkpoint_properties(reached)
        if self._limit_reached(reached):
            properties |= nodes.ended_properties(self.desired.generation, Status.STOPPED, None)
        return properties

    def _limit_reached(self, checkpoint: Checkpoint) -> bool:
        limit = self.desired.limit_batches
        return limit is not None and checkpoint.batches_in(self.desired.generation) >= limit

    def _end(self, status: Status, error: str) -> None:
        """Writes how the run ended, however long the server takes to be there for it."""
        name = self.desired.spec.name
        log.error("stream %s: stopped: %s", name, error)
        failures = 0
        while not self._stop.is_set():
            try:
                with self._open_loopback() as loopback:
                    loopback.end_run(self.desired.checkpoint_id, self.desired.generation, status, error)
            except SluiceError as refusal:
                failures += 1
                log.warning("stream %s: cannot write down why it stopped: %s; trying again", name, refusal)
                self._stop.wait(pause(failures))
            else:
                return


def pause(failures: int) -> float:
    """
    Seconds to wait after so many failures in a row: doubled each time up to a limit, of which a random part at least
    the half.

    The random part keeps streams that failed together from trying again together.
    """
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 16))
    return random.uniform(longest / 2, longest)
