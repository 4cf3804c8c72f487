"""
Avro records in a schema registry's frame, with fastavro.

A schema is fetched when its id is met for the first time. Logical types become what graphs have: fastavro looks up what
to do with one by its name, so the types of a schema get names of ours (`avro_schema`).
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sluice.decoding.avro_schema import FIELD, LOGICAL, PREFIX, renamed
from sluice.decoding.framed import FramedReader
from sluice.decoding.packages import needed
from sluice.decoding.plain import base64_text, date_text, decimal_of_bytes, time_text, timestamp_text
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.decoding.registry import AVRO, SchemaRegistry
from sluice.decoding.schema_cache import SchemaCache
from sluice.decoding.schema_ids import NUMBER_END, SchemaId, schema_id

Schema = Mapping[str, Any]

GUID = b"\1"
"Begins an id that is longer than `NUMBER_END`."


class AvroReader(FramedReader):
    """Reads records by the schema that each was written with."""

    def __init__(self, registry: SchemaRegistry, decimals: str = "text", schema: object = None) -> None:
        """
        Args:
            decimals: text or float.
            schema: what records are to look like, as Avro resolves schemas; None: as they were written. JSON, or what
                it means.

        Raises:
            WrongOption: the schema is none, or fastavro is missing.
        """
        self._fastavro = needed("fastavro", "the format avro")
        self._read = self._fastavro.schemaless_reader
        self._registry = registry
        self._decimals = decimals
        self._schemas = SchemaCache(self._fetched)
        self._wanted = None if schema is None else self._given(schema)
        readers = needed("fastavro", "the format avro", "read").LOGICAL_READERS
        readers.update(_readers())

    def read(self, data: bytes, header: bytes | None) -> Any:
        """As `Decoder.value`; also raises WrongMessage at a value that a graph has not."""
        return self.read_all([data], [header])[0]

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None]) -> list[Any]:
        """As `read`, for each."""
        found = []
        last: bytes | None = None
        number: SchemaId = 0
        schema: Any = None
        for data, header in zip(values, headers, strict=True):
            frame = data[:NUMBER_END] if header is None else header
            if frame != last or frame[:1] == GUID:
                last = frame
                number, at = schema_id(data if header is None else header)
                schema = self._schemas[number]
            body = io.BytesIO(data if header is not None else data[at:])
            try:
                found.append(self._read(body, schema, self._wanted))
            except WrongMessage:
                raise
            except Exception as error:  # whatever comes of bytes that another schema has written
                raise WrongMessage(f"not Avro of schema {number}: {str(error) or type(error).__name__}") from None
            if left := len(body.read()):
                raise WrongMessage(f"not Avro of schema {number}: it is longer by {left} than its schema says")
        return found

    def _fetched(self, number: SchemaId) -> Any:
        found = self._registry.schema(number)
        if found.kind != AVRO:
            raise WrongMessage(f"of schema {number}, which is {found.kind} and not Avro")
        others = [json.loads(other.text) for other in self._registry.referenced(found).values()]
        try:
            return self._parsed(json.loads(found.text), others)
        except Exception as error:  # what a registry takes and fastavro does not
            raise WrongMessage(f"of schema {number}, which cannot be read: {error}") from None

    def _given(self, schema: object) -> Any:
        try:
            return self._parsed(json.loads(schema) if isinstance(schema, str) else schema, [])
        except Exception as error:
            raise WrongOption(f"the option schema must be an Avro schema: {error}") from None

    def _parsed(self, schema: Any, others: list[Any]) -> Any:
        return self._fastavro.parse_schema(renamed(schema, others, self._decimals))


def _readers() -> dict[str, Callable[..., Any]]:
    """What fastavro does with the logical types that `avro_schema` names: by type and name."""
    found: dict[str, Callable[..., Any]] = {}
    for kind in ("bytes", "fixed"):
        found[f"{kind}-{PREFIX}decimal-text"] = _decimal
        found[f"{kind}-{PREFIX}decimal-float"] = lambda data, schema, _=None: float(_decimal(data, schema))
        found[f"{kind}-{PREFIX}bytes"] = lambda data, _schema=None, _=None: base64_text(data)
    found[f"fixed-{PREFIX}uuid"] = lambda data, _schema=None, _=None: str(uuid.UUID(bytes=data))
    found[f"fixed-{PREFIX}duration"] = _duration
    found[f"int-{PREFIX}date"] = partial(_placed, date_text)
    for logical, kinds in LOGICAL.items():
        name, _, unit = logical.rpartition("-")
        if name == "time":
            read: Callable[[int], str] = partial(time_text, unit=unit)
        elif name in ("timestamp", "local-timestamp"):
            read = partial(timestamp_text, unit=unit, zone="Z" if name == "timestamp" else "")
        else:
            continue
        for kind in kinds:
            found[f"{kind}-{PREFIX}{logical}"] = partial(_placed, read)
    return found


def _placed(read: Callable[[int], str], value: int, schema: Schema, _reader: object = None) -> str:
    try:
        return read(value)
    except ValueError as error:
        raise WrongMessage(
            f"Avro with a {schema['logicalType'].removeprefix(PREFIX)} that no text can say, in its field "
            f"{schema.get(FIELD)}: {error}"
        ) from None


def _decimal(data: bytes, schema: Schema, _reader: object = None) -> str:
    return decimal_of_bytes(data, schema.get("scale", 0))


def _duration(data: bytes, _schema: object = None, _reader: object = None) -> str:
    """Three unsigned numbers, little-endian: months, days, milliseconds."""
    months, days, millis = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8))
    return f"P{months}M{days}DT{millis // 1000}.{millis % 1000:03}S"
