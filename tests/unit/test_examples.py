"""The shipped transforms for Debezium and for Avro with a schema registry, run as a stream runs them."""

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
from sluice.folding import explain
from sluice.host.settings import Settings
from sluice.scripting.process import TransformProcess
from sluice.values.record import Record, Records
from tests.hosts.host import REPOSITORY
from tests.unit.test_transform_process import transform

SETTINGS = Settings(transform_timeout=20.0)
TRANSFORMS = REPOSITORY / "transforms"
DEBEZIUM = (TRANSFORMS / "debezium.py").read_text("utf-8")
AVRO = (TRANSFORMS / "avro_registry.py").read_text("utf-8")

Rows = list[tuple[str, dict[str, Any]]]


def messages(*given: tuple[Any, Any] | bytes | None, topic: str = "shop.public.customers") -> Records:
    """Messages; of a pair, key and value are JSON."""
    pairs = [pair if isinstance(pair, tuple) else (None, pair) for pair in given]
    return Records(Record(_data(value), _data(key), [], topic, 0, n, 1) for n, (key, value) in enumerate(pairs))


def _data(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else json.dumps(value).encode()


def event(op: str, table: str, before: Any, after: Any) -> dict[str, Any]:
    return {"op": op, "before": before, "after": after, "source": {"table": table, "db": "shop"}, "ts_ms": 1}


SALLY = {"id": 1001, "first_name": "Sally", "last_name": "Thomas", "email": None, "secret": "not kept"}
ANN = {"id": 1001, "first_name": "Ann", "last_name": "Kretchmar", "email": "ann@example.com", "secret": "not kept"}
ORDER = {"order_number": 7, "purchaser": 1001, "quantity": 2}

UPSERT = "MERGE (n:Customer {id: $id}) SET n.first_name = $first_name SET n.last_name = $last_name SET n.email = $email"
DELETE = "MATCH (n:Customer {id: $id}) DETACH DELETE n"
UPSERT_ORDER = "MERGE (n:Order {order_number: $order_number}) SET n.quantity = $quantity"
DELETE_ORDER = "MATCH (n:Order {order_number: $order_number}) DETACH DELETE n"
DISCONNECT = "MATCH (n:Order {order_number: $order_number})-[r:PLACED_BY]->() DELETE r"
CONNECT = (
    "MATCH (n:Order {order_number: $order_number}) MERGE (m:Customer {id: $purchaser}) MERGE (n)-[:PLACED_BY]->(m)"
)
CUSTOMER, NUMBER = {"id": 1001}, {"order_number": 7}


def kept(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a customer that the example keeps."""
    return {name: value for name, value in row.items() if name != "secret"}


@pytest.fixture(scope="module")
def debezium() -> Iterator[TransformProcess]:
    with TransformProcess(transform(DEBEZIUM), SETTINGS) as transform_process:
        yield transform_process


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(event("c", "customers", None, SALLY), [(UPSERT, kept(SALLY))], id="create"),
        pytest.param(event("r", "customers", None, SALLY), [(UPSERT, kept(SALLY))], id="snapshot"),
        pytest.param(event("u", "customers", SALLY, ANN), [(UPSERT, kept(ANN))], id="update"),
        pytest.param(event("d", "customers", SALLY, None), [(DELETE, CUSTOMER)], id="delete"),
        pytest.param(event("d", "customers", None, None), [(DELETE, CUSTOMER)], id="delete, before unknown"),
        pytest.param(None, [(DELETE, CUSTOMER)], id="tombstone"),
        pytest.param(event("m", "customers", None, None), [], id="a message in the log"),
    ],
)
@pytest.mark.parametrize("schemas", [False, True], ids=["plain", "with schemas"])
def test_debezium_rows(debezium, given, expected, schemas):
    key: dict[str, Any] = {"id": 1001}
    if schemas:
        key = {"schema": {"type": "struct"}, "payload": key}
        given = None if given is None else {"schema": {"type": "struct"}, "payload": given}
    assert debezium.rows(messages((key, given))) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(ORDER, {**ORDER, "quantity": 3}, ["upsert", "connect"], id="the same purchaser"),
        pytest.param(ORDER, {**ORDER, "purchaser": 5}, ["upsert", "disconnect", "connect"], id="another"),
        pytest.param(ORDER, {**ORDER, "purchaser": None}, ["upsert", "disconnect"], id="none any more"),
        pytest.param(None, ORDER, ["upsert", "disconnect", "connect"], id="before unknown"),
    ],
)
def test_debezium_references(debezium, before, after, expected):
    texts = {"upsert": UPSERT_ORDER, "disconnect": DISCONNECT, "connect": CONNECT}
    parameters = {
        "upsert": {**NUMBER, "quantity": after["quantity"]},
        "disconnect": NUMBER,
        "connect": {**NUMBER, "purchaser": after["purchaser"]},
    }
    rows = debezium.rows(messages(({"order_number": 7}, event("u", "orders", before, after))))
    assert rows == [(texts[name], parameters[name]) for name in expected]


def test_debezium_names_what_it_does_not_know(debezium):
    with pytest.raises(TransformError, match="an event with the operation 't', which this transform"):
        debezium.rows(messages(({"id": 1}, event("t", "customers", None, None))))
    with pytest.raises(TransformError, match="KeyError: 'invoices'"):
        debezium.rows(messages(({"id": 1}, event("c", "invoices", None, {"id": 1}))))


def test_debezium_folds(debezium):
    texts = (UPSERT, DELETE, UPSERT_ORDER, DELETE_ORDER, DISCONNECT, CONNECT)
    assert {explain(query) for query in texts} == {"folded"}
    snapshot: list[tuple[Any, Any]] = []
    mixed: list[tuple[Any, Any]] = []
    for n in range(500):
        order = {"order_number": n, "purchaser": n, "quantity": 1}
        rows = [
            ({"id": n}, event("r", "customers", None, {**SALLY, "id": n})),
            ({"order_number": n}, event("r", "orders", None, order)),
        ]
        snapshot += rows
        mixed += rows
        if n % 5 == 0:
            mixed.append(({"order_number": n}, event("u", "orders", order, {**order, "quantity": 2})))
        if n % 50 == 0:
            mixed.append(({"order_number": n}, event("d", "orders", order, None)))
    folded = [debezium.pack([messages(*given)], fold=True) for given in (snapshot, mixed)]
    assert [(queries.given, queries.error) for queries in folded] == [(1500, None), (1500 + 200 + 10, None)]
    assert folded[0].size == 3
    assert folded[1].size < 100


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
