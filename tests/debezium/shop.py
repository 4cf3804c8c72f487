"""A shop of five tables: its schema, and random changes of its rows."""

from __future__ import annotations

import random
from collections.abc import Mapping

SCHEMA = """
CREATE TABLE customers (
    id bigint PRIMARY KEY, name text, "Post Code" text, vip boolean, score double precision,
    balance numeric(12, 2), anynum numeric, joined date, created_at timestamptz, local_ts timestamp(6), opens time(6),
    wait interval, uid uuid, photo bytea, tags text[], amounts numeric(8, 3)[], prefs jsonb, bio text
);
ALTER TABLE customers ALTER COLUMN bio SET STORAGE EXTERNAL, ALTER COLUMN tags SET STORAGE EXTERNAL;
CREATE TABLE products (sku text PRIMARY KEY, title text, price numeric(10, 2), stock int);
CREATE TABLE orders (
    order_number int PRIMARY KEY,
    customer bigint REFERENCES customers ON UPDATE CASCADE ON DELETE CASCADE,
    referrer bigint REFERENCES customers ON UPDATE CASCADE ON DELETE SET NULL,
    status text, placed timestamptz DEFAULT now()
);
CREATE TABLE "Order Items" (
    order_number int REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE, line int,
    sku text REFERENCES products ON UPDATE CASCADE DEFERRABLE, "select" int, PRIMARY KEY (order_number, line)
);
CREATE TABLE shipments (
    id int PRIMARY KEY, order_number int, line int, carrier text,
    FOREIGN KEY (order_number, line) REFERENCES "Order Items" ON UPDATE CASCADE ON DELETE SET NULL
);
CREATE TABLE debezium_signal (id text PRIMARY KEY, type text, data text);
"""

ADDED = "ALTER TABLE customers ADD COLUMN phone text;"

LONG = "CASE WHEN {n} % 4 = 0 THEN repeat(md5({n}::text), 80) ELSE 'short {n}' END"
"Sometimes too long for a row, and stored beside it as it is: then the log of an update that leaves it alone lacks it."

TABLES = ("customers", "products", "orders", "Order Items", "shipments")

RESNAPSHOT = f"""
INSERT INTO debezium_signal VALUES (
    'again', 'execute-snapshot',
    '{{"type": "incremental", "data-collections": [{", ".join(f'"public.{name}"' for name in TABLES)}]}}'
);
"""

_CUSTOMER = """
    {n}, 'name {n}', '{n} AB', {n} % 2 = 0, {n} / 7.0, {n} / 100.0, {n} * 1.000, DATE '2026-01-01' + {n},
    TIMESTAMPTZ '2026-01-01 00:00:00.5+02' + {n} * INTERVAL '1 minute',
    TIMESTAMP '1969-12-31 23:00:00' + {n} * INTERVAL '1 second', TIME '12:34:56.7',
    INTERVAL '{n} minutes', md5({n}::text)::uuid, decode(md5({n}::text), 'hex'),
    ARRAY['a', NULL, {long}], ARRAY[{n} / 8.0, -0.001], '{{"n": {n}}}', {long}
"""

_ANY = "(SELECT {column} FROM {table} ORDER BY random() LIMIT 1)"


def _any(table: str, column: str) -> str:
    return _ANY.format(table=table, column=column)


def _where(table: str, column: str) -> str:
    return f"WHERE {column} = {_any(table, column)}"


_ITEM = 'FROM "Order Items" ORDER BY random() LIMIT 1'

CHANGES: Mapping[str, int] = {
    # what is there, and what refers to it
    f"INSERT INTO customers VALUES ({_CUSTOMER.format(n='{n}', long=LONG)});": 8,
    "INSERT INTO customers (id) VALUES ({n});": 2,
    "INSERT INTO products VALUES ('sku {n}', 'title {n}', {n} / 10.0, {n});": 5,
    f"INSERT INTO orders VALUES ({{n}}, {_any('customers', 'id')}, {_any('customers', 'id')}, 'new');": 10,
    f"""INSERT INTO "Order Items" SELECT order_number, {{n}}, {_any("products", "sku")}, 1
        FROM orders ORDER BY random() LIMIT 1;""": 12,
    f"INSERT INTO shipments SELECT {{n}}, order_number, line, 'by {{n}}' {_ITEM};": 8,
    # values
    f"UPDATE customers SET name = 'renamed {{n}}', balance = NULL {_where('customers', 'id')};": 6,
    f"UPDATE customers SET bio = {LONG}, score = 'NaN' {_where('customers', 'id')};": 2,
    f"UPDATE customers SET bio = NULL, tags = ARRAY['short'], score = 'Infinity' {_where('customers', 'id')};": 2,
    f"UPDATE products SET stock = {{n}}, price = price + 0.01 {_where('products', 'sku')};": 5,
    f"UPDATE orders SET status = 'paid {{n}}' {_where('orders', 'order_number')};": 5,
    f"""UPDATE "Order Items" SET "select" = {{n}} WHERE line IN (SELECT line {_ITEM});""": 4,
    # foreign keys
    f"UPDATE orders SET referrer = {_any('customers', 'id')} {_where('orders', 'order_number')};": 5,
    f"UPDATE orders SET referrer = NULL {_where('orders', 'order_number')};": 3,
    f"UPDATE orders SET customer = {_any('customers', 'id')} {_where('orders', 'order_number')};": 3,
    f"""UPDATE "Order Items" SET sku = {_any("products", "sku")} WHERE line IN (
        SELECT line {_ITEM});""": 3,
    f"""UPDATE shipments SET (order_number, line) = (
        SELECT order_number, line {_ITEM}) {_where("shipments", "id")};""": 4,
    f"UPDATE shipments SET line = NULL {_where('shipments', 'id')};": 2,
    # keys, and with them the foreign keys of others
    f"UPDATE customers SET id = {{n}} {_where('customers', 'id')};": 3,
    f"UPDATE products SET sku = 'moved {{n}}' {_where('products', 'sku')};": 3,
    f"UPDATE orders SET order_number = {{n}} {_where('orders', 'order_number')};": 3,
    f"""UPDATE "Order Items" SET line = {{n}} WHERE line IN (SELECT line {_ITEM});""": 3,
    # ends, and with them those of others
    f"DELETE FROM customers {_where('customers', 'id')};": 4,
    """DELETE FROM products WHERE sku IN (SELECT sku FROM products EXCEPT SELECT sku FROM "Order Items" LIMIT 1);""": 3,
    f"DELETE FROM orders {_where('orders', 'order_number')};": 3,
    f"""DELETE FROM "Order Items" WHERE line IN (SELECT line {_ITEM});""": 3,
    f"DELETE FROM shipments {_where('shipments', 'id')};": 2,
    # there and gone, there and back: in one transaction, or one after the other
    """INSERT INTO customers VALUES ({n}, 'brief'); INSERT INTO orders VALUES ({n}, {n}, NULL, 'brief');
        DELETE FROM orders WHERE order_number = {n}; DELETE FROM customers WHERE id = {n};""": 4,
    """BEGIN; SET CONSTRAINTS ALL DEFERRED;
        CREATE TEMP TABLE moved ON COMMIT DROP AS SELECT * FROM products ORDER BY random() LIMIT 1;
        DELETE FROM products WHERE sku IN (SELECT sku FROM moved);
        INSERT INTO products SELECT * FROM moved; COMMIT;""": 4,
}
"Statements, and how often they come; {n} is a number that no row has yet."

PHONE = f"UPDATE customers SET phone = '{{n}}' {_where('customers', 'id')};"


def changes(count: int, first: int, seed: int, *, added: bool = False) -> str:
    """
    Random changes, as a script.

    Args:
        first: the first of the numbers that no row has.
        added: whether the column is there that ADDED adds.
    """
    chosen = random.Random(seed)
    weights = {**CHANGES, PHONE: 5} if added else CHANGES
    picked = chosen.choices(list(weights), list(weights.values()), k=count)
    lines = [statement.replace("{n}", str(first + place)) for place, statement in enumerate(picked)]
    return "\n".join([f"SELECT setseed({chosen.random()});", *lines])


def filled() -> str:
    """The first rows, as a script."""
    numbers = range(1, 21)
    return "\n".join(
        [
            *(f"INSERT INTO customers VALUES ({_CUSTOMER.format(n=n, long=LONG.format(n=n))});" for n in numbers),
            *(f"INSERT INTO products VALUES ('sku {n}', 'title {n}', {n}.5, {n});" for n in numbers),
            *(f"INSERT INTO orders VALUES ({n}, {n}, {n % 7 or 'NULL'}, 'old');" for n in numbers),
            *(f"""INSERT INTO "Order Items" VALUES ({n}, {n}, 'sku {n % 5 + 1}', {n});""" for n in numbers),
            *(f"INSERT INTO shipments VALUES ({n}, {n}, {n}, 'slow');" for n in numbers),
        ]
    )
