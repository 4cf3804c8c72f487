"""
Rows of a database as vertices, from Debezium's change events (JSON, with or without their schema).

    key    {"id": 1001}
    value  {"op": "u", "before": {...}, "after": {"id": 1001, "first_name": "Sally"}, "source": {"table": "customers"}}

    c, r, u      create, snapshot, update: the row's vertex has the row's columns, and nothing else
    d            delete: the vertex and its relationships are gone
    no value     the tombstone after a delete: the same once more, for topics that were compacted
    t            truncate (only if the connector sends it): an error; what it means for a graph is yours to say
    m            a message that somebody put into the log: left out

A row is the vertex that its key names, so an event that comes again changes nothing. Foreign keys become relationships.
TABLES says which table is what, and which columns are kept; events of other tables are an error. That the columns are
named, and not set as one map, lets queries of several tables be folded. Create the indexes that MERGE looks up, once:

    CREATE INDEX ON :Customer(id);
    CREATE INDEX ON :Order(order_number);
"""

import json


class Table:
    """The queries of a table. Their texts are the same for every row, which is what makes a stream fast."""

    def __init__(self, label, key, columns, references=()):
        """
        key: the columns that make up the key. columns: those that are kept beside it.
        references: (column, relationship, label, property) of each foreign key.
        """
        vertex = f"(n:{label} {{{', '.join(f'{column}: ${column}' for column in key)}}})"
        self.key = key
        self.columns = columns
        self.upsert = f"MERGE {vertex}" + "".join(f" SET n.{column} = ${column}" for column in columns)
        self.delete = f"MATCH {vertex} DETACH DELETE n"
        self.references = [
            (
                column,
                f"MATCH {vertex}-[r:{relationship}]->() DELETE r",
                f"MATCH {vertex} MERGE (m:{other} {{{name}: ${column}}}) MERGE (n)-[:{relationship}]->(m)",
            )
            for column, relationship, other, name in references
        ]


TABLES = {
    "customers": Table("Customer", ["id"], ["first_name", "last_name", "email"]),
    "orders": Table("Order", ["order_number"], ["quantity"], [("purchaser", "PLACED_BY", "Customer", "id")]),
}


def stream_messages(batch):
    queries = []
    for message in batch:
        event, key = payload(message.value), payload(message.key)
        if event is None:
            # A tombstone names its table by its topic only: server.schema.table.
            queries += changes(TABLES[message.topic.rpartition(".")[2]], key, "d", None, None)
        elif event["op"] != "m":
            table = TABLES[event["source"]["table"]]
            queries += changes(table, key, event["op"], event.get("before"), event.get("after"))
    return queries


def changes(table, key, op, before, after):
    """The queries for one event."""
    if op not in ("c", "r", "u", "d"):
        raise ValueError(f"an event with the operation {op!r}, which this transform knows nothing of")
    key = {column: key[column] for column in table.key}
    if op == "d":
        return [(table.delete, key)]
    queries = [(table.upsert, {**key, **{column: after[column] for column in table.columns}})]
    for column, disconnect, connect in table.references:
        # Without `before` (PostgreSQL sends it with REPLICA IDENTITY FULL only) it is not known what has changed.
        if op == "u" and (before is None or before[column] != after[column]):
            queries.append((disconnect, key))
        if after[column] is not None:
            queries.append((connect, {**key, column: after[column]}))
    return queries


def payload(data):
    """What a key or a value holds; with `schemas.enable` it has its schema beside it."""
    event = None if data is None else json.loads(data)
    return event["payload"] if isinstance(event, dict) and event.keys() == {"schema", "payload"} else event
