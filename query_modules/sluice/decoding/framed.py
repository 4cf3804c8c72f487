"""What the formats have in common that name a schema in each message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class FramedReader:
    """Reads a format whose data is in a schema registry's frame, or whose schema's id is in a header."""

    framed = True

    def read(self, data: bytes, header: bytes | None) -> Any:
        """What the bytes mean. Raises as `Decoder.value`."""
        raise NotImplementedError

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None]) -> list[Any]:
        """The same for each. Raises as `Decoder.value`."""
        return list(map(self.read, values, headers))
