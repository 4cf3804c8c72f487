"""A small web server for transform scripts, which a test can slow down, redirect and turn off."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.ports import free_port


@dataclass(frozen=True)
class Answer:
    """What to send for a path; `delay` in seconds, before the first byte."""

    body: bytes = b""
    status: int = 200
    location: str | None = None
    delay: float = 0.0


class ScriptServer:
    """
    Serves texts on the loopback, everything else with 404, and counts the requests.

    Threads: one accepts, one more per request; any thread may call any method.

    States: on -> turn_off -> off -> turn_on -> on, at the same port.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._lock = threading.Lock()  # guards _answers and _requests
        self._answers: dict[str, Answer] = {}
        self._requests: Counter[str] = Counter()
        self._closing = threading.Event()  # ends the delays
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def url(self, path: str) -> str:
        """The address of `path`, which begins with a slash or not."""
        return f"http://127.0.0.1:{self.port}{_key(path)}"

    def serve(self, path: str, text: str | bytes, status: int = 200) -> str:
        """Answer `path` with `text` from now on; returns its address."""
        body = text.encode() if isinstance(text, str) else text
        return self._set(path, Answer(body, status))

    def redirect(self, path: str, to: str) -> str:
        """Answer `path` with 302 and the address `to`; returns its address."""
        return self._set(path, Answer(status=302, location=to))

    def delay(self, path: str, seconds: float) -> None:
        """Let what `path` has been given to answer wait first; turning off ends the wait."""
        with self._lock:
            answer = self._answers[_key(path)]
            self._answers[_key(path)] = Answer(answer.body, answer.status, answer.location, seconds)

    def count(self, path: str) -> int:
        """How many requests for `path` there have been, answered or not."""
        with self._lock:
            return self._requests[_key(path)]

    def turn_on(self) -> None:
        """Listen, at the same port as before."""
        self._closing.clear()
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="script-server")
        self._thread.start()

    def turn_off(self) -> None:
        """Refuse connections, when the answers under way are given. Does nothing if it is off."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        self._closing.set()
        server.shutdown()
        self._thread.join()
        server.server_close()

    def _set(self, path: str, answer: Answer) -> str:
        with self._lock:
            self._answers[_key(path)] = answer
        return self.url(path)

    def _answer(self, path: str) -> Answer:
        with self._lock:
            self._requests[path] += 1
            answer = self._answers.get(path, Answer(b"no such script\n", 404))
        self._closing.wait(answer.delay)
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scripts = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = scripts._answer(self.path)
                self.send_response(answer.status)
                if answer.location is not None:
                    self.send_header("Location", answer.location)
                self.send_header("Content-Type", "text/x-python")
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for the answers under way

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up, as one with a timeout does, is no error here."""


def _key(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
