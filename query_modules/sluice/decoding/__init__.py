"""
Reads what messages hold, in the formats that people use. A script imports it in its own process:

    from sluice import decoding

    decoder = decoding.open("avro", registry={"url": "http://localhost:8081"})

    def stream_messages(batch):
        return [("MERGE (n:Person {id: $id}) SET n += $row", {"id": row["id"], "row": row})
                for row in decoder.values(batch) if row is not None]

    decoder         keys and values of messages
      json_text     JSON; with a registry's schema                 (json_schema)
      csv_format    rows
      avro          Avro                                           (avro_schema)
      protobuf      Protobuf                                       (message_fields, proto_text)
    registry        the client of a schema registry                (registry_options, schema_cache)
      schema_ids    where a message has its schema's id
    plain           values that formats have and graphs have not
    packages        what formats need that Sluice does not bring

Nothing of this is imported by what runs in the server's own process.
"""

from __future__ import annotations

from typing import Any

from sluice.decoding.decoder import Decoder
from sluice.decoding.formats import decoder_of
from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.errors import ServiceUnavailable

__all__ = ["Decoder", "ServiceUnavailable", "WrongMessage", "WrongOption", "open"]


def open(format: str, **options: Any) -> Decoder:
    """
    What reads messages of a format.

    Args:
        format: json, text, csv, avro, protobuf or jsonschema.
        options: `key_format`, if keys are of another, and what the formats take (docs/transforms.md).

    Raises:
        WrongOption: an option is wrong, or a package is missing; the text has the command that installs it.
    """
    reader = OptionReader({**options, "format": format})
    made = decoder_of(reader, format, "text" if format == "csv" else format)
    reader.done()
    return made
