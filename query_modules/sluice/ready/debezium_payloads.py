"""
Keys and values of messages as Connect's JSON converter writes them: a payload, and its schema beside it or not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from sluice.decoding.refusals import WrongMessage
from sluice.decoding.texts import looks_like, text_of
from sluice.ready.debezium_values import ColumnKinds, Values

SCHEMA_HEAD, PAYLOAD = b'{"schema":', b',"payload":'
MAX_SCHEMAS = 1000
"Schemas that are remembered, by their bytes."


class Schema(NamedTuple):
    """What the schema beside a payload says."""

    name: str = ""
    kinds: ColumnKinds = {}
    "Of the row's columns."


class Payload(NamedTuple):
    """A key, a value, or a row within a value."""

    payload: Any
    schema: Schema = Schema()

    @property
    def columns(self) -> Mapping[str, Any]:
        """Of a row or a key; empty if it is neither."""
        return self.payload if isinstance(self.payload, dict) else {}


NOTHING = Payload(None)


class Payloads:
    """Reads keys and values, and remembers their schemas: most of a message that has one is the same each time."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._schemas: dict[bytes, Schema] = {}

    def part(self, data: bytes | None, what: str) -> Payload:
        """
        What bytes hold.

        Args:
            what: what they are, for the error.

        Raises:
            WrongMessage: they are not JSON.
        """
        if data is None:
            return NOTHING
        try:
            if not data.startswith(SCHEMA_HEAD):
                return Payload(json.loads(text_of(data)))
            head, _, tail = data.partition(PAYLOAD)
            if head in self._schemas:
                return Payload(json.loads(tail.rstrip()[:-1]), self._schemas[head])
            whole = json.loads(data)
            if whole.keys() != {"schema", "payload"}:
                return Payload(whole)
            schema = self._schema(whole["schema"])
            if len(self._schemas) < MAX_SCHEMAS and _is_whole(head):
                self._schemas[head] = schema
            return Payload(whole["payload"], schema)
        except WrongMessage as error:
            raise WrongMessage(f"{what} is {error}") from None
        except (ValueError, RecursionError) as error:
            raise WrongMessage(f"{what} is not JSON: {error}{looks_like(data)}") from None

    def _schema(self, found: Any) -> Schema:
        if not isinstance(found, dict):
            return Schema()
        fields = found.get("fields") or ()
        rows = [field["fields"] for field in fields if field.get("field") == "after" and field.get("type") == "struct"]
        return Schema(str(found.get("name") or ""), self._values.of_schema(rows[0] if rows else fields))


def _is_whole(head: bytes) -> bool:
    """Whether the text before the payload is all of the schema, and not only its beginning."""
    try:
        return bool(json.loads(head + b"}"))
    except ValueError:
        return False


def placeholders(text: str) -> list[Any]:
    """
    What stands in events for a value that was too large to be in the log and did not change, one for each type.

    Source: `UnchangedToastedPlaceholder`.
    """
    data = bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()
    shown, encoded = data.decode("utf-8", "replace"), base64.b64encode(data).decode()
    digest = bytearray(hashlib.md5(data, usedforsecurity=False).digest())
    digest[6], digest[8] = digest[6] & 0x0F | 0x30, digest[8] & 0x3F | 0x80  # Java's nameUUIDFromBytes
    named = str(uuid.UUID(bytes=bytes(digest)))
    texts = [shown, encoded, encoded.replace("+", "-").replace("/", "_"), data.hex()]
    return [*texts, [shown], [encoded], [named], list(data), {shown: shown}]
