"""
JSON texts in UTF-8, exact: integers of any size keep their digits, and decimals too where that is asked for.

Python's own reader does it; orjson, in a fraction of the time, where it is installed and gives the same.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import repeat
from typing import Any

from sluice.decoding.plain import integer
from sluice.decoding.refusals import WrongMessage
from sluice.decoding.texts import looks_like, text_of

MAX_DIGITS = 19
"Of an integer that a graph may have."

_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_MANY_ZEROS = b"0" * MAX_DIGITS

_MARK = secrets.token_urlsafe(12)
"Stands between the messages that are read together. Nobody who writes messages can know it."

_BETWEEN = f',"{_MARK}",'.encode()


class JsonReader:
    """Reads JSON."""

    framed = False

    def __init__(self, decimals: str = "float") -> None:
        """
        Args:
            decimals: what numbers with a fraction or an exponent become: float, or text, as they are written.
        """
        own: dict[str, Any] = {"parse_float": str} if decimals == "text" else {}
        self._exact: Callable[[str], Any] = partial(json.loads, parse_int=_integer, **own)
        self._loads: Callable[[str], Any] = partial(json.loads, **own)
        self._quick: Callable[[bytes], Any] | None = None
        if not own and find_spec("orjson") is not None:
            from orjson import loads  # noqa: PLC0415 - optional

            self._quick = loads

    def read(self, data: bytes) -> Any:
        """
        The value.

        Raises:
            WrongMessage: it is not JSON; the text says which byte is wrong, or what it looks like.
        """
        text = text_of(data)
        try:
            return (self._exact if _may_be_large(data) else self._loads)(text)
        except ValueError as error:
            raise WrongMessage(f"not JSON: {_reason(text, error)}{looks_like(data)}") from None
        except RecursionError:
            raise WrongMessage("not JSON that can be read: it is nested too deeply") from None

    def read_all(self, values: Sequence[bytes], headers: Sequence[bytes | None] = ()) -> list[Any]:
        """
        The values of a batch, as `read`.

        All are read as one text, which takes half the time, with a mark between them. If what comes of it is not a
        value and a mark in turns, some message is not one JSON value, and they are read one by one.
        """
        if not values:
            return []
        try:
            found = self._together(b"[" + _BETWEEN.join(values) + b"]")
            if len(found) == 2 * len(values) - 1 and found[1::2] == list(repeat(_MARK, len(values) - 1)):
                return list(found[::2])
        except (ValueError, RecursionError):
            pass
        return list(map(self.read, values))

    def _together(self, data: bytes) -> Any:
        if _may_be_large(data):
            return self._exact(data.decode())
        return self._loads(data.decode()) if self._quick is None else self._quick(data)


def _may_be_large(data: bytes) -> bool:
    """
    Whether a text may have an integer that a graph may not: MAX_DIGITS digits in a row. To look for them as the same
    digit takes a tenth of the time of a regular expression.
    """
    return _MANY_ZEROS in data.translate(_ZEROS)


def _reason(text: str, error: ValueError) -> str:
    """What is wrong with a text."""
    if not text.strip():
        return "it is empty"
    is_line = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data" and text[error.pos] in "{["
    return f"{error}: there is more than one JSON text in the message" if is_line else str(error)


def _integer(text: str) -> int | str:
    return text if len(text) > MAX_DIGITS + 1 else integer(int(text))
