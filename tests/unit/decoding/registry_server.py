"""A schema registry in miniature, on the loopback address: it answers what was put in, as Confluent's does."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text("utf-8"))


class RegistryServer(http.server.ThreadingHTTPServer):
    """A context manager; serves while it is open."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_address[1]}"
        self.ids: dict[int, dict[str, Any]] = {}
        self.guids: dict[str, int] = {}
        self.subjects: dict[tuple[str, int], int] = {}
        self.serialized: dict[int, str] = {}
        "Schemas of Protobuf as descriptors; of the others only the text is known."
        self.failures: list[int] = []
        "Statuses of the next answers."
        self.authorization: str | None = None
        "What whoever asks has to send."
        self.drips = False
        "Whether answers never end."
        self.asked: list[str] = []

    def put(
        self, schema: Any, kind: str = "AVRO", references: list[tuple[str, str]] | None = None, **named: Any
    ) -> int:
        """
        Registers a schema; its id.

        Args:
            references: name, and subject whose version 1 it is.
            named: `subject` and `guid`, if it has them.
        """
        number = named.get("number") or len(self.ids) + 1
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.ids[number] = {
            "schema": text,
            **({} if kind == "AVRO" else {"schemaType": kind}),
            **({"references": [{"name": n, "subject": s, "version": 1} for n, s in references]} if references else {}),
        }
        if "subject" in named:
            self.subjects[named["subject"], 1] = number
        if "guid" in named:
            self.guids[named["guid"]] = number
        return number

    def put_recorded(self) -> None:
        """Registers what the recorded messages need."""
        for number, entry in RECORDED["ids"].items():
            self.put(entry["schema"], entry["schemaType"], number=int(number))
            if entry["schemaType"] == "PROTOBUF":
                self.serialized[int(number)] = entry["schema"]
                self.ids[int(number)]["schema"] = RECORDED["proto"]
        self.guids |= RECORDED["guids"]

    def answer(self, path: str) -> tuple[int, Any]:
        """Status and body for a path."""
        found = urlsplit(path)
        parts = [unquote(part) for part in found.path.split("/")[1:]]
        number: int | None = None
        if parts[:2] == ["schemas", "ids"]:
            number = int(parts[2])
        elif parts[:2] == ["schemas", "guids"]:
            number = self.guids.get(parts[2])
        elif parts[0] == "subjects" and parts[2:3] == ["versions"]:
            number = self.subjects.get((parts[1], int(parts[3])))
        else:
            return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}
        if number not in self.ids:
            return 404, {"error_code": 40403, "message": "Schema not found"}
        serialized = self.serialized.get(number) if found.query == "format=serialized" else None
        return 200, self.ids[number] | ({"schema": serialized} if serialized else {})

    def __enter__(self) -> RegistryServer:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up, as is tested, is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: RegistryServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answer(self.path)
        if self.server.failures:
            status, body = self.server.failures.pop(0), {"message": "not now"}
        if self.server.authorization not in (None, self.headers.get("Authorization")):
            status, body = 401, {"error_code": 401, "message": "Unauthorized"}
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.end_headers()
        while self.server.drips:
            self.wfile.write(b" ")
            time.sleep(0.01)
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass
