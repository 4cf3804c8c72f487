"""The formats by their names, each with its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sluice.decoding.avro import AvroReader
from sluice.decoding.csv_format import CsvFormat
from sluice.decoding.decoder import Decoder, FormatReader
from sluice.decoding.json_schema import JsonSchemaReader
from sluice.decoding.json_text import JsonReader
from sluice.decoding.options import OptionReader
from sluice.decoding.protobuf import ProtobufReader
from sluice.decoding.registry import SchemaRegistry
from sluice.decoding.texts import text_of

FORMATS = ("json", "text", "csv", "avro", "protobuf", "jsonschema")
KEY_FORMATS = tuple(name for name in FORMATS if name != "csv")

TYPED = frozenset({"avro", "protobuf"})
"Formats that cannot be read without a registry. They have decimals of their own, which become texts; JSON's, floats."

NUMBERED = TYPED | {"json", "jsonschema"}
"Formats with decimals."


class TextReader:
    """Reads texts in UTF-8."""

    framed = False

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None]) -> list[Any]:
        """The texts. Raises WrongMessage."""
        return list(map(text_of, values))


def decoder_of(
    options: OptionReader, default: str = "json", key_default: str = "text", formats: Sequence[str] = FORMATS
) -> Decoder:
    """
    The decoder that options mean: `format`, `key_format`, and those of the two.

    Args:
        default: the format if the options name none.
        key_default: that of keys.
        formats: those that values may have.

    Raises:
        WrongOption: as `decoding.open`.
    """
    value = options.choice("format", formats, default)
    key = options.choice("key_format", KEY_FORMATS, key_default)
    made = _readers(options, {value, key})
    return Decoder(made[value], made[key], many=value == "csv")


def _readers(options: OptionReader, names: set[str]) -> dict[str, FormatReader]:
    """A reader of each format; they have one registry, and one word for decimals."""
    with_decimals = names & NUMBERED
    default = "text" if names & TYPED else "float"
    decimals = options.choice("decimals", ("float", "text"), default) if with_decimals else default
    validate = "jsonschema" in names and options.flag("validate", False)
    made: dict[str, FormatReader] = {"text": TextReader(), "json": JsonReader(decimals)}
    registry = SchemaRegistry(options.take("registry")) if validate or names & TYPED else None
    if registry is None and "jsonschema" in names:
        options.take("registry")  # of no use without `validate`
    if "avro" in names and registry is not None:
        made["avro"] = AvroReader(registry, decimals, options.take("schema"))
    if "protobuf" in names and registry is not None:
        made["protobuf"] = ProtobufReader(registry, decimals)
    if "jsonschema" in names:
        made["jsonschema"] = JsonSchemaReader(registry if validate else None, decimals)
    if "csv" in names:
        made["csv"] = CsvFormat(options)
    return made
