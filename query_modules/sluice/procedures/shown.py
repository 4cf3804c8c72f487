"""Values as a procedure can give them."""

from __future__ import annotations

from typing import Any


def shown(value: Any) -> Any:
    """
    The same value with an escape in place of each NUL, in maps and lists too: `mgp` hands texts over as C does, and
    whatever follows a NUL would be missing without a word.
    """
    if isinstance(value, str):
        return value.replace("\0", "\\x00")
    if isinstance(value, dict):
        return {shown(key): shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, list) else value
