"""The shipped transform for Avro with a schema registry, run as a stream runs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sluice.errors import ScriptError, ServiceUnavailable, TransformError
from sluice.scripting.process import TransformProcess
from sluice.values.configuration import Configuration
from sluice.values.options import options_of
from sluice.values.record import Record, Records
from tests.hosts.host import REPOSITORY
from tests.unit.decoding.registry_server import RegistryServer
from tests.unit.decoding.test_avro import written
from tests.unit.test_transform_process import SETTINGS, transform

AVRO = (REPOSITORY / "transforms" / "avro_registry.py").read_text("utf-8")

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
SCHEMA = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "total", "type": DECIMAL},
        {"name": "customer", "type": "string"},
        {"name": "note", "type": "string"},
    ],
}
ORDER = {"id": 7, "total": b"\x04\xe2", "customer": "ann", "note": "x"}


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with RegistryServer() as server:
        server.put(SCHEMA)
        yield server


def started(url: str, timeout: float = 20.0) -> TransformProcess:
    options: dict[str, Any] = {"registry": {"url": url, "timeout": timeout}}
    return TransformProcess(transform(AVRO), SETTINGS, config=Configuration(transform=options_of(options)))


def messages(*values: bytes | None, headers: Any = ()) -> Records:
    return Records(Record(value, None, list(headers), "t", 0, n, 1) for n, value in enumerate(values))


def test_avro_records_become_orders_of_their_customers(registry: RegistryServer) -> None:
    data = written(1, SCHEMA, ORDER)
    with started(registry.url) as transform_process:
        expected = {"id": 7, "total": "12.50", "customer": "ann"}
        found = transform_process.rows(messages(data, None, data))
        assert [parameters for _, parameters in found] == [expected, expected]
        in_header = messages(data[5:], headers=[("__value_schema_id", data[:5])])
        assert transform_process.rows(in_header) == found[:1]
    assert registry.asked == ["/schemas/ids/1"]


def test_what_is_wrong_is_said_of_the_message_or_of_the_registry(registry: RegistryServer) -> None:
    with started(registry.url, 0.5) as transform_process:
        with pytest.raises(
            TransformError, match="WrongMessage: its value is not a schema registry's frame: this looks "
        ):
            transform_process.rows(messages(b"{}"))
        registry.shutdown()
        registry.server_close()
        text = f"^transform /srv/t.py: the schema registry at {registry.url}, asked for schema 2: "
        with pytest.raises(ServiceUnavailable, match=text):
            transform_process.rows(messages(b"\0\0\0\0\2x"))


def test_options_that_are_wrong_are_refused() -> None:
    with pytest.raises(ScriptError, match="refuses them: the option registry.url must begin with http:// or https://"):
        started("localhost:8081")
