"""
The shim's own metrics.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from sluice import __version__
from sluice_tools.shim.statistics import Statistics


class ShimCollector:
    """
    What a `Statistics` says, whenever it is asked.

    Threads: any.
    """

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        """All of them, each time."""
        statistics = self._statistics
        yield InfoMetricFamily("sluice_shim", "The shim.", value={"version": __version__})
        yield GaugeMetricFamily("sluice_shim_open_connections", "Clients that are connected.", value=statistics.open)
        yield CounterMetricFamily(
            "sluice_shim_accepted_connections", "Clients that have connected.", value=statistics.accepted
        )
        refused = CounterMetricFamily(
            "sluice_shim_refused_connections",
            "Clients that were reset: there were too many (limit), or Memgraph could not be reached (upstream).",
            labels=["reason"],
        )
        refused.add_metric(["limit"], statistics.refused_for_limit)
        refused.add_metric(["upstream"], statistics.refused_for_server)
        yield refused
        upstream = GaugeMetricFamily(
            "sluice_shim_upstream", "1 for the server that clients are connected to.", labels=["server"]
        )
        if statistics.upstream is not None:
            upstream.add_metric([str(statistics.upstream)], 1)
        yield upstream
        received = CounterMetricFamily(
            "sluice_shim_received_bytes", "Bytes of Bolt that came from clients, and from Memgraph.", labels=["origin"]
        )
        received.add_metric(["client"], statistics.from_clients.bytes)
        received.add_metric(["server"], statistics.from_server.bytes)
        yield received
        clauses = CounterMetricFamily("sluice_shim_clauses", "Stream clauses that came by.", labels=["clause"])
        failed = CounterMetricFamily(
            "sluice_shim_failed_clauses", "Stream clauses that were answered by an error.", labels=["clause"]
        )
        for family, counts in ((clauses, dict(statistics.clauses)), (failed, dict(statistics.failed_clauses))):
            for clause, count in counts.items():
                family.add_metric([clause], count)
            yield family
