"""
Protobuf messages in a schema registry's frame, with Google's library.

The message's type is made of the schema when its id is met for the first time. Where the registry gives descriptors
(`format=serialized`, Confluent's own) they are taken; else the text of the `.proto` files (`proto_text`).
"""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress
from importlib import import_module
from typing import Any

from sluice.decoding.framed import FramedReader
from sluice.decoding.message_fields import MessageFields
from sluice.decoding.packages import needed
from sluice.decoding.proto_text import file_descriptor
from sluice.decoding.refusals import WrongMessage
from sluice.decoding.registry import PROTOBUF, RegisteredSchema, SchemaRegistry
from sluice.decoding.schema_cache import SchemaCache
from sluice.decoding.schema_ids import SchemaId, message_indexes, schema_id

SERIALIZED = "?format=serialized"

KNOWN = "google/"
"Begins the names of files that are imported and not registered, since packages have them."

BUILT_IN = {
    "confluent/meta.proto": 'syntax = "proto3"; package confluent;',
    "confluent/type/decimal.proto": 'syntax = "proto3"; package confluent.type; '
    "message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
}
"Files of Confluent's serializers; of the first, nothing that messages have."


class ProtobufReader(FramedReader):
    """Reads messages by the schema that each was written with."""

    def __init__(self, registry: SchemaRegistry, decimals: str = "text") -> None:
        """Raises WrongOption: protobuf is missing."""
        what = "the format protobuf"
        self._descriptors = needed("google.protobuf", what, "descriptor_pb2")
        self._pools = needed("google.protobuf", what, "descriptor_pool")
        self._classes = needed("google.protobuf", what, "message_factory")
        self._registry = registry
        self._fields = MessageFields(decimals)
        self._files = SchemaCache(self._fetched)
        self._types: dict[tuple[SchemaId, tuple[int, ...]], Any] = {}

    def read(self, data: bytes, header: bytes | None) -> Any:
        """As `AvroReader.read`."""
        number, at = schema_id(data if header is None else header)
        indexes, at = message_indexes(data if header is None else header, at)
        kind = number, indexes
        if kind not in self._types:
            if len(self._types) > len(self._files):
                self._types.clear()
            self._types[kind] = self._type(*kind)
        made, convert = self._types[kind]
        try:
            return convert(made.FromString(data[at:] if header is None else data))
        except Exception as error:  # DecodeError and what a value may raise
            raise WrongMessage(f"not Protobuf of schema {number}: {error}") from None

    def _type(self, number: SchemaId, indexes: tuple[int, ...]) -> Any:
        types: Any = None
        found = None
        try:
            types = list(self._files[number].message_types_by_name.values())
            for index in indexes:
                found = types[index]
                types = [one for one in found.nested_types if not one.GetOptions().map_entry]
        except IndexError:
            raise WrongMessage(f"not Protobuf of schema {number}: it has no message {list(indexes)}") from None
        return self._classes.GetMessageClass(found), self._fields.of(found)

    def _fetched(self, number: SchemaId) -> Any:
        """The file of a schema."""
        schema, others = self._whole(number, SERIALIZED)
        try:
            files = {name: self._parsed(other.text, name) for name, other in others.items()}
            main = self._parsed(schema.text, f"schema-{number}.proto")
        except ValueError:
            schema, others = self._whole(number, "")
            files = {name: file_descriptor(other.text, name) for name, other in others.items()}
            main = file_descriptor(schema.text, f"schema-{number}.proto")
        pool = self._pools.DescriptorPool()
        try:
            for file in (*files.values(), main):
                self._add(pool, file, files, set())
            return pool.FindFileByName(main.name)
        except WrongMessage:
            raise
        except Exception as error:  # what a registry takes and Google's library does not
            raise WrongMessage(f"of schema {number}, which cannot be read: {error}") from None

    def _whole(self, number: SchemaId, query: str) -> tuple[RegisteredSchema, dict[str, RegisteredSchema]]:
        schema = self._registry.schema(number, query)
        if schema.kind != PROTOBUF:
            raise WrongMessage(f"of schema {number}, which is {schema.kind} and not Protobuf")
        return schema, self._registry.referenced(schema, query)

    def _parsed(self, text: str, name: str) -> Any:
        """What a registry gives as descriptor. Raises ValueError: it does not."""
        file = self._descriptors.FileDescriptorProto()
        try:
            file.ParseFromString(b64decode(text, validate=True))
        except Exception:
            raise ValueError from None
        file.name = name
        return file

    def _add(self, pool: Any, file: Any, files: dict[str, Any], added: set[str]) -> None:
        """A file, after those that it imports."""
        added.add(file.name)
        for name in file.dependency:
            if name not in added:
                self._add(pool, files[name] if name in files else self._known(name), files, added)
        if not _has(pool, file.name):
            pool.Add(file)

    def _known(self, name: str) -> Any:
        if name in BUILT_IN:
            return file_descriptor(BUILT_IN[name], name)
        file = self._descriptors.FileDescriptorProto()
        if name.startswith(KNOWN):
            with suppress(ModuleNotFoundError):
                module = import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
                module.DESCRIPTOR.CopyToProto(file)
                return file
        raise WrongMessage(f"of a schema that imports {name}, which is not among its references")


def _has(pool: Any, name: str) -> bool:
    try:
        pool.FindFileByName(name)
    except KeyError:
        return False
    return True
