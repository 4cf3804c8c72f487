"""
Vertices from Avro records whose schemas are in a registry, by a script: what to do where `sluice:json` is not enough.

Each order is merged, and connected with the customer that it names. Where the registry is, and its password, are
options of the stream:

    WITH CONFIG {transform: {registry: {url: 'http://localhost:8081', basic_auth: 'env:REGISTRY_LOGIN'}}}

Create, once, the indexes that MERGE looks up:

    CREATE INDEX ON :Order(id);
    CREATE INDEX ON :Customer(id);
"""

from sluice import decoding

ORDER = "MERGE (o:Order {id: $id}) SET o.total = $total MERGE (c:Customer {id: $customer}) MERGE (o)-[:OF]->(c)"


def configure(options):
    global decoder
    decoder = decoding.open("avro", **options)


def stream_messages(batch):
    orders = [order for order in decoder.values(batch) if order is not None]
    return [(ORDER, {name: order[name] for name in ("id", "total", "customer")}) for order in orders]
