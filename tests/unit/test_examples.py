"""The shipped transform for Avro with a schema registry, run as a stream runs it."""

from __future__ import annotations

import base64
import datetime
import decimal
import http.server
import io
import json
import struct
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import pytest

from sluice.errors import ScriptError, TransformError
from sluice.host.settings import Settings
from sluice.scripting.process import TransformProcess
from sluice.values.record import Record, Records
from tests.hosts.host import REPOSITORY
from tests.unit.test_transform_process import transform

SETTINGS = Settings(transform_timeout=20.0)
TRANSFORMS = REPOSITORY / "transforms"
AVRO = (TRANSFORMS / "avro_registry.py").read_text("utf-8")


def messages(*values: bytes | None) -> Records:
    """Messages without keys."""
    return Records(Record(value, None, [], "people", 0, n, 1) for n, value in enumerate(values))


SCHEMA = {
    "type": "record",
    "name": "Person",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "seen", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "owes", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "raw", "type": "bytes"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
OLDER = {"type": "record", "name": "Person", "fields": SCHEMA["fields"][:2]}
ADA = {
    "id": 7,
    "name": "Ada",
    "seen": datetime.datetime(2026, 11, 26, 10, tzinfo=datetime.timezone.utc),
    "owes": decimal.Decimal("12.50"),
    "uuid": uuid.UUID(int=5),
    "raw": b"\xff\x00",
    "tags": ["a", "b"],
}


class Registry(http.server.ThreadingHTTPServer):
    """A schema registry in miniature."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Mapping[str, Any]] = {}
        self.failures = 0
        "How many requests are answered by 503 before the first that is not."
        self.asked: list[tuple[str, str | None]] = []

    @property
    def source(self) -> str:
        """The script, looking for schemas here."""
        return AVRO.replace("http://localhost:8081", f"http://127.0.0.1:{self.server_address[1]}")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        answer = self.server.answers.get(self.path)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
        elif answer is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        server.answers = {
            "/schemas/ids/1": {"schema": json.dumps(OLDER)},
            "/schemas/ids/70000": {"schema": json.dumps(SCHEMA), "schemaType": "AVRO"},
            "/schemas/ids/3": {"schema": "syntax = 'proto3';", "schemaType": "PROTOBUF"},
            "/schemas/ids/4": {"schema": json.dumps(OLDER), "references": [{"name": "x"}]},
        }
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def encoded(schema_id: int, schema: Mapping[str, Any], record: Mapping[str, Any]) -> bytes:
    """A record in the registry's wire format."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, record)
    return struct.pack(">bI", 0, schema_id) + body.getvalue()


def test_avro_records_become_upserts_and_a_schema_is_fetched_once(registry):
    old = encoded(1, OLDER, {"id": 1, "name": None})
    with TransformProcess(transform(registry.source), SETTINGS) as transform_process:
        rows = transform_process.rows(messages(old, None, encoded(70000, SCHEMA, ADA), old))
        transform_process.rows(messages(old))
        queries = transform_process.pack([messages(*[old] * 100)], fold=True)
    upsert = "MERGE (n:Entity {id: $id}) SET n += $properties"
    ada = {
        "name": "Ada",
        "seen": "2026-11-26T10:00:00+00:00",
        "owes": "12.50",
        "uuid": "00000000-0000-0000-0000-000000000005",
        "raw": base64.b64encode(b"\xff\x00").decode(),
        "tags": ["a", "b"],
    }
    assert rows == [
        (upsert, {"id": 1, "properties": {"name": None}}),
        (upsert, {"id": 7, "properties": ada}),
        (upsert, {"id": 1, "properties": {"name": None}}),
    ]
    assert [path for path, _ in registry.asked] == ["/schemas/ids/1", "/schemas/ids/70000"]
    assert (queries.given, queries.size) == (100, 1)


def test_avro_asks_again_where_the_registry_is_away_for_a_moment(registry, tmp_path: Path):
    secret = tmp_path / "registry-password"
    secret.write_text("me:hunter2\n")
    registry.failures = 2
    source = registry.source.replace('AUTH_FILE = ""', f"AUTH_FILE = {str(secret)!r}")
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        assert len(transform_process.rows(messages(encoded(1, OLDER, {"id": 1, "name": "x"})))) == 1
    basic = "Basic " + base64.b64encode(b"me:hunter2").decode()
    assert registry.asked == [("/schemas/ids/1", basic)] * 3


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param(b"{}", "no Avro in a registry's wire format: it begins with b'{}'", id="JSON"),
        pytest.param(b"\x00\x00\x00\x00\x09x", "it answers 404", id="unknown id"),
        pytest.param(b"\x00\x00\x00\x00\x03x", "schema 3 is PROTOBUF, not Avro", id="another kind"),
        pytest.param(b"\x00\x00\x00\x00\x04x", "schema 4 refers to others", id="references"),
        pytest.param(b"\x00\x00\x00\x00\x01", "EOFError", id="cut short"),
    ],
)
def test_avro_says_what_is_wrong_with_a_message(registry, message, reason):
    with (
        TransformProcess(transform(registry.source), SETTINGS) as transform_process,
        pytest.raises(TransformError) as caught,
    ):
        transform_process.rows(messages(message))
    assert reason in str(caught.value)


def test_avro_without_its_registry():
    source = AVRO.replace("http://localhost:8081", "http://127.0.0.1:1")
    with TransformProcess(transform(source), SETTINGS) as transform_process, pytest.raises(TransformError) as caught:
        transform_process.rows(messages(b"\x00\x00\x00\x00\x01x"))
    assert "the schema registry, asked for http://127.0.0.1:1/schemas/ids/1: no answer: " in str(caught.value)


def test_avro_says_what_it_needs():
    with pytest.raises(ScriptError, match="ImportError: fastavro is missing: pip install fastavro into the Python"):
        TransformProcess(transform(AVRO.replace("import fastavro", "import fastavro_that_is_not_there")), SETTINGS)
