"""
The options of a transform: the map in a stream's `config.transform`, which its script's `configure(options)` is given.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from sluice.errors import SettingError

MAX_BYTES = 1 << 16
"Of the options as JSON: they are stored in the stream's node."

MAX_NESTING = 16
"Maps and lists inside each other, the options themselves included."

MAX_INTEGER = 2**63 - 1
"Of either sign, which is what a clause can write."


@dataclass(frozen=True)
class Options:
    """Options, checked. Two are equal if a script cannot tell them apart."""

    text: str = "{}"
    "A JSON object, its keys in order; secrets as references."

    def as_map(self) -> dict[str, Any]:
        """As they were given; a copy."""
        found: dict[str, Any] = json.loads(self.text)
        return found


NO_OPTIONS = Options()


def options_of(given: object) -> Options:
    """
    The options that a map means; None: there are none.

    Raises:
        SettingError: it is no map, or too large, or holds what no option can be. No value is repeated, which may be a
            secret.
    """
    if given is None:
        return NO_OPTIONS
    if not isinstance(given, dict):
        raise SettingError(f"transform must be a map of options for the script, got {_kind(given)}")
    text = json.dumps(_plain("transform", given, MAX_NESTING), sort_keys=True, separators=(",", ":"))
    if len(text) > MAX_BYTES:
        raise SettingError(f"transform has {len(text)} bytes of options as JSON; {MAX_BYTES} is the maximum")
    return Options(text)


def _plain(place: str, value: object, nesting: int) -> Any:
    """The same of JSON's types alone."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise SettingError(f"{place} has half a surrogate pair, which is no text")
        return value
    if isinstance(value, int | float):
        if abs(value) > MAX_INTEGER if isinstance(value, int) else not math.isfinite(value):
            raise SettingError(f"{place} must be a finite number of 64 bits")
        return value
    if not isinstance(value, dict | list | tuple):
        kinds = "options are texts, numbers, true, false, null, and lists and maps of them"
        raise SettingError(f"{place} is a value of type {type(value).__name__}: {kinds}")
    if not nesting:
        raise SettingError(f"{place}: options may be nested {MAX_NESTING} levels deep")
    if not isinstance(value, dict):
        return [_plain(f"{place}[{index}]", item, nesting - 1) for index, item in enumerate(value)]
    for key in value:
        if not isinstance(key, str) or not key:
            raise SettingError(f"{place} has a key that is empty, or no text")
        _plain(f"a key of {place}", key, nesting)
    return {key: _plain(f"{place}.{key:.40}", item, nesting - 1) for key, item in value.items()}


def _kind(value: object) -> str:
    return {str: "a text", bool: "true or false", list: "a list", tuple: "a list"}.get(type(value), "a number")
