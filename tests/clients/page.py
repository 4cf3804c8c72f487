"""
The neo4j driver in a page, in a real browser: it asks its own web server for queries, and gives that the answers.
"""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.javascript import node_folder

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

DRIVER = "node_modules/neo4j-driver-6/lib/browser/neo4j-web.min.js"

PATIENCE = 60.0
"Seconds for an answer; the browser has to start before the first."

PAGE = """<!doctype html><script src="/driver.js"></script><script>
const driver = neo4j.driver('%s', undefined, {disableLosslessIntegers: true, telemetryDisabled: true});
async function answer({query, parameters}) {
  const session = driver.session();
  try {
    const {records} = await session.run(query, parameters);
    const columns = records.length ? records[0].keys : [];
    return {columns, rows: records.map(record => record.keys.map(key => record.get(key)))};
  } catch (error) {
    return {error: error.message};
  } finally {
    await session.close();
  }
}
(async () => {
  for (;;) {
    const asked = await (await fetch('/query')).json();
    await fetch('/answer', {method: 'POST', body: JSON.stringify(await answer(asked))});
  }
})();
</script>"""


class Page:
    """The page's web server. A context manager."""

    def __init__(self) -> None:
        self.queries: queue.Queue[bytes] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self.html = ""
        self.script = (node_folder() / DRIVER).read_bytes()
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = page.given(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html" if self.path == "/" else "text/javascript")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                page.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def given(self, path: str) -> bytes:
        """What is there; waits for the next query."""
        if path == "/query":
            return self.queries.get()
        return {"/": self.html.encode(), "/driver.js": self.script}.get(path, b"")

    def __enter__(self) -> Page:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.queries.put(b"")  # to a request that waits, whose browser is gone
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def opened(self, port: int, folder: Path) -> Iterator[Page]:
        """A browser has it open, with a driver for the server at that port."""
        assert BROWSER
        self.html = PAGE % f"bolt://127.0.0.1:{port}"
        command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        command += [f"--user-data-dir={folder / 'browser'}", self.origin]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                yield self
            finally:
                browser.terminate()

    def ask(self, query: str, parameters: Mapping[str, Any] | None) -> Any:
        """Its answer."""
        self.queries.put(json.dumps({"query": query, "parameters": parameters or {}}).encode())
        return self.answers.get(timeout=PATIENCE)
