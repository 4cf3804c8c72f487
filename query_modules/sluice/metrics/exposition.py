"""
Serves the metrics over HTTP, from threads beside the shim's event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from sluice.bolt.shim_settings import MetricsSettings, ShimSettings
from sluice.bolt.tally import Tally
from sluice.errors import SettingError
from sluice.metrics.shim_collector import ShimCollector
from sluice.metrics.stream_collector import StreamCollector
from sluice.metrics.stream_reader import StreamReader

log = logging.getLogger("sluice.metrics")


@contextmanager
def exposed(shim: ShimSettings, metrics: MetricsSettings, tally: Tally) -> Iterator[None]:
    """
    Answers Prometheus for as long as the context lasts.

    Raises:
        SettingError: the address cannot be listened on.
    """
    registry = CollectorRegistry()
    registry.register(ShimCollector(tally))
    registry.register(StreamCollector(StreamReader(shim, metrics).rows))
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(metrics.listen.port, metrics.listen.host, registry)
    except OSError as error:
        raise SettingError(f"cannot listen on {metrics.listen} for metrics: {error.strerror or error}") from error
    log.info("metrics: http://%s/metrics", metrics.listen._replace(port=server.server_port))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
