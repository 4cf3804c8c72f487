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
from sluice_tools.shim.settings import Address, MetricsSettings, ShimSettings
from sluice_tools.shim.statistics import Statistics

PATIENCE = 5.0
"Seconds that an answer may take, all in all. Prometheus itself waits for 10 s unless it is told otherwise."

STEP = 2.0
"Seconds that connecting, signing in and the query may take each."

COLUMNS = (
    "name, topic, status, reason, retrying, lag, total_lag, batches, messages, failed, rates, times_ms, retries, "
    "last_batch, last_error, folding"
)

INFO = f"CALL streams.info() YIELD {COLUMNS} RETURN {COLUMNS}"

Rows = list[dict[str, Any]]

log = logging.getLogger("sluice_tools.shim.metrics")


class ServerQueries:
    """
    Runs queries at the server over a connection that it keeps, since signing in is expensive.

    Threads: any; they take turns.
    """

    def __init__(self, shim: ShimSettings, metrics: MetricsSettings, statistics: Statistics) -> None:
        """
        Args:
            statistics: says which server is MAIN.
        """
        self._shim = shim
        self._metrics = metrics
        self._statistics = statistics
        self._lock = threading.Lock()  # guards the rest, during a query too
        self._connection: Connection | None = None
        self._address: Address | None = None

    def fetch(self, query: str, **parameters: Any) -> Rows:
        """
        The records of a query.

        Raises:
            SluiceError: there are none to be had.
        """
        with self._lock:
            address = self._statistics.upstream or self._shim.upstreams[0]
            kept = self._connection if address == self._address else None
            if kept is not None:
                try:
                    return kept.fetch(query, parameters, timeout=STEP)
                except ConnectionLost:
                    pass  # since the last query, it may be: another connection will tell
            self._close()
            self._connection, self._address = self._open(address), address
            return self._connection.fetch(query, parameters, timeout=STEP)

    def close(self) -> None:
        """Close the connection, unless a query is under way."""
        if self._lock.acquire(timeout=STEP):
            self._close()
            self._lock.release()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _open(self, address: Address) -> Connection:
        return Connection.open(
            *address,
            username=self._metrics.user,
            password=self._metrics.password,
            tls=self._shim.upstream_tls,
            tls_name=self._shim.upstream_name,
            timeout=STEP,
            user_agent="sluice-metrics",
        )


class StreamReader:
    """
    Reads all streams.

    Threads: any. Whoever asks while the same question is open gets the same answer.
    """

    def __init__(self, server: ServerQueries) -> None:
        self._server = server
        self._lock = threading.Lock()  # guards _readings and _fault
        self._readings: dict[str, Future[Rows]] = {}
        self._fault: str | None = None

    @property
    def fault(self) -> str | None:
        """Why the streams could not be read when they were read last; None: they could."""
        return self._fault

    def rows(self, query: str = INFO) -> Rows | None:
        """A record for each stream; None: the server cannot be asked, which the log tells when it begins and ends."""
        with self._lock:
            reading = self._readings.get(query)
            if reading is None or reading.done():
                reading = self._readings[query] = _in_a_thread(lambda: self._server.fetch(query))
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
