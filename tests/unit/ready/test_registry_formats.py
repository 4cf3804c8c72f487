"""Ready transforms for topics whose schemas are in a registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sluice import ready
from sluice.decoding.refusals import WrongMessage
from sluice.values.record import OfColumns, Record
from tests.unit.decoding.registry_server import RegistryServer
from tests.unit.decoding.test_recorded import ADA, recorded

UPSERT = "MERGE (p:Person {id: $value.id}) SET p += $value"


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        server.put_recorded()
        yield server


def queries(name: str, registry: RegistryServer, options: dict[str, Any], *messages: Record) -> list[Any]:
    """What a ready transform makes of messages; it has to ask for whole ones."""
    functions = ready.configured(name, {"registry": {"url": registry.url}, **options})
    return list(functions["stream_messages"](list(messages)))


def test_headers_are_asked_for_where_a_schema_may_be_named_in_them(registry):
    options = {"query": UPSERT, "format": "avro", "registry": {"url": registry.url}}
    function = ready.configured("cypher", options)["stream_messages"]
    assert isinstance(function, OfColumns)
    assert function.fields == ("value", "headers")


ADAS = {name: value for name, value in ADA.items() if name != "id"}
PATTERN = "(:Person {!id, name})"


@pytest.mark.parametrize("message", ["avro", "avro, id in a header"])
def test_avro(registry, message: str):
    whole = recorded(message)
    [(text, parameters)] = queries("cypher", registry, {"query": UPSERT, "format": "avro"}, whole)
    assert (text, parameters["value"]) == (UPSERT, ADA)
    [(_, parameters)] = queries("json", registry, {"label": "Person", "format": "avro"}, whole)
    assert parameters == {"value": ADA}
    [(_, parameters)] = queries("json", registry, {"label": "P", "format": "avro", "on_null": "ignore"}, whole)
    assert parameters == {"value": ADA}
    [(_, parameters)] = queries("patterns", registry, {"pattern": PATTERN, "format": "avro"}, whole)
    assert parameters["keys"] == {"id": 7}


def test_a_tombstone_is_found_by_its_key(registry):
    key = recorded("avro key, id in a header")
    tombstone = Record(None, key.value, key.headers, "t", 0, 0, None)
    options = {"format": "avro", "key_format": "avro"}
    [(text, parameters)] = queries("json", registry, {"label": "Person", **options}, tombstone)
    assert (text, parameters) == ("MATCH (n:`Person` {`id`: $key.id}) DETACH DELETE n", {"key": {"id": 7}})
    delete = "MATCH (p:Person {id: $key.id}) DETACH DELETE p"
    found = queries("cypher", registry, {"query": UPSERT, "on_null": delete, **options}, recorded("avro"), tombstone)
    assert [(query, parameters.get("key")) for query, parameters in found] == [(UPSERT, None), (delete, {"id": 7})]
    [(_, parameters)] = queries("patterns", registry, {"pattern": PATTERN, **options}, tombstone)
    assert parameters == {"keys": {"id": 7}}


def test_what_is_of_another_format_is_an_error_of_its_message(registry):
    plain = Record(b'{"id": 1}', b"k", [], "t", 0, 0, None)
    with pytest.raises(WrongMessage, match="^its value is not a schema registry's frame: this looks like JSON"):
        queries("cypher", registry, {"query": UPSERT, "format": "avro"}, plain)
    functions = ready.configured("json", {"label": "Person", "on_null": "ignore"})
    with pytest.raises(WrongMessage, match="this looks like a schema registry's frame, of schema 1: format avro, "):
        functions["stream"]([recorded("avro").value])
