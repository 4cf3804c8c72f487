"""
The page for people beside the metrics: its files, and what they ask for, as JSON. Read-only.

Nothing is loaded from elsewhere, and texts of the server's reach the page as JSON, never as HTML.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sluice_tools.shim.metrics.recorder import Recorder

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

FOLDER = Path(__file__).with_name("page")

FILES = {"/": "page.html", "/page.css": "page.css", "/page.js": "page.js"}

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"

HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


def with_page(recorder: Recorder, others: Application) -> Application:
    """
    An application that serves the page at `/`, and leaves other paths to `others`.

    A request to a host's name is refused, but for localhost: a web site could have a name of its own lead here, and its
    page would then read what is served.
    """
    files = {path: (KINDS[Path(name).suffix], (FOLDER / name).read_bytes()) for path, name in FILES.items()}

    def answer(path: str, query: str) -> tuple[str, bytes] | None:
        if path in files:
            return files[path]
        if path == "/streams.json":
            return _json(recorder.now())
        if path == "/history.json":
            return _json(recorder.history())
        if path == "/stream.json":
            return _json(recorder.details(parse_qs(query).get("name", [""])[0]))
        return None

    def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        found = answer(environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
        if found is None:
            return others(environ, start)
        status = "200 OK"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, found = "405 Method Not Allowed", ("text/plain", b"read-only\n")
        elif not is_here(environ.get("HTTP_HOST", "")):
            status, found = "403 Forbidden", ("text/plain", b"use localhost or a numeric address\n")
        kind, content = found
        start(status, [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(content))), *HEADERS])
        return [content]

    return serve


def is_here(host: str) -> bool:
    """Whether the Host of a request is localhost or a number."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _json(value: object) -> tuple[str, bytes]:
    return "application/json", json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
