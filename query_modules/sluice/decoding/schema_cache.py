"""Schemas by their ids, made when they are met for the first time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sluice.decoding.schema_ids import SchemaId

MAX_SCHEMAS = 1000
"Kept at a time. What makes more ids than that has none that it needs again."


class SchemaCache(dict[SchemaId, Any]):
    """Id -> what `make` makes of it; what that raises passes through, and is not kept."""

    def __init__(self, make: Callable[[SchemaId], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: SchemaId) -> Any:
        made = self._make(number)
        if len(self) >= MAX_SCHEMAS:
            self.clear()
        self[number] = made
        return made
