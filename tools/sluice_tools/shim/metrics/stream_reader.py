"""
Asks the server how its streams do, in bounded time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from sluice.bolt.client import Connection
from sluice.errors import ConnectionLost, SluiceError
from sluice_tools.shim.settings import MetricsSettings, ShimSettings
from sluice_tools.shim.statistics import Statistics

PATIENCE = 5.0
"Seconds that an answer may take, all in all. Prometheus itself waits for 10 s unless it is told otherwise."

STEP = 2.0
"Seconds that connecting, signing in and the query may take each."

COLUMNS = "name, topic, status, retrying, lag, batches, messages, failed, rates, times_ms, retries, last_batch"

INFO = f"CALL streams.info() YIELD {COLUMNS} RETURN {COLUMNS}"

Rows = list[dict[str, Any]]

log = logging.getLogger("sluice_tools.shim.metrics")


class StreamReader:
    """
    Reads `streams.info` over a connection of its own, a new one each time.

    Threads: any. Whoever asks while a question is open gets the same answer.
    """

    def __init__(self, shim: ShimSettings, metrics: MetricsSettings, statistics: Statistics) -> None:
        """
        Args:
            statistics: says which server is MAIN.
        """
        self._shim = shim
        self._statistics = statistics
        self._metrics = metrics
        self._lock = threading.Lock()  # guards _reading and _fault
        self._reading: Future[Rows] | None = None
        self._fault: str | None = None

    def rows(self) -> Rows | None:
        """A record for each stream; None: the server cannot be asked, which the log tells when it begins and ends."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = _in_a_thread(self._read)
            reading = self._reading
        try:
            rows = reading.result(PATIENCE)
        except NotYet:
            self._note(f"no answer within {PATIENCE:g} s")
        except SluiceError as error:
            self._note(str(error))
        else:
            self._note(None)
            return rows
        return None

    def _read(self) -> Rows:
        shim, metrics = self._shim, self._metrics
        with Connection.open(
            *(self._statistics.upstream or shim.upstreams[0]),
            username=metrics.user,
            password=metrics.password,
            tls=shim.upstream_tls,
            tls_name=shim.upstream_name,
            timeout=STEP,
            user_agent="sluice-metrics",
        ) as connection:
            return connection.fetch(INFO, timeout=STEP)

    def _note(self, fault: str | None) -> None:
        with self._lock:
            if (fault is None) != (self._fault is None):
                if fault is None:
                    log.info("metrics: the streams can be read again")
                else:
                    log.warning("metrics: the streams cannot be read: %s", fault)
            self._fault = fault


def _in_a_thread(work: Callable[[], Rows]) -> Future[Rows]:
    """What `work` gives, some time; a thread that never ends, such as one that looks up a name, is let be."""
    future: Future[Rows] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except SluiceError as error:
            future.set_exception(error)
        except Exception as error:
            log.exception("metrics: a fault in reading the streams")
            future.set_exception(ConnectionLost(f"{type(error).__name__}: {error}"))

    threading.Thread(target=run, name="sluice-metrics", daemon=True).start()
    return future
