"""`sluice:debezium`: what Debezium sends, and the queries that it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluice import ready
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.folding import FOLDED, explain
from tests.unit.ready import Rows, message, queries

PLACED_BY = {"columns": "purchaser", "table": "customers", "type": "PLACED_BY"}
TABLES: dict[str, Any] = {
    "customers": {"label": "Customer", "key": "id"},
    "orders": {"label": "Order", "key": ["number"], "references": [PLACED_BY]},
}
SHOP: dict[str, Any] = {"tables": TABLES}

UPSERT = "MERGE (n:`Customer__key` {`id`: $_id}) SET n:`Customer`, n.`name` = $_name"
EMPTIED = "MATCH (n:`Customer__key` {`id`: $_id}) SET n = {`id`: $_id} SET n:DebeziumReleased REMOVE n:`Customer`"
RELEASED = "MATCH (n:`Customer__key`:`DebeziumReleased`)"
SWEPT: Rows = [
    (
        f"{RELEASED} WHERE NOT n:`Customer` OPTIONAL MATCH (n)<-[r:`PLACED_BY`]-() WITH n, r WHERE r IS NULL "
        "DETACH DELETE n",
        {},
    ),
    (f"{RELEASED} REMOVE n:`DebeziumReleased`", {}),
]
ORDER = "(n:`Order__key` {`number`: $_number})"
UPSERT_ORDER = f"MERGE {ORDER} SET n:`Order`, n.`purchaser` = $_purchaser"
EDGE = f"MATCH {ORDER}-[r:`PLACED_BY`]->(m:`Customer__key`)"
RELEASE_OTHERS = f"{EDGE} WHERE m.`id` <> $_purchaser SET m:DebeziumReleased DELETE r"
RELEASE_ALL = f"{EDGE} SET m:DebeziumReleased DELETE r"
CONNECT = f"MATCH {ORDER} MERGE (m:`Customer__key` {{`id`: $_purchaser}}) MERGE (n)-[:`PLACED_BY`]->(m)"
DELETE_ORDER = f"MATCH {ORDER} DETACH DELETE n"

UNAVAILABLE = "__debezium_unavailable_value"


def event(op: str, table: str, after: Any = None, before: Any = None, schema: str = "public") -> dict[str, Any]:
    """An envelope."""
    return {"op": op, "before": before, "after": after, "source": {"schema": schema, "table": table}, "ts_ms": 1}


def customer(op: str, **row: Any) -> Any:
    """An event of a customer; its key is 7."""
    return message(event(op, "customers", {"id": 7, **row} if op != "d" else None, {"id": 7}), {"id": 7})


def order(op: str, purchaser: int | None, before: Any = None) -> Any:
    """An event of an order; its number is 1."""
    after = None if op == "d" else {"number": 1, "purchaser": purchaser}
    return message(event(op, "orders", after, before), {"number": 1})


def with_schema(payload: Any, name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    """As the JSON converter writes it with `schemas.enable`."""
    return {"schema": {"type": "struct", "fields": fields, "optional": False, "name": name}, "payload": payload}


@pytest.mark.parametrize("op", ["c", "r", "u"])
def test_a_row_is_written_alike_whatever_the_operation(op: str):
    swept = SWEPT if op == "u" else []
    assert queries("debezium", SHOP, customer(op, name="Ann")) == [(UPSERT, {"_id": 7, "_name": "Ann"})]
    assert queries("debezium", SHOP, order(op, 7)) == [
        (RELEASE_OTHERS, {"_number": 1, "_purchaser": 7}),
        (UPSERT_ORDER, {"_number": 1, "_purchaser": 7}),
        (CONNECT, {"_number": 1, "_purchaser": 7}),
        *swept,
    ]
    assert queries("debezium", SHOP, order(op, None)) == [
        (RELEASE_ALL, {"_number": 1}),
        (UPSERT_ORDER, {"_number": 1, "_purchaser": None}),
        *swept,
    ]


def test_an_update_that_is_known_to_keep_its_foreign_keys_sweeps_nothing():
    kept = order("u", 7, before={"number": 1, "purchaser": 7})
    moved = order("u", 7, before={"number": 1, "purchaser": 8})
    assert [text for text, _ in queries("debezium", SHOP, kept)] == [RELEASE_OTHERS, UPSERT_ORDER, CONNECT]
    assert queries("debezium", SHOP, moved)[-2:] == SWEPT


def test_deleted_rows():
    gone = [(EMPTIED, {"_id": 7}), *SWEPT]
    assert queries("debezium", SHOP, customer("d")) == gone
    tombstone = message(None, {"id": 7}, topic="shop.public.customers")
    assert queries("debezium", SHOP, tombstone) == gone
    assert queries("debezium", SHOP, customer("d"), tombstone) == gone
    assert queries("debezium", SHOP, customer("d"), customer("c", name="Ann")) == [
        gone[0],
        (UPSERT, {"_id": 7, "_name": "Ann"}),
        *SWEPT,
    ]
    # Nothing refers to orders.
    assert queries("debezium", SHOP, order("d", None)) == [
        (RELEASE_ALL, {"_number": 1}),
        (DELETE_ORDER, {"_number": 1}),
        *SWEPT,
    ]


def test_messages_about_one_row_become_one_change_of_it():
    changes = [
        customer("c", name="Ann", bio="long"),
        customer("u", name="Bob", bio=UNAVAILABLE),
        customer("u", vip=True),
    ]
    text = f"{UPSERT}, n.`bio` = $_bio, n.`vip` = $_vip"
    assert queries("debezium", SHOP, *changes) == [(text, {"_id": 7, "_name": "Bob", "_bio": "long", "_vip": True})]


@pytest.mark.parametrize(
    "value",
    [
        UNAVAILABLE,
        "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",  # bytea
        [UNAVAILABLE],
        list(UNAVAILABLE.encode()),
        {UNAVAILABLE: UNAVAILABLE},
        ["5e4f9a0f-0ee0-3aa5-a5e0-000000000000"],
    ],
    ids=["text", "bytes", "array of texts", "array of numbers", "hstore", "another uuid"],
)
def test_a_column_that_the_log_does_not_have_is_left_alone(value: Any):
    found = queries("debezium", SHOP, customer("u", name="Ann", bio=value))
    is_other = value == ["5e4f9a0f-0ee0-3aa5-a5e0-000000000000"]
    assert found == [
        (f"{UPSERT}, n.`bio` = $_bio", {"_id": 7, "_name": "Ann", "_bio": value})
        if is_other
        else (UPSERT, {"_id": 7, "_name": "Ann"})
    ]


def test_the_placeholder_may_be_another():
    options = {**SHOP, "unavailable_value": "hex:2121"}
    assert queries("debezium", options, customer("u", name="Ann", bio="!!")) == [(UPSERT, {"_id": 7, "_name": "Ann"})]


def test_columns_that_are_not_there_stay_away():
    assert queries("debezium", SHOP, customer("u")) == [
        ("MERGE (n:`Customer__key` {`id`: $_id}) SET n:`Customer`", {"_id": 7})
    ]
    # An order of before its foreign key had been added, or after it was dropped.
    bare = message(event("u", "orders", {"number": 1}), {"number": 1})
    assert queries("debezium", SHOP, bare)[0] == (f"MERGE {ORDER} SET n:`Order`", {"_number": 1})


def test_names_are_only_names():
    odd = "x`) DETACH DELETE (n"
    options = {"tables": {"odd": {"label": odd, "key": "Post Code", "properties": {"a b": "c`"}}}}
    row = {"Post Code": "1 AB", "a b": 1, "größe": 2, "select": 3, odd: 4}
    [(text, parameters)] = queries("debezium", options, message(event("c", "odd", row), {"Post Code": "1 AB"}))
    quoted = odd.replace("`", "``")
    assert text == (
        f"MERGE (n:`{quoted}__key` {{`Post Code`: $_0}}) SET n:`{quoted}`, n.`c``` = $_1, n.`größe` = $_2, "
        f"n.`select` = $_select, n.`{quoted}` = $_4"
    )
    assert parameters == {"_0": "1 AB", "_1": 1, "_2": 2, "_select": 3, "_4": 4}
    assert explain(text) == FOLDED


def test_tables_that_no_option_names_have_the_keys_of_their_events():
    events = [
        message(event("c", "orders", {"id": 1, "n": 2, "v": 3}, schema=schema), {"id": 1, "n": 2})
        for schema in ("public", "audit")
    ]
    parameters = {"_id": 1, "_n": 2, "_v": 3}
    assert queries("debezium", {}, *events) == [
        ("MERGE (n:`orders__key` {`id`: $_id, `n`: $_n}) SET n:`orders`, n.`v` = $_v", parameters),
        ("MERGE (n:`audit.orders__key` {`id`: $_id, `n`: $_n}) SET n:`audit.orders`, n.`v` = $_v", parameters),
    ]
    [removed, *_] = queries("debezium", {}, message(None, {"id": 1, "n": 2}, topic="shop.audit.orders"))
    assert removed[0].startswith("MATCH (n:`audit.orders__key` {`id`: $_id, `n`: $_n})")
    with pytest.raises(
        WrongMessage, match="the events of the table logs have no key: name its columns in the option key"
    ):
        queries("debezium", {}, message(event("c", "logs", {"line": "x"})))


def test_a_key_that_is_not_the_primary_one_may_change():
    options = {"tables": {"customers": {"label": "Customer", "key": "email", "columns": ["name"]}}}
    moved = message(event("u", "customers", {"id": 7, "email": "b"}, {"id": 7, "email": "a"}), {"id": 7})
    vertex = "(n:`Customer__key` {`email`: $_email})"
    assert queries("debezium", options, moved)[:2] == [
        (f"MATCH {vertex} SET n = {{`email`: $_email}} SET n:DebeziumReleased REMOVE n:`Customer`", {"_email": "a"}),
        (f"MERGE {vertex} SET n:`Customer`", {"_email": "b"}),
    ]


def test_a_changed_primary_key_hands_on_what_the_log_lacks():
    headers = [("__debezium.newkey", b'{"id":8}')]
    gone = message(event("d", "customers", None, {"id": 7}), {"id": 7}, headers=headers)
    come = message(event("c", "customers", {"id": 8, "name": "Ann", "bio": UNAVAILABLE}), {"id": 8})
    old, new = "(o:`Customer__key` {`id`: $o_0})", "(n:`Customer__key` {`id`: $n_0})"
    moved = f"MATCH {old} MERGE {new} WITH o, n WHERE NOT n:`Customer` SET n += o SET n.`id` = $n_0"
    assert queries("debezium", SHOP, customer("u", name="Ann"), gone, come) == [
        (UPSERT, {"_id": 7, "_name": "Ann"}),
        (moved, {"o_0": 7, "n_0": 8}),
        (EMPTIED, {"_id": 7}),
        (UPSERT, {"_id": 8, "_name": "Ann"}),
        *SWEPT,
    ]


def test_what_was_before_changes_nothing_where_the_events_say_the_key():
    before, after = {"id": 7, "name": "Ann"}, {"id": 7, "name": "Bob"}
    [(text, parameters)] = queries("debezium", {}, message(event("u", "customers", after, before), {"id": 7}))
    assert parameters == {"_id": 7, "_name": "Bob"}


def test_foreign_keys_of_two_columns():
    options = {
        "tables": {
            "items": {"label": "Item", "key": ["order", "line"], "properties": {"line": "position"}},
            "parcels": {
                "label": "Parcel",
                "key": "id",
                "references": [{"columns": ["o", "l"], "table": "items", "type": "OF"}],
            },
        }
    }
    whole, half = (
        queries("debezium", options, message(event("r", "parcels", {"id": 1, "o": 2, "l": line}), {"id": 1}))
        for line in (3, None)
    )
    found = "MATCH (n:`Parcel__key` {`id`: $_id})"
    edge = f"{found}-[r:`OF`]->(m:`Item__key`)"
    given = {"_id": 1, "_o": 2, "_l": 3}
    assert whole[0] == (f"{edge} WHERE m.`order` <> $_o OR m.`position` <> $_l SET m:DebeziumReleased DELETE r", given)
    assert whole[2] == (
        f"{found} MERGE (m:`Item__key` {{`order`: $_o, `position`: $_l}}) MERGE (n)-[:`OF`]->(m)",
        given,
    )
    assert half[0] == (f"{edge} SET m:DebeziumReleased DELETE r", {"_id": 1})
    assert len(half) == 2


def test_truncated_tables():
    assert queries("debezium", SHOP, message(event("t", "orders"))) == [
        ("MATCH (n:`Order`)-[r:`PLACED_BY`]->(m:`Customer__key`) SET m:DebeziumReleased DELETE r", {}),
        ("MATCH (n:`Order`) DETACH DELETE n", {}),
        *SWEPT,
    ]
    assert queries("debezium", SHOP, customer("c", name="Ann"), message(event("t", "customers"))) == [
        (UPSERT, {"_id": 7, "_name": "Ann"}),
        ("MATCH (n:`Customer`) SET n = {`id`: n.`id`} SET n:DebeziumReleased REMOVE n:`Customer`", {}),
        *SWEPT,
    ]


HEARTBEAT = message({"ts_ms": 1}, {"serverName": "shop"}, topic="__debezium-heartbeat.shop")
ENDED = {"status": "END", "id": "5:7", "event_count": 1, "data_collections": [], "ts_ms": 1}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(HEARTBEAT, id="heartbeat"),
        pytest.param(
            message(with_schema({"ts_ms": 1}, "io.debezium.connector.common.Heartbeat", [])), id="with schema"
        ),
        pytest.param(message(ENDED, {"id": "5:7"}, topic="shop.transaction"), id="end of a transaction"),
        pytest.param(message({"op": "m", "message": {"prefix": "x"}, "source": {}}), id="message of the log"),
        pytest.param(message(None, {"number": 1}, topic="two.all"), id="tombstone of any table"),
        pytest.param(message(None, None, topic="shop.public.orders"), id="nothing at all"),
        pytest.param(message(None, {"id": 1}, topic="shop.public.others"), id="tombstone of a table without options"),
        pytest.param(message(event("c", "signal", {"id": 1}), {"id": 1}), id="a table that is passed over"),
    ],
)
def test_messages_that_are_passed_over(given: Any):
    assert queries("debezium", {"tables": {**TABLES, "public.signal": None}}, given) == []


def test_tombstones_of_topics_whose_names_are_not_those_of_their_tables():
    options = {"tables": {"Order Items": {"key": "id"}, "größe": {"key": "id"}}}

    def removed(**given: Any) -> Rows:
        return queries("debezium", options, message(**{"value": None, "key": {"id": 1}, **given}))

    assert removed(topic="shop.public.Order_Items")[0][0].startswith("MATCH (n:`Order Items__key`")
    assert removed(topic="shop.public.gr__e")[0][0].startswith("MATCH (n:`größe__key`")
    key = {"id": 1, "__dbz__physicalTableIdentifier": "shop.public.Order_Items"}
    assert removed(topic="two.all", key=key)[0][0].startswith("MATCH (n:`Order Items__key` {`id`: $_id})")
    key = with_schema({"id": 1}, "shop.public.Order_Items.Key", [{"field": "id", "type": "int32"}])
    assert removed(topic="two.all", key=key)[0][0].startswith("MATCH (n:`Order Items__key`")
    assert removed(topic="two.all") == []


def test_a_tombstone_in_a_topic_of_several_tables_is_passed_over():
    other, both = (
        [message(event("c", table, {"id": 7}), {"id": 7}, topic="shop.public.order_items") for table in tables]
        for tables in (["customers"], ["order_items", "order items"])
    )
    tombstone = message(None, {"id": 7}, topic="shop.public.order_items")
    assert len(queries("debezium", {}, *other, tombstone)) == 1
    assert len(queries("debezium", {}, *both, tombstone)) == 2


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"topic": "shop.public.customers"}, id="by the topic"),
        pytest.param({"topic": "customers"}, id="by a routed topic"),
        pytest.param({"topic": "any"}, id="by the option topics"),
        pytest.param({"topic": "x", "headers": [("__table", b"customers"), ("__schema", b"public")]}, id="by headers"),
    ],
)
def test_rows_without_an_envelope(given: dict[str, Any]):
    options = {**SHOP, "topics": {"any": "public.customers"}}
    row = {"id": 7, "name": "Ann", "__op": "u", "__source_ts_ms": 5}
    found = queries("debezium", options, message(row, {"id": 7}, **given))
    assert found == [(UPSERT, {"_id": 7, "_name": "Ann"})]
    gone = [(EMPTIED, {"_id": 7}), *SWEPT]
    assert queries("debezium", options, message({**row, "__deleted": "true"}, {"id": 7}, **given)) == gone
    if "headers" not in given:
        for null in (None, b"null"):
            assert queries("debezium", options, message(null, {"id": 7}, **given)) == gone


def test_a_row_without_an_envelope_may_say_its_table_itself():
    row = {"id": 7, "name": "Ann", "__source_table": "customers", "__deleted": "false"}
    assert queries("debezium", SHOP, message(row, {"id": 7}, topic="all")) == [(UPSERT, {"_id": 7, "_name": "Ann"})]
    with pytest.raises(
        WrongMessage, match=r"it has no envelope, and the topic all does not say of which table: name it"
    ):
        queries("debezium", {}, message({"id": 7}, {"id": 7}, topic="all"))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            message(b"\0\0\0\0\5x", {"id": 1}),
            "its value is not JSON: Expecting .*a schema registry's frame, of schema 5",
        ),
        (message(b"\xff", {"id": 1}), "its value is not UTF-8 text .byte 0.$"),
        (message(event("c", "customers", {"id": 1}), b"{"), "its key is not JSON"),
        (message([1], {"id": 1}), "its value is neither an event nor a row, but an array"),
        (message(event("x", "customers", {"id": 1}), {"id": 1}), "the table customers with the operation 'x'"),
        (message(event("c", "customers"), {"id": 1}), "the operation 'c' that has no row"),
        (message(event("c", "customers", {"id": None}), {"id": None}), "the key id of the table customers is null"),
        (message(event("c", "goods", {"id": 1}), {"id": 1}), "the option tables does not name the table goods: add"),
    ],
)
def test_messages_that_are_refused(given: Any, reason: str):
    with pytest.raises(WrongMessage, match=reason):
        queries("debezium", SHOP, given)


def table(**settings: Any) -> dict[str, Any]:
    return {"tables": {"a": {"key": "id", **settings}, "b": {"key": ["x", "y"]}}}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tabels": {}}, "unknown option tabels; there are"),
        ({"tables": {"a": {"lable": "A"}}}, "the table a in the option tables: unknown option lable"),
        ({"tables": {"a": {"label": ""}}}, "the table a in the option tables: the option label must be a text"),
        ({"tables": {"a": {}, "public.a": {}}}, "the option tables has a twice"),
        ({"tables": {"a": {"label": "X"}, "b": {"label": "X"}}}, "gives the label X to two tables"),
        ({"tables": {"a": 1}}, "must be a map or null, got 1"),
        ({"other_tables": "all"}, "the option other_tables must be one of error, ignore, apply"),
        (table(types={"x": "money"}), "the type of x must be one of date, .*, got 'money'"),
        (table(references={"x": "b"}), "the option references must be a list of maps"),
        (table(references=[{"columns": "x", "table": "c", "type": "T"}]), "the option tables does not name that table"),
        (table(references=[{"columns": "x", "table": "b", "type": "T"}]), "has 1 columns, and the key .* 2"),
        (
            table(references=[{"columns": ["x", "y"], "table": "b", "type": "T", "to": ["x", "z"]}]),
            "the reference of a to b goes by x, z, and the key of b is x, y",
        ),
        (
            table(references=[{"columns": [one, "y"], "table": "b", "type": "T"} for one in ("x", "z")]),
            "the table a has two references of type T to b",
        ),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], reason: str):
    with pytest.raises(WrongOption, match=reason):
        ready.configured("debezium", options)


@pytest.mark.parametrize("name", ["toast", "dropped_column", "null_default", "resnapshot", "resnapshot_null"])
def test_all_that_is_written_is_folded(name: str):
    folder = Path(__file__).parent / "debezium"
    tables = {**TABLES, "orders": {**TABLES["orders"], "key": "order_number"}}
    value, key = ((folder / f"{name}.{part}").read_bytes() for part in ("value", "key"))
    found = queries("debezium", {"tables": tables}, message(value, key))
    written = [text for text, _ in found if "DETACH" not in text and "REMOVE n:`DebeziumReleased`" not in text]
    assert {explain(text) for text in written} == {FOLDED}
    absent = {"toast": "`bio`", "dropped_column": "`vip`"}.get(name)
    assert not any(absent in text for text in written if absent)
