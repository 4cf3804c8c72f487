"""
JSON in a schema registry's frame. The schema says nothing that reading needs, so the registry is asked only where each
message is to be compared with its schema (`validate`), with the package jsonschema.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sluice.decoding.framed import FramedReader
from sluice.decoding.json_text import JsonReader
from sluice.decoding.packages import needed
from sluice.decoding.refusals import WrongMessage
from sluice.decoding.registry import JSON, SchemaRegistry
from sluice.decoding.schema_cache import SchemaCache
from sluice.decoding.schema_ids import SchemaId, schema_id


class JsonSchemaReader(FramedReader):
    """Reads JSON that has a schema."""

    def __init__(self, registry: SchemaRegistry | None, decimals: str = "float") -> None:
        """
        Args:
            registry: None: messages are not compared with their schemas.
            decimals: as `JsonReader`.

        Raises:
            WrongOption: there is a registry, and jsonschema is missing.
        """
        self._json = JsonReader(decimals)
        self._registry = registry
        self._validators = SchemaCache(self._fetched)
        if registry is not None:
            self._jsonschema = needed("jsonschema", "the option validate")
            self._referencing = needed("referencing", "the option validate")

    def read(self, data: bytes, header: bytes | None) -> Any:
        """As `AvroReader.read`; raises WrongMessage also if the value is not as its schema says."""
        return self.read_all([data], [header])[0]

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None]) -> list[Any]:
        """As `read`, for each."""
        ids = [schema_id(data if header is None else header) for data, header in zip(values, headers, strict=True)]
        bodies = [
            data[at:] if header is None else data for data, header, (_, at) in zip(values, headers, ids, strict=True)
        ]
        found = self._json.read_all(bodies)
        if self._registry is not None:
            for body, (number, _) in zip(bodies, ids, strict=True):
                self._validate(body, number)
        return found

    def _validate(self, body: bytes, number: SchemaId) -> None:
        # The schema is about what JSON says, whatever becomes of its numbers.
        error = self._jsonschema.exceptions.best_match(self._validators[number].iter_errors(json.loads(body)))
        if error is not None:
            raise WrongMessage(f"not as schema {number} says, at {error.json_path}: {error.message}")

    def _fetched(self, number: SchemaId) -> Any:
        assert self._registry is not None
        schema = self._registry.schema(number)
        if schema.kind != JSON:
            raise WrongMessage(f"of schema {number}, which is {schema.kind} and not JSON")
        others = self._registry.referenced(schema)
        try:
            found = json.loads(schema.text)
            draft = self._jsonschema.validators.validator_for(found)
            default = self._referencing.jsonschema.specification_with(draft.META_SCHEMA.get("$schema", ""))
            resources = [
                (name, self._referencing.Resource.from_contents(json.loads(other.text), default))
                for name, other in others.items()
            ]
            draft.check_schema(found)
            return draft(found, registry=self._referencing.Registry().with_resources(resources))
        except Exception as error:  # what a registry takes and jsonschema does not
            raise WrongMessage(f"of schema {number}, which cannot be used: {error}") from None
