"""
What the page shows: the streams now, their last hour, and their latest errors. In memory, for as long as the shim runs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from sluice.errors import SluiceError
from sluice_tools.shim.metrics.stream_reader import STEP, Rows, ServerQueries, StreamReader
from sluice_tools.trend import Sample, Trend, in_words

FRESH = 1.0
"Seconds for which a reading is fresh enough for the page, however many look at it."

WAIT = 0.5
"Seconds that a request of the page waits for a fresh reading; it gets the last one after that."

INTERVAL = 10.0
"Seconds between two readings while nobody looks at the page, and between two points of the last hour."

POINTS = 360
"Points that are kept of each stream: an hour."

LATEST = 10
"Failed messages, and parked ones, that are read of a stream."

_COLUMNS = (
    "name, topic, status, reason, retrying, total_lag, messages, failed, rates, retries, last_error, queries, sent"
)
_FAILED, _PARKED = "time, action, topic, partition, offset, error", "topic, partition, offset, attempts, error"

PROGRESS = f"CALL streams.progress() YIELD {_COLUMNS} RETURN {_COLUMNS}"
FOLDING = "CALL streams.info($name) YIELD folding RETURN folding"
ERRORS = f"CALL streams.errors($name, {LATEST}) YIELD {_FAILED} RETURN {_FAILED}"
PARKED = f"CALL streams.parked($name, {LATEST}) YIELD {_PARKED} RETURN {_PARKED}"

log = logging.getLogger("sluice_tools.shim.metrics")


class Recorder:
    """
    Reads the streams when the page asks, and at intervals, with one query for all; and a stream's failures when they
    are others than before.

    Threads: one of its own, between `start` and `stop`. Any may ask.
    """

    def __init__(self, reader: StreamReader, server: ServerQueries) -> None:
        self._reader = reader
        self._server = server
        self._done = threading.Condition()  # guards the rest; notified of each reading
        self._readings = 0
        self._streams: dict[str, _Recorded] = {}
        self._read_at = 0.0
        self._clock = -math.inf
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sluice-page", daemon=True)
        self._detailing = threading.Lock()  # one reading of details at a time, however many look

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped = True
        self._wake.set()
        self._thread.join(STEP)  # one that waits for a server may stay behind

    def now(self) -> dict[str, Any]:
        """All streams as they are: for JSON."""
        with self._done:
            if time.monotonic() - self._clock > FRESH:
                seen = self._readings
                self._wake.set()
                self._done.wait_for(lambda: self._readings != seen, WAIT)
            streams = [stream.summary() for stream in self._streams.values()]
        return {"time": self._read_at, "fault": self._reader.fault, "streams": streams}

    def history(self) -> dict[str, Any]:
        """The last hour of all streams: name -> `[Unix time, messages per second, lag]`, oldest first."""
        with self._done:
            return {name: list(stream.points) for name, stream in self._streams.items()}

    def details(self, name: str) -> dict[str, Any] | None:
        """Failed and parked messages of a stream, and what of it is folded; None: there is no such stream."""
        with self._done:
            stream = self._streams.get(name)
        if stream is None:
            return None
        with self._detailing:
            if time.monotonic() - stream.detailed_at > FRESH:
                with suppress(SluiceError):  # it is gone by now, or the next reading will say what is wrong
                    stream.read(self._server.fetch(FOLDING, name=name))
        with self._done:
            return stream.details()

    def _run(self) -> None:
        while not self._stopped:
            began = time.monotonic()
            try:
                self._take(self._reader.rows(PROGRESS))
            except Exception:
                log.exception("metrics: a fault in recording the streams")
            self._wake.wait(max(0.0, began + INTERVAL - time.monotonic()))
            self._wake.clear()

    def _take(self, rows: Rows | None) -> None:
        now, clock = time.time(), time.monotonic()
        with self._done:
            self._readings, self._clock = self._readings + 1, clock
            self._done.notify_all()
            if rows is None:
                return
            self._streams = {row["name"]: self._streams.get(row["name"]) or _Recorded() for row in rows}
            changed = [row["name"] for row in rows if self._streams[row["name"]].take(row, now, clock)]
            self._read_at = now
        for name in changed:
            try:
                errors = self._server.fetch(ERRORS, name=name)
                parked = self._server.fetch(PARKED, name=name)
            except SluiceError:
                continue  # it is gone by now, or the next reading will say what is wrong
            with self._done:
                self._streams[name].failures = {"errors": errors, "parked": parked}


class _Recorded:
    """What is kept of one stream."""

    def __init__(self) -> None:
        self.points: deque[tuple[float, float, int | None]] = deque(maxlen=POINTS)
        self.failures: dict[str, Rows] = {"errors": [], "parked": []}
        self._trend = Trend()
        self._row: dict[str, Any] = {}
        self.detailed_at = -math.inf
        self._texts: dict[str, str] = {}
        self._seen: object = None

    def take(self, row: dict[str, Any], now: float, clock: float) -> bool:
        """The stream as it is; whether its failures may be others than before."""
        self._row = row
        self._trend.add(Sample(clock, row["messages"], row["total_lag"]))
        if not self.points or now - self.points[-1][0] >= INTERVAL - FRESH:
            self.points.append((round(now, 1), round(self._rate, 1), row["total_lag"]))
        seen, self._seen = self._seen, (row["status"], row["failed"], row["last_error"])
        return bool(row["failed"] or row["status"] == "error" or seen is not None) and seen != self._seen

    def summary(self) -> dict[str, Any]:
        row, last_error = self._row, self._row["last_error"]
        return {
            **{name: row[name] for name in ("name", "topic", "status", "reason", "messages", "failed", "retries")},
            "retrying": row["retrying"] is not None,
            "lag": row["total_lag"],
            "rate": round(self._rate, 1),
            "catch_up": in_words(self._trend.catch_up),
            "last_error": last_error and f"{last_error['time']} {last_error['error']}",
            "queries": row["queries"],
            "sent": row["sent"],
        }

    def read(self, rows: Rows) -> None:
        """What `FOLDING` has given."""
        self.detailed_at = time.monotonic()
        self._texts = rows[0]["folding"]["texts"]

    def details(self) -> dict[str, Any]:
        return {**self.failures, "texts": self._texts}

    @property
    def _rate(self) -> float:
        rate = self._trend.rate
        return float(self._row["rates"]["messages_per_s"]) if rate is None else rate
