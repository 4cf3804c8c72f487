"""Values that something is found again by: null and NaN are none, because nothing is equal to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.decoding.refusals import WrongMessage
from sluice.folding.expressions import Key
from sluice.folding.merge_reader import column_of, levels_of

SCALARS = (str, bool, int, float)
"Types of values that a property can be looked up by."

PLAIN = frozenset({str, bool, int})
"Those of which every value is equal to itself."


def is_missing(value: Any) -> bool:
    """Whether MERGE by this value would create something each time, since it never finds what it made."""
    return value is None or value != value  # noqa: PLR0124 - NaN


def first_missing(values: list[Any]) -> int | None:
    """The place of the first value that is no key; None if all are. Quick where they are texts and integers."""
    if set(map(type, values)) <= PLAIN:
        return None
    return next(
        (place for place, value in enumerate(values) if is_missing(value) or not isinstance(value, SCALARS)), None
    )


def check_key(name: str, value: Any) -> Any:
    """
    The value of a key.

    Raises:
        WrongMessage: it is null, NaN, or not a value that a property can be looked up by.
    """
    if is_missing(value):
        shown = "null or missing" if value is None else "not a number"
        raise WrongMessage(
            f"the key {name} is {shown}: nothing is found by that, and MERGE would create something new each time"
        )
    if not isinstance(value, SCALARS):
        raise WrongMessage(f"the key {name} must be a text, a number or a boolean, got {type(value).__name__}")
    return value


def check_column(name: str, key: Key, parameters: Sequence[Mapping[str, Any]]) -> None:
    """
    Checks a key of a query for the parameters of many.

    Raises:
        WrongMessage: it is null or NaN in one of them.
    """
    values = column_of(key, levels_of(key.lists, parameters))
    place = first_missing(values)
    if place is not None:
        way = "[].".join(".".join(part.path) for part in (*key.lists, key))
        check_key(f"{name} (${way.removesuffix('.')})", values[place])
