"""How a setting is declared, and what values of each kind look like in a variable."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sluice.errors import SettingError

T = TypeVar("T")

PREFIX = "SLUICE_"

DECLARATION = "declaration"
"The key of a field's metadata."


class Given(NamedTuple):
    """What the server was started with."""

    environment: Mapping[str, str]
    flags: Mapping[str, str]
    "Name without dashes -> value."

    def read(self, variable: str, parse: Callable[[str], T], default: T) -> T:
        """The value of a variable; the default where it is not set. Raises SettingError, without the value."""
        text = self.environment.get(variable, "")
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, OSError) as error:
            # The text itself may be a secret (a password given where a file's name belongs), so it is not repeated.
            reason = error.strerror if isinstance(error, OSError) else error
            raise SettingError(f"{variable} has an invalid value: {reason}") from None


class Declaration(NamedTuple):
    """One setting, but for its name and default, which are the field's."""

    parse: Callable[[str], Any]
    "Its kind and limits: the value of a variable's text. Raises ValueError or OSError."
    text: str
    "What it is, for the table in README."
    found: Callable[[Given], Any] | None
    "The default of a server that was started like this; None where that is the field's."
    shown: str | None
    "The default, for the table, where it is not simply the field's."


def setting(
    default: T,
    parse: Callable[[str], T],
    text: str,
    *,
    found: Callable[[Given], T] | None = None,
    shown: str | None = None,
) -> T:
    """The field of a setting. Arguments as in `Declaration`; one of the kind `secret` is not in the repr."""
    metadata = {DECLARATION: Declaration(parse, text, found, shown)}
    field: T = dataclasses.field(default=default, repr=parse is not secret, metadata=metadata)
    return field


def declaration_of(field: dataclasses.Field[Any]) -> Declaration:
    """What a field was declared with."""
    found: Declaration = field.metadata[DECLARATION]
    return found


def written(value: object) -> str:
    """A value in the form in which a variable has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def secret(text: str) -> str:
    """Any text; shown as ***."""
    return text


def port(text: str) -> int:
    """From 1 to 65535."""
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise ValueError("expected a port from 1 to 65535")
    return number


def boolean(text: str) -> bool:
    """true, false, 1 or 0."""
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise ValueError("expected true or false")
    return values[text.lower()]


def seconds(text: str) -> float:
    """More than 0, with or without a fraction."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 1e6:
        raise ValueError("expected seconds, more than 0")
    return number


def positive(text: str) -> int:
    """An integer, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected an integer, 1 or more")
    return int(text)


def natural(text: str) -> int:
    """An integer, 0 or more."""
    if not text.isdecimal():
        raise ValueError("expected an integer, 0 or more")
    return int(text)


def content(text: str) -> str:
    """What the file of that name holds, without its last line break. Raises OSError."""
    return Path(text).read_text(encoding="utf-8").rstrip("\r\n")
