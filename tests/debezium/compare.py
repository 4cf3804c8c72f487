"""The shop's tables and a graph: the options that make one of the other, and the comparison of both, row by row."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.debezium.postgres import Postgres

Shown = tuple[Counter[Any], Counter[Any]]
"Vertices, and relationships as (type, vertex, vertex) with the keys of the vertices alone."

LABELS = {
    "customers": "Customer",
    "products": "Product",
    "orders": "Order",
    "Order Items": "Order Item",
    "shipments": "Shipment",
}
KEYS = {
    "customers": ("id",),
    "products": ("sku",),
    "orders": ("order_number",),
    "Order Items": ("order_number", "line"),
    "shipments": ("id",),
}
REFERENCES: Mapping[str, list[tuple[tuple[str, ...], str, str]]] = {
    "orders": [(("customer",), "customers", "PLACED_BY"), (("referrer",), "customers", "REFERRED_BY")],
    "Order Items": [(("order_number",), "orders", "PART_OF"), (("sku",), "products", "OF")],
    "shipments": [(("order_number", "line"), "Order Items", "OF")],
}
TYPES = {
    "customers": {
        **{"balance": "decimal(2)", "amounts": "decimal(3)[]", "score": "float"},
        **{"joined": "date", "created_at": "timestamptz", "local_ts": "timestamp", "opens": "time", "wait": "interval"},
    },
    "products": {"price": "decimal(2)"},
    "orders": {"placed": "timestamptz"},
}
"What the events' schemas would say."


def options(prefix: str, *, types: bool) -> dict[str, Any]:
    """
    The options of `sluice:debezium` for the shop.

    Args:
        prefix: of the labels.
        types: whether to name the types of columns.
    """
    tables = {
        table: {
            "label": prefix + label,
            "key": list(KEYS[table]),
            "types": TYPES.get(table, {}) if types else {},
            "references": [
                {"columns": list(columns), "table": other, "type": kind}
                for columns, other, kind in REFERENCES.get(table, [])
            ],
        }
        for table, label in LABELS.items()
    }
    return {"tables": {**tables, "debezium_signal": None}}


_COLUMNS = {
    "customers": """id, name, "Post Code", vip, score::text AS score, balance::text AS balance,
        trim_scale(anynum)::text AS anynum,
        joined::text AS joined, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS created_at,
        to_char(local_ts, 'YYYY-MM-DD"T"HH24:MI:SS.US') AS local_ts, to_char(opens, 'HH24:MI:SS.US') AS opens,
        (extract(epoch FROM wait) * 1000000)::bigint AS wait, uid, encode(photo, 'hex') AS photo, tags,
        amounts::text[] AS amounts, prefs::text AS prefs, bio""",
    "products": "sku, title, price::text AS price, stock",
    "orders": """order_number, customer, referrer, status,
        to_char(placed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS placed""",
    "Order Items": "*",
    "shipments": "*",
}


def rows_of(postgres: Postgres) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows now, with values as `in_graph` shows those of a graph."""
    phone = postgres.rows("SELECT 1 AS there FROM information_schema.columns WHERE column_name = 'phone'")
    return {
        table: [
            _as_in_graph(row)
            for row in postgres.rows(
                f'SELECT {columns}{", phone" if phone and table == "customers" else ""} FROM "{table}"'
            )
        ]
        for table, columns in _COLUMNS.items()
    }


def _as_in_graph(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("photo"):
        row["photo"] = base64.b64encode(bytes.fromhex(row["photo"])).decode()
    if row.get("score"):
        row["score"] = str(float(row["score"]))
    return {column: value for column, value in row.items() if value is not None}


def expected(rows: Mapping[str, list[dict[str, Any]]]) -> Shown:
    """What a graph has to hold of these rows."""
    vertices: Counter[Any] = Counter()
    edges: Counter[Any] = Counter()
    for table, found in rows.items():
        for row in found:
            vertices[LABELS[table], _frozen(row)] += 1
            mine = (LABELS[table], tuple(row[column] for column in KEYS[table]))
            for columns, other, kind in REFERENCES.get(table, []):
                values = tuple(row.get(column) for column in columns)
                if None not in values:
                    edges[kind, mine, (LABELS[other], values)] += 1
    return vertices, edges


def in_graph(run: Any, prefix: str) -> Shown:
    """
    What a graph holds of the shop, and what else it has with the labels of keys.

    Args:
        run: runs a query and gives its rows, as `Host.run`.
        prefix: of the labels.
    """
    vertices: Counter[Any] = Counter()
    edges: Counter[Any] = Counter()
    for table, label in LABELS.items():
        found = run(f"MATCH (n:`{prefix}{label}__key`) RETURN labels(n) AS labels, properties(n) AS properties")
        for row in found:
            labels = sorted(one.removeprefix(prefix) for one in row["labels"] if one != f"{prefix}{label}__key")
            vertices["+".join(labels), _frozen(row["properties"])] += 1
        for _, other, kind in REFERENCES.get(table, []):
            keys = [("n", one) for one in KEYS[table]] + [("m", one) for one in KEYS[other]]
            returned = ", ".join(f"{variable}.`{key}` AS {variable}_{key}" for variable, key in keys)
            for row in run(
                f"MATCH (n:`{prefix}{label}__key`)-[r:{kind}]->(m:`{prefix}{LABELS[other]}__key`) RETURN {returned}"
            ):
                ends = {
                    variable: tuple(row[f"{variable}_{key}"] for one, key in keys if one == variable)
                    for variable in ("n", "m")
                }
                edges[kind, (label, ends["n"]), (LABELS[other], ends["m"])] += 1
    return vertices, edges


def difference(held: Shown, wanted: Shown) -> list[str]:
    """What is too much and what is missing; empty if nothing."""
    names = ("vertex", "relationship")
    return [
        f"{sign} {name} {item}"
        for name, have, want in zip(names, held, wanted, strict=True)
        for sign, more in (("too much:", have - want), ("missing:", want - have))
        for item in more.elements()
    ]


def _frozen(properties: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, _plain(value)) for name, value in properties.items()))


def _plain(value: Any) -> Any:
    """A value that can be compared: those of time as texts, a duration in microseconds, NaN equal to itself."""
    kind = type(value).__name__
    if kind == "Duration":
        return (value.days * 86_400 + value.seconds) * 1_000_000 + value.nanoseconds // 1000
    if kind == "Date":
        return value.iso_format()
    if kind in ("Time", "DateTime"):
        whole, _, fraction = value.iso_format().partition(".")
        return f"{whole}.{fraction[:6]:0<6}"
    if isinstance(value, list):
        return tuple(map(_plain, value))
    return str(value) if isinstance(value, float) else value
