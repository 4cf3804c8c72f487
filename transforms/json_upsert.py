"""
Upserts from JSON objects: each message sets the properties of the vertex that its `id` names, made if there is none.

    {"id": 7, "name": "Ada", "age": 36}     MERGE (:Entity {id: 7}), then set its name and age
    null, or a tombstone                    nothing

MERGE makes the transform repeatable: the same message again changes nothing. Create, once, the index that it looks up:

    CREATE INDEX ON :Entity(id);
"""

import json

UPSERT = "MERGE (n:Entity {id: $id}) SET n += $properties"


def stream(batch):
    queries = []
    for message in batch:
        entity = json.loads(message) if message is not None else None
        if entity is None:
            continue
        queries.append((UPSERT, {"id": entity.pop("id"), "properties": entity}))
    return queries
