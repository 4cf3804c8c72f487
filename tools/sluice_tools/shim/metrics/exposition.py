"""
Serves the metrics, and the page for people, over HTTP, from threads beside the shim's event loop.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from sluice.errors import SettingError
from sluice_tools.shim.metrics.http_server import PooledServer
from sluice_tools.shim.metrics.pages import Application, with_page
from sluice_tools.shim.metrics.recorder import Recorder
from sluice_tools.shim.metrics.shim_collector import ShimCollector
from sluice_tools.shim.metrics.stream_collector import StreamCollector
from sluice_tools.shim.metrics.stream_reader import ServerQueries, StreamReader
from sluice_tools.shim.settings import MetricsSettings, ShimSettings
from sluice_tools.shim.statistics import Statistics

log = logging.getLogger("sluice_tools.shim.metrics")


@contextmanager
def exposed(shim: ShimSettings, metrics: MetricsSettings, statistics: Statistics) -> Iterator[None]:
    """
    Answers Prometheus, and browsers if there is to be a page, for as long as the context lasts.

    Raises:
        SettingError: the address cannot be listened on.
    """
    queries = ServerQueries(shim, metrics, statistics)
    reader = StreamReader(queries)
    registry = CollectorRegistry()
    registry.register(ShimCollector(statistics))
    registry.register(StreamCollector(reader.rows))
    ProcessCollector(registry=registry)
    application: Application = make_wsgi_app(registry)
    with ExitStack() as ending:
        ending.callback(queries.close)
        recorder = Recorder(reader, queries)
        if metrics.page:
            application = with_page(recorder, application)
        try:
            server = PooledServer(metrics.listen.host, metrics.listen.port, application)
        except OSError as error:
            raise SettingError(f"cannot listen on {metrics.listen} for metrics: {error.strerror or error}") from error
        if metrics.page:
            recorder.start()
            ending.callback(recorder.stop)
        thread = threading.Thread(target=server.serve_forever, name="sluice-metrics", daemon=True)
        thread.start()
        ending.callback(_stop, server, thread)
        here = metrics.listen._replace(port=server.server_port)
        log.info("metrics: http://%s/metrics%s", here, f", and a page at http://{here}/" if metrics.page else "")
        yield


def _stop(server: PooledServer, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()
