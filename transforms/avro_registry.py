"""
Upserts from Avro records in the wire format of schema registries: a zero byte, the schema's id (4 bytes), the record.

Each message sets the properties of the vertex that its field `id` names, made if there is none; a tombstone does
nothing. REGISTRY says where the registry is, AUTH_FILE where its `user:password` is, if it wants them: in a file of the
server's machine, since the script itself is stored in the graph.

Needs the package fastavro in the Python that runs transforms: the server's, unless SLUICE_PYTHON names another.

    python3 -m pip install fastavro

A schema is fetched when its id is met for the first time, and kept as long as the process lives: a registry never gives
an id to another schema. While the registry cannot be reached, a message with a new id is one that cannot be applied:
with `on_error: 'park'` it waits for `streams.retry`, with 'stop' for START.

Create, once, the index that MERGE looks up:

    CREATE INDEX ON :Entity(id);
"""

import base64
import datetime
import decimal
import functools
import io
import json
import struct
import time
import urllib.error
import urllib.request
import uuid

try:
    import fastavro
except ModuleNotFoundError:
    raise ImportError("fastavro is missing: pip install fastavro into the Python that runs transforms") from None

REGISTRY = "http://localhost:8081"
AUTH_FILE = ""

HEADER = struct.Struct(">bI")

TRIES = 3
TIMEOUT = 5  # seconds for each

UPSERT = "MERGE (n:Entity {id: $id}) SET n += $properties"


def stream(batch):
    queries = []
    for message in batch:
        if message is None:
            continue
        record = plain(decoded(message))
        queries.append((UPSERT, {"id": record.pop("id"), "properties": record}))
    return queries


def decoded(message):
    """The record in a message."""
    if len(message) < HEADER.size or message[0] != 0:
        raise ValueError(f"no Avro in a registry's wire format: it begins with {message[:5]!r}")
    _, schema_id = HEADER.unpack_from(message)
    return fastavro.schemaless_reader(io.BytesIO(message[HEADER.size :]), schema(schema_id), None)


@functools.lru_cache(maxsize=1000)
def schema(schema_id):
    """The schema with that id, ready to read with. What cannot be had is asked for again with the next message."""
    answer = fetched(f"{REGISTRY}/schemas/ids/{schema_id}")
    if answer.get("schemaType", "AVRO") != "AVRO":
        raise ValueError(f"schema {schema_id} is {answer['schemaType']}, not Avro")
    if answer.get("references"):
        raise ValueError(f"schema {schema_id} refers to others, which this example does not follow")
    return fastavro.parse_schema(json.loads(answer["schema"]))


def fetched(url):
    """The registry's answer. What may pass (nobody answers, 5xx) is tried again."""
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.schemaregistry.v1+json"})
    if AUTH_FILE:
        with open(AUTH_FILE, "rb") as file:
            request.add_header("Authorization", "Basic " + base64.b64encode(file.read().strip()).decode())
    for attempt in range(TRIES):
        time.sleep(0.2 * attempt)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            trouble = f"it answers {error.code}"
            if error.code < 500:
                break
        except OSError as error:
            trouble = f"no answer: {error}"
    raise ValueError(f"the schema registry, asked for {url}: {trouble}")


def plain(value):
    """A value as a query can take it: Avro's logical types become text, bytes become base64."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
