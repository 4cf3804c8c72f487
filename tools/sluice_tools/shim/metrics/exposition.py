"""
Serves the metrics over HTTP, from threads beside the shim's event loop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from sluice.errors import SettingError
from sluice_tools.shim.metrics.http_server import PooledServer
from sluice_tools.shim.metrics.shim_collector import ShimCollector
from sluice_tools.shim.metrics.stream_collector import StreamCollector
from sluice_tools.shim.metrics.stream_reader import StreamReader
from sluice_tools.shim.settings import MetricsSettings, ShimSettings
from sluice_tools.shim.statistics import Statistics

log = logging.getLogger("sluice_tools.shim.metrics")


@contextmanager
def exposed(shim: ShimSettings, metrics: MetricsSettings, statistics: Statistics) -> Iterator[None]:
    """
    Answers Prometheus for as long as the context lasts.

    Raises:
        SettingError: the address cannot be listened on.
    """
    registry = CollectorRegistry()
    registry.register(ShimCollector(statistics))
    registry.register(StreamCollector(StreamReader(shim, metrics, statistics).rows))
    ProcessCollector(registry=registry)
    try:
        server = PooledServer(metrics.listen.host, metrics.listen.port, make_wsgi_app(registry))
    except OSError as error:
        raise SettingError(f"cannot listen on {metrics.listen} for metrics: {error.strerror or error}") from error
    thread = threading.Thread(target=server.serve_forever, name="sluice-metrics", daemon=True)
    thread.start()
    log.info("metrics: http://%s/metrics", metrics.listen._replace(port=server.server_port))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
