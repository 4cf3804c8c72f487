"""
The streams' metrics: what `streams.info` says of each.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

STATUSES = ("stopped", "running", "error")

Rows = list[dict[str, Any]]


class StreamCollector:
    """
    Asks at each scrape. A server that cannot be asked gives `sluice_up 0`, and no streams.

    Threads: any.
    """

    def __init__(self, read: Callable[[], Rows | None]) -> None:
        """
        Args:
            read: the records of `streams.info()`; None if they cannot be had. Takes a bounded time.
        """
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """All of them, each time."""
        began = time.monotonic()
        rows = self._read()
        yield GaugeMetricFamily("sluice_up", "Whether Memgraph told how its streams do.", value=rows is not None)
        yield GaugeMetricFamily(
            "sluice_scrape_duration_seconds", "How long Memgraph took to tell.", value=time.monotonic() - began
        )
        yield from _families(rows or [])


def _families(rows: Rows) -> Iterable[Metric]:
    status = _gauge("status", "1 for the status that the stream has.", "status")
    retrying = _gauge("retrying", "Whether a running stream is trying to get over something.")
    lag = _gauge("lag_messages", "Offsets between the stream's position and the partition's end.", "topic", "partition")
    rate = _gauge("messages_per_second", "Messages that took effect, over the last minute.")
    last = _gauge("last_batch_timestamp_seconds", "When the latest transaction was committed, in Unix time.")
    stages = _counter("stage_seconds", "Where the time went since the server started.", "stage")
    counters = {
        "messages": _counter("messages", "Messages that took effect."),
        "batches": _counter("batches", "Batches that took effect."),
        "failed": _counter("failed_messages", "Messages that the stream passed without applying them."),
        "retries": _counter("retries", "New tries since the server started."),
    }
    for row in rows:
        name = row["name"]
        for candidate in STATUSES:
            status.add_metric([name, candidate], row["status"] == candidate)
        retrying.add_metric([name], row["retrying"] is not None)
        for part, known in (row["lag"] or {}).items():  # of the only topic, or of several
            each = {part: known} if isinstance(known, int) else known
            for partition, count in each.items():
                lag.add_metric([name, row["topic"] if each is not known else part, partition], count)
        rate.add_metric([name], row["rates"]["messages_per_s"])
        if row["last_batch"] is not None:
            last.add_metric([name], _unix_time(row["last_batch"]["time"]))
        for stage, spent in row["times_ms"].items():
            stages.add_metric([name, stage], spent / 1000)
        for column, family in counters.items():
            family.add_metric([name], row[column])
    return status, retrying, lag, rate, last, stages, *counters.values()


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"sluice_stream_{name}", text, labels=["stream", *labels])


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"sluice_stream_{name}", text, labels=["stream", *labels])


def _unix_time(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
