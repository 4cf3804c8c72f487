"""What becomes of a Decimal, which Memgraph does not have."""

from __future__ import annotations

from enum import Enum


class Decimals(str, Enum):
    """As what it is sent."""

    TEXT = "text"
    "All its digits; texts are not compared as numbers."
    FLOAT = "float"
    "The nearest of 64 bits."

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str) -> Decimals:
        """What a setting's text means. Raises ValueError."""
        try:
            return cls(text.lower())
        except ValueError:
            raise ValueError(f"expected {' or '.join(cls)}") from None
