"""
`.proto` files as text into descriptors, with proto-schema-parser: what most registries give, and Protobuf's own library
cannot read. Only what reading messages needs is taken over: no options, services, extensions or reserved names.
"""

from __future__ import annotations

from typing import Any

from sluice.decoding.packages import needed
from sluice.decoding.refusals import WrongMessage

SCALARS = frozenset(
    [f"{sign}{size}" for sign in ("int", "uint", "sint", "fixed", "sfixed") for size in (32, 64)]
    + ["double", "float", "bool", "string", "bytes"]
)


def file_descriptor(text: str, name: str) -> Any:
    """
    The `FileDescriptorProto` of a file.

    Args:
        name: what others import it as.

    Raises:
        WrongMessage: it has something that no reader of ours understands.
        WrongOption: proto-schema-parser is missing.
    """
    parser = needed("proto_schema_parser", "a Protobuf schema that the registry gives as text", "parser")
    descriptors = needed("google.protobuf", "the format protobuf", "descriptor_pb2")
    return _File(parser.Parser().parse(text), name, descriptors).made


class _File:
    """One file's way into a descriptor."""

    def __init__(self, parsed: Any, name: str, descriptors: Any) -> None:
        if parsed.edition is not None:
            raise WrongMessage(
                f"of a schema of edition {parsed.edition}, which can only be read where the registry "
                "gives format=serialized"
            )
        self._field = descriptors.FieldDescriptorProto
        self._is_proto3 = parsed.syntax == "proto3"
        self.made = descriptors.FileDescriptorProto(name=name, syntax=parsed.syntax or "proto2")
        for item in parsed.file_elements:
            kind = type(item).__name__
            if kind == "Package":
                self.made.package = item.name
            elif kind == "Import":
                if item.public:
                    self.made.public_dependency.append(len(self.made.dependency))
                self.made.dependency.append(item.name)
            elif kind == "Message":
                self._message(item, self.made.message_type.add())
            elif kind == "Enum":
                self._enum(item, self.made.enum_type.add())

    def _message(self, parsed: Any, made: Any) -> None:
        made.name = parsed.name
        optional: list[Any] = []
        maps: list[Any] = []
        for item in parsed.elements:
            kind = type(item).__name__
            if kind == "Field":
                field = self._add(item, made)
                if self._is_proto3 and item.cardinality is not None and item.cardinality.value == "OPTIONAL":
                    optional.append(field)
            elif kind == "MapField":
                maps.append((item, made.field.add()))
            elif kind == "OneOf":
                self._oneof(item, made)
            elif kind == "Message":
                self._message(item, made.nested_type.add())
            elif kind == "Enum":
                self._enum(item, made.enum_type.add())
            elif kind == "Group":
                raise WrongMessage(f"of a schema with the group {item.name}: groups are not read")
        for item, field in maps:
            self._map(item, field, made)  # after what is declared, whose places messages name
        for field in optional:
            field.proto3_optional = True
            field.oneof_index = len(made.oneof_decl)
            made.oneof_decl.add(name=f"_{field.name}")

    def _add(self, parsed: Any, made: Any) -> Any:
        field = made.field.add(name=parsed.name, number=parsed.number)
        cardinality = "OPTIONAL" if parsed.cardinality is None else parsed.cardinality.value
        field.label = self._field.Label.Value(f"LABEL_{cardinality}")
        self._type(field, parsed.type)
        return field

    def _type(self, field: Any, name: str) -> None:
        if name in SCALARS:
            field.type = self._field.Type.Value(f"TYPE_{name.upper()}")
        else:
            field.type_name = name  # found out from there, as in C++: message or enum, and of which scope

    def _oneof(self, parsed: Any, made: Any) -> None:
        index = len(made.oneof_decl)
        made.oneof_decl.add(name=parsed.name)
        for item in parsed.elements:
            if type(item).__name__ == "Field":
                self._add(item, made).oneof_index = index

    def _map(self, parsed: Any, field: Any, made: Any) -> None:
        entry = made.nested_type.add(
            name=f"{''.join(part[:1].upper() + part[1:] for part in parsed.name.split('_'))}Entry"
        )
        entry.options.map_entry = True
        for number, (name, kind) in enumerate((("key", parsed.key_type), ("value", parsed.value_type)), 1):
            self._type(entry.field.add(name=name, number=number, label=self._field.LABEL_OPTIONAL), kind)
        field.name, field.number, field.label = parsed.name, parsed.number, self._field.LABEL_REPEATED
        field.type, field.type_name = self._field.TYPE_MESSAGE, entry.name

    def _enum(self, parsed: Any, made: Any) -> None:
        made.name = parsed.name
        made.options.allow_alias = True
        for item in parsed.elements:
            if type(item).__name__ == "EnumValue":
                made.value.add(name=item.name, number=int(item.number))
