"""Debezium's change events, from Kafka into the graph, by the shipped transform."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.host import REPOSITORY
from tests.integration.configured import Configured
from tests.integration.test_kit import Run
from tests.kafka import KafkaBroker

SCRIPT = (REPOSITORY / "transforms" / "debezium.py").read_text("utf-8")


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]) -> Configured:
    # A tombstone names its table by its topic only.
    topic = kafka.topics.create(f"shop-{uuid.uuid4().hex[:8]}.public.customers")
    return Configured(run, kafka, tmp_path, new_stream_name(), topic=topic)


def customer(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "first_name": name, "last_name": "Thomas", "email": None}


def order(number: int, purchaser: int | None, quantity: int = 1) -> dict[str, Any]:
    return {"order_number": number, "purchaser": purchaser, "quantity": quantity}


def test_rows_and_foreign_keys_are_in_the_graph_as_they_are_in_the_database(stream: Configured) -> None:
    events: list[tuple[dict[str, int], str, str, Any, Any]] = [
        *(({"id": n}, "r", "customers", None, customer(n, f"c{n}")) for n in range(1, 8)),
        *(({"order_number": n}, "r", "orders", None, order(n, n)) for n in range(1, 8)),
        ({"id": 2}, "u", "customers", customer(2, "c2"), customer(2, "renamed")),
        ({"order_number": 3}, "u", "orders", order(3, 3), order(3, 1)),  # another purchaser
        ({"order_number": 4}, "u", "orders", order(4, 4), order(4, None, 5)),  # none any more
        ({"order_number": 5}, "u", "orders", order(5, 5), order(5, 5, 9)),
        ({"order_number": 6}, "d", "orders", order(6, 6), None),
        ({"id": 7}, "d", "customers", customer(7, "c7"), None),
        ({"order_number": 8}, "c", "orders", None, order(8, 9)),  # before its purchaser
        ({"id": 9}, "c", "customers", None, customer(9, "late")),
    ]
    for key, op, table, before, after in events:
        value = {"op": op, "before": before, "after": after, "source": {"table": table}}
        stream.kafka.topics.produce(stream.topic, [json.dumps(value)], key=json.dumps(key))
    stream.kafka.topics.produce(stream.topic, [None], key=json.dumps({"id": 7}))
    # The labels are those of the script, made this test's own.
    own = SCRIPT.replace('"Customer"', '"CustomerLABEL"').replace('"Order"', '"OrderLABEL"')
    stream.configured(None, own, size=100)
    stream.start()
    stream.await_position(len(events) + 1)
    label = stream.label
    customers = stream.run(f"MATCH (c:Customer{label}) RETURN c.id AS id, c.first_name AS name ORDER BY id")
    assert [(row["id"], row["name"]) for row in customers] == [
        (1, "c1"), (2, "renamed"), (3, "c3"), (4, "c4"), (5, "c5"), (6, "c6"), (9, "late"),
    ]  # fmt: skip
    orders = stream.run(
        f"MATCH (o:Order{label}) OPTIONAL MATCH (o)-[:PLACED_BY]->(c:Customer{label}) "
        "RETURN o.order_number AS number, o.quantity AS quantity, c.id AS purchaser ORDER BY number, purchaser"
    )
    assert [(row["number"], row["quantity"], row["purchaser"]) for row in orders] == [
        (1, 1, 1), (2, 1, 2), (3, 1, 1), (4, 5, None), (5, 9, 5), (7, 1, None), (8, 1, 9),
    ]  # fmt: skip
