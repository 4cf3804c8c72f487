"""
Avro records in a schema registry's frame, with fastavro.

A schema is fetched when its id is met for the first time, and compiled (`avro_code`). Logical types become what graphs
have: fastavro looks up what to do with one by its name, so the types of a schema get names of ours (`avro_schema`).
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from sluice.decoding.avro_code import ReadAll, compiled
from sluice.decoding.avro_schema import FIELD, LOGICAL, PREFIX, renamed
from sluice.decoding.framed import FramedReader
from sluice.decoding.packages import needed
from sluice.decoding.plain import base64_text, date_text, decimal_of_bytes, time_text, timestamp_texts
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.decoding.registry import AVRO, SchemaRegistry
from sluice.decoding.schema_cache import SchemaCache
from sluice.decoding.schema_ids import NUMBER_END, SchemaId, schema_id

Schema = Mapping[str, Any]

NUMBER = b"\0"
"Begins a frame that is as long as `NUMBER_END`."


class WriterSchema(NamedTuple):
    """A schema that records are written with."""

    number: SchemaId
    schema: Any
    "As fastavro has parsed it."
    read_all: ReadAll | None
    "Reads many in less time than fastavro; None: what it reads is not what is wanted."


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
        self._registry = registry
        self._decimals = decimals
        self._schemas = SchemaCache(self._fetched)
        self._wanted = None if schema is None else self._given(schema)
        self._conversions = _readers()
        needed("fastavro", "the format avro", "read").LOGICAL_READERS.update(self._conversions)

    def read(self, data: bytes, header: bytes | None) -> Any:
        """As `Decoder.value`; also raises WrongMessage at a value that a graph has not."""
        return self.read_all([data], [header])[0]

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None]) -> list[Any]:
        """As `read`, for each."""
        found: list[Any] = []
        for place, is_header, count in _runs(values, headers):
            number, end = schema_id(place)
            self._read_run(values[len(found) :][:count], 0 if is_header else end, self._schemas[number], found)
        return found

    def _read_run(self, values: Sequence[bytes], start: int, schema: WriterSchema, found: list[Any]) -> None:
        """Adds what values of one schema mean."""
        before = len(found)
        while (done := len(found) - before) < len(values):
            try:
                if schema.read_all is not None:
                    schema.read_all(values[done:], start, found)
                    done = len(found) - before
            except WrongMessage:
                raise
            except Exception:  # whatever comes of bytes that another schema has written
                done = len(found) - before
            if done < len(values):
                found.append(self._with_fastavro(values[done][start:], schema))

    def _with_fastavro(self, data: bytes, schema: WriterSchema) -> Any:
        body = io.BytesIO(data)
        try:
            found = self._fastavro.schemaless_reader(body, schema.schema, self._wanted)
        except WrongMessage:
            raise
        except Exception as error:  # the same
            text = str(error) or type(error).__name__
            raise WrongMessage(f"not Avro of schema {schema.number}: {text}") from None
        if left := len(body.read()):
            raise WrongMessage(f"not Avro of schema {schema.number}: it is longer by {left} than its schema says")
        return found

    def _fetched(self, number: SchemaId) -> WriterSchema:
        found = self._registry.schema(number)
        if found.kind != AVRO:
            raise WrongMessage(f"of schema {number}, which is {found.kind} and not Avro")
        others = [json.loads(other.text) for other in self._registry.referenced(found).values()]
        try:
            schema = self._parsed(json.loads(found.text), others)
            read_all = compiled(schema, self._conversions) if self._wanted is None else None
        except Exception as error:  # what a registry takes and fastavro does not
            raise WrongMessage(f"of schema {number}, which cannot be read: {error}") from None
        return WriterSchema(number, schema, read_all)

    def _given(self, schema: object) -> Any:
        try:
            return self._parsed(json.loads(schema) if isinstance(schema, str) else schema, [])
        except Exception as error:
            raise WrongOption(f"the option schema must be an Avro schema: {error}") from None

    def _parsed(self, schema: Any, others: list[Any]) -> Any:
        return self._fastavro.parse_schema(renamed(schema, others, self._decimals))


def _runs(values: Sequence[bytes], headers: Sequence[bytes | None]) -> list[tuple[bytes, bool, int]]:
    """Messages that follow each other and name the same schema: what begins with its id, whether a header, how many."""
    heads = [data[:NUMBER_END] for data in values]
    if headers.count(None) == len(headers) and len(set(heads)) == 1 and _is_number(heads[0]):
        return [(heads[0], False, len(heads))]
    places = [
        (header, True) if header is not None else (head if _is_number(head) else data, False)
        for data, head, header in zip(values, heads, headers, strict=True)
    ]
    return [(*place, len(list(same))) for place, same in groupby(places)]


def _is_number(head: bytes) -> bool:
    """Whether the beginning of a message is a whole frame."""
    return head[:1] == NUMBER and len(head) == NUMBER_END


def _readers() -> dict[str, Callable[..., Any]]:
    """What fastavro does with the logical types that `avro_schema` names: by type and name."""
    found: dict[str, Callable[..., Any]] = {}
    for kind in ("bytes", "fixed"):
        found[f"{kind}-{PREFIX}decimal-text"] = _decimal
        found[f"{kind}-{PREFIX}decimal-float"] = lambda data, schema, _=None: float(_decimal(data, schema))
        found[f"{kind}-{PREFIX}bytes"] = lambda data, _schema=None, _=None: base64_text(data)
    found[f"fixed-{PREFIX}uuid"] = lambda data, _schema=None, _=None: str(uuid.UUID(bytes=data))
    found[f"fixed-{PREFIX}duration"] = _duration
    found[f"int-{PREFIX}date"] = _placed(date_text)
    for logical, kinds in LOGICAL.items():
        name, _, unit = logical.rpartition("-")
        if name == "time":
            read = _placed(partial(time_text, unit=unit))
        elif name in ("timestamp", "local-timestamp"):
            read = _placed(timestamp_texts(unit, "Z" if name == "timestamp" else ""))
        else:
            continue
        for kind in kinds:
            found[f"{kind}-{PREFIX}{logical}"] = read
    return found


def _placed(read: Callable[[int], str]) -> Callable[..., str]:
    """The same for fastavro, with errors that name the field."""

    def placed(value: int, schema: Schema, _reader: object = None) -> str:
        try:
            return read(value)
        except ValueError as error:
            kind, field = schema["logicalType"].removeprefix(PREFIX), schema.get(FIELD)
            text = f"Avro with a {kind} that no text can say, in its field {field}: {error}"
            raise WrongMessage(text) from None

    return placed


def _decimal(data: bytes, schema: Schema, _reader: object = None) -> str:
    return decimal_of_bytes(data, schema.get("scale", 0))


def _duration(data: bytes, _schema: object = None, _reader: object = None) -> str:
    """Three unsigned numbers, little-endian: months, days, milliseconds."""
    months, days, millis = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8))
    return f"P{months}M{days}DT{millis // 1000}.{millis % 1000:03}S"
