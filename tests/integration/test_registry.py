"""
Formats of a schema registry, from Kafka into the graph by ready transforms: with a registry in miniature, and, in the
soak tests, with one that is really run and killed.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from tests.eventually import eventually
from tests.integration.test_kit import Run
from tests.kafka import KafkaBroker
from tests.registry import Apicurio, ApicurioUnavailable
from tests.unit.decoding.registry_server import RegistryServer

VALUE_HEADER = "__value_schema_id"
PATIENCE = 90.0

ADDRESS = {"type": "record", "name": "shop.Address", "fields": [{"name": "zip", "type": "string"}]}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 8}
TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}


def person(*more: dict[str, Any], address: Any = "shop.Address") -> dict[str, Any]:
    """Avro's schema of a person; by default one that refers to that of the address."""
    fields = [
        {"name": "id", "type": "long"},
        {"name": "owes", "type": DECIMAL},
        {"name": "seen", "type": TIMESTAMP},
        {"name": "home", "type": ["null", address]},
    ]
    return {"type": "record", "name": "shop.Person", "fields": [*fields, *more]}


def avro(schema: Any, value: Any) -> bytes:
    """A record, as fastavro writes it."""
    data = io.BytesIO()
    fastavro.schemaless_writer(data, fastavro.parse_schema(schema), value)
    return data.getvalue()


def frame(number: int) -> bytes:
    return struct.pack(">bI", 0, number)


def someone(number: int, **more: Any) -> dict[str, Any]:
    """A person, and everything about it that is in the graph."""
    return {"id": number, "owes": Decimal(number).scaleb(-8), "seen": 1_700_000_000_000 + number, "home": None, **more}


class RegistryStream:
    """A stream over a topic of its own. It creates a vertex for each message: what came twice would be there twice."""

    def __init__(self, run: Run, kafka: KafkaBroker, name: str, url: str) -> None:
        self._run = run
        self._name = name
        self._kafka = kafka
        self._url = url
        self.label = name.replace("-", "_")
        self.topic = kafka.topics.create()

    def start(self, form: str, *paths: str, **options: Any) -> None:
        """
        CREATE, with the policy to skip what cannot be applied, and START.

        Args:
            paths: of the value, each for a property of its name: not all hosts have maps as properties.
        """
        properties = "".join(f", n.`{path}` = $value.{path}" for path in paths)
        query = f"CREATE (n:{self.label}) SET n.offset = $offset{properties}"
        transform = {"query": query, "format": form, "registry": {"url": self._url, "timeout": 1}, **options}
        self._run(
            "CALL streams.create($name, $uri, $topic, 'sluice:cypher', 100, 10, $config)",
            name=self._name,
            uri=self._kafka.bootstrap,
            topic=self.topic,
            config={"on_error": "skip", "transform": transform},
        )
        self._run("CALL streams.start($name)", name=self._name)

    def send(self, *values: bytes, **headers: bytes) -> None:
        self._kafka.topics.produce(self.topic, list(values), headers=list(headers.items()))

    def info(self) -> dict[str, Any]:
        [row] = self._run(
            "CALL streams.info($name) YIELD status, reason, failed RETURN status, reason, failed", name=self._name
        )
        return dict(row)

    def vertices(self, *names: str) -> list[tuple[Any, ...]]:
        """These properties of all that was created, in the order of the topic."""
        columns = ", ".join(f"n.`{name}` AS `{name}`" for name in ("offset", *names))
        rows = self._run(f"MATCH (n:{self.label}) RETURN {columns}")
        return [tuple(row[name] for name in names) for row in sorted(rows, key=lambda row: row["offset"])]

    def await_vertices(self, names: Sequence[str], expected: list[tuple[Any, ...]]) -> None:
        """Waits until all are there, each once, and none was skipped."""
        eventually(lambda: self.vertices(*names), equals=expected, timeout=PATIENCE)
        assert self.info()["failed"] == 0


OpenStream = Callable[[str], RegistryStream]


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, new_stream_name: Callable[[], str]) -> OpenStream:
    return lambda url: RegistryStream(run, kafka, new_stream_name(), url)


def test_a_registry_that_is_away_is_waited_for_and_no_message_is_skipped(stream: OpenStream) -> None:
    with RegistryServer() as registry:
        registry.put(person(address=ADDRESS))
        port = registry.server_address[1]
        people = stream(registry.url)
        first = [frame(1) + avro(person(address=ADDRESS), someone(n)) for n in range(25)]
        people.send(*first)
        people.start("avro", "id", "nick")
        people.await_vertices(("id",), [(n,) for n in range(25)])
    newer = person({"name": "nick", "type": "string"}, address=ADDRESS)
    people.send(first[0], *(frame(2) + avro(newer, someone(n, nick="x")) for n in range(1, 12)))
    reason = f"the schema registry at http://127.0.0.1:{port}, asked for schema 2: Connection refused"
    eventually(lambda: reason in str(people.info()["reason"]), timeout=PATIENCE)
    assert people.info()["status"] == "running"
    with RegistryServer(port=port) as registry:
        registry.put(person(address=ADDRESS))
        registry.put(newer)
        expected = [(n, None) for n in range(25)] + [(0, None)] + [(n, "x") for n in range(1, 12)]
        people.await_vertices(("id", "nick"), expected)


@pytest.fixture(scope="module")
def apicurio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    try:
        server = Apicurio(tmp_path_factory.mktemp("apicurio"))
    except ApicurioUnavailable as error:
        pytest.skip(str(error))
    server.start()
    yield server
    server.stop()


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_avro_with_logical_types_evolution_references_and_ids_in_headers(
    stream: OpenStream, apicurio: Apicurio
) -> None:
    apicurio.put("address", ADDRESS)
    references = [("shop.Address", "address")]
    older = apicurio.put("person", person(), references=references)
    nick = {"name": "nick", "type": ["null", "string"], "default": None}
    newer = apicurio.put("person", person(nick), references=references)
    people = stream(apicurio.url)
    whole, whole_newer = person(address=ADDRESS), person(nick, address=ADDRESS)
    people.send(*(frame(older) + avro(whole, someone(n, home={"zip": f"z{n}"})) for n in range(100)))
    people.send(*(frame(newer) + avro(whole_newer, someone(n, nick=f"n{n}")) for n in range(100, 200)))
    people.send(avro(whole, someone(200)), **{VALUE_HEADER: frame(older)})
    paths = ("id", "owes", "seen", "home.zip", "nick")
    people.start("avro", *paths)
    expected = [
        (n, f"0.{n:08}", f"2023-11-14T22:13:20.{n:03}Z", None if n >= 100 else f"z{n}",
         f"n{n}" if 100 <= n < 200 else None)
        for n in range(201)
    ]  # fmt: skip
    people.await_vertices(paths, expected)


PROTO = """
syntax = "proto3";
package shop;
import "common.proto";
import "google/protobuf/timestamp.proto";
message Order {
  int64 id = 1;
  common.Money total = 2;
  google.protobuf.Timestamp at = 3;
  Kind kind = 4;
  message Line { string sku = 1; }
  enum Kind { NEW = 0; PAID = 1; }
}
message Refund { int64 id = 1; optional string why = 2; }
"""
COMMON = 'syntax = "proto3"; package common; message Money { string currency = 1; int64 cents = 2; }'


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_protobuf_with_references_and_several_messages(stream: OpenStream, apicurio: Apicurio) -> None:
    apicurio.put("common.proto", COMMON, "PROTOBUF")
    number = apicurio.put("order", PROTO, "PROTOBUF", [("common.proto", "common.proto")])
    orders = stream(apicurio.url)
    # By hand: 1 id, 2 total {1 currency, 2 cents}, 3 at {1 seconds}, 4 kind; the second message of the file is [1].
    money = b"\x12\x08\x0a\x03EUR\x10\xd2\x09"
    orders.send(*(frame(number) + b"\0\x08" + bytes([n]) + money + b"\x1a\x02\x08\x3c\x20\x01" for n in range(1, 100)))
    orders.send(frame(number) + b"\x02\x02\x08\x64")
    paths = ("id", "total.currency", "total.cents", "at", "kind")
    orders.start("protobuf", *paths)
    expected: list[tuple[Any, ...]] = [(n, "EUR", 1234, "1970-01-01T00:01:00.000000Z", "PAID") for n in range(1, 100)]
    orders.await_vertices(paths, [*expected, (100, None, None, None, None)])


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_json_that_is_compared_with_its_schema(stream: OpenStream, apicurio: Apicurio) -> None:
    draft = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    apicurio.put("zip", {**draft, "properties": {"zip": {"type": "string"}}}, "JSON")
    schema = {**draft, "properties": {"home": {"$ref": "zip.json"}, "id": {"type": "integer"}}, "required": ["id"]}
    number = apicurio.put("json-person", schema, "JSON", [("zip.json", "zip")])
    people = stream(apicurio.url)
    people.send(*(frame(number) + json.dumps({"id": n, "home": {"zip": "8"}}).encode() for n in range(50)))
    people.start("jsonschema", "id", "home.zip", validate=True)
    people.await_vertices(("id", "home.zip"), [(n, "8") for n in range(50)])
    people.send(frame(number) + b'{"id": 1, "home": {"zip": 8}}')
    eventually(lambda: people.info()["failed"], equals=1, timeout=PATIENCE)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_registry_that_is_killed_and_comes_back_costs_no_message_and_repeats_none(
    stream: OpenStream, apicurio: Apicurio
) -> None:
    numbers = [apicurio.put(f"killed-{n}", person({"name": f"v{n}", "type": "int"}, address=ADDRESS)) for n in range(4)]
    people = stream(apicurio.url)

    def send(version: int, first: int) -> None:
        schema = person({"name": f"v{version}", "type": "int"}, address=ADDRESS)
        values = [{**someone(n), f"v{version}": n} for n in range(first, first + 50)]
        people.send(*(frame(numbers[version]) + avro(schema, value) for value in values))

    send(0, 0)
    people.start("avro", "id")
    for version in range(1, 4):
        people.await_vertices(("id",), [(n,) for n in range(50 * version)])
        apicurio.kill()
        send(version, 50 * version)
        eventually(lambda: "the schema registry at" in str(people.info()["reason"]), timeout=PATIENCE)
        assert people.info()["status"] == "running"
        apicurio.start()
    people.await_vertices(("id",), [(n,) for n in range(200)])
