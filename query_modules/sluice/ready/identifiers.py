"""Names that come from options and messages as they may stand in a query: always in backticks, never as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sluice.folding.words import RESERVED, is_name


def quoted(name: object, what: str) -> str:
    """
    A label, a type or a property's name in backticks, those within it doubled.

    Args:
        what: what it names, for the error: "a label".

    Raises:
        WrongMessage: it is not a text, or empty, or has a zero byte in it.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"{what} must be a text that is not empty, got {name!r}")
    return "`" + name.replace("`", "``") + "`"


def field(parameter: str, name: str) -> str:
    """A field of a parameter: `$value.id`. Folding sends such fields by themselves if their names need no backticks."""
    plain = is_name(name) is not None and name.upper() not in RESERVED
    return f"${parameter}.{name if plain else quoted(name, 'a field')}"


def labelled(labels: Iterable[object]) -> str:
    """Labels as a pattern has them: ``:`A`:`B` ``; empty if there are none."""
    return "".join(f":{quoted(label, 'a label')}" for label in labels)


def property_map(names: Iterable[object], values: Iterable[str]) -> str:
    """The properties of a pattern: `` {`id`: $id}``; empty if there are none. `values` are parts of a query."""
    pairs = [f"{quoted(name, 'a property')}: {value}" for name, value in zip(names, values, strict=True)]
    return f" {{{', '.join(pairs)}}}" if pairs else ""


def looked_for(names: Collection[str], parameter: str) -> str:
    """Properties that a pattern looks for by the fields of a parameter: `` {`id`: $keys.id}``."""
    return property_map(names, [field(parameter, name) for name in names])
