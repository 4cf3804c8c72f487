"""
A small HTTP server for a page that a few ask for: bounded in threads, in clients that wait, and in how long one of them
may keep silent.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

MAX_THREADS = 4
"Requests that are answered at a time."

MAX_CLIENTS = 64
"... and those that wait for a thread, all in all. One more is closed at once."

SILENCE = 5.0
"Seconds that a client may send nothing, or take nothing."


class PooledServer(WSGIServer):
    """
    Threads: `serve_forever` runs on the caller's, requests on `MAX_THREADS` of its own.
    """

    request_queue_size = MAX_CLIENTS

    def __init__(self, host: str, port: int, application: Callable[..., Any]) -> None:
        """
        Raises:
            OSError: the address cannot be listened on.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        self._free = BoundedSemaphore(MAX_CLIENTS)
        self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="sluice-metrics")
        super().__init__(found[0][4][:2], _Handler)  # type: ignore[arg-type]
        self.set_app(application)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._pool.submit(self._answer, request, client_address)

    def server_close(self) -> None:
        super().server_close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client is gone, or was silent for too long
        finally:
            self.shutdown_request(request)
            self._free.release()


class _Handler(WSGIRequestHandler):
    timeout = SILENCE

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class has
        """Log nothing."""

    def address_string(self) -> str:
        """The client's number; a name would have to be looked up."""
        return str(self.client_address[0])
