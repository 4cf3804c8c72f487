"""
Fields of maps as subscripts, `$value['id']` for `$value.id`, for servers that mistake one for the other's kind.

If MATCH looks for several vertices, Memgraph 2.14.1 takes a parameter's field for a property of one of them, and joins
them by it (`JoinRewriter::GenHashJoin` in `src/query/plan/rewrite/join.hpp`): the query finds nothing, or fails with an
unknown exception, as chance has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError

Parameters = TypeVar("Parameters", bound=Mapping[str, Any])

MAX_TEXTS = 1024
"Texts whose fields are remembered."

COLUMN = (Kind.SYMBOL, Kind.NAME, Kind.SYMBOL, Kind.INTEGER, Kind.SYMBOL, Kind.SYMBOL)
"What folding makes of a parameter that is a map: `(row[3])`."


class FieldPath(NamedTuple):
    """A place of a text."""

    start: int
    end: int
    parameter: str | None
    "None: a column of a folded query."
    names: tuple[str, ...]


def subscripted(queries: Iterable[tuple[str, Parameters]]) -> Iterator[tuple[str, Parameters]]:
    """The same queries. A field of what is no map, such as the year of a date, stays as it is."""
    for text, parameters in queries:
        yield _subscripted(text, parameters), parameters


def _subscripted(text: str, parameters: Mapping[str, Any]) -> str:
    pieces, at = [], 0
    for place in _fields(text):
        if place.parameter is None or _are_maps(parameters.get(place.parameter), place.names):
            quoted = (name.replace("\\", "\\\\").replace("'", "\\'") for name in place.names)
            pieces += [text[at : place.start], *(f"['{name}']" for name in quoted)]
            at = place.end
    return "".join([*pieces, text[at:]]) if pieces else text


def _are_maps(value: Any, names: tuple[str, ...]) -> bool:
    for name in names:
        if value is None:
            break
        if not isinstance(value, Mapping):
            return False
        value = value.get(name)
    return True


@lru_cache(maxsize=MAX_TEXTS)
def _fields(text: str) -> tuple[FieldPath, ...]:
    """Where fields are read that may be mistaken; none in a text that is not Cypher."""
    try:
        found = list(_until_end(text))
    except ClauseError:
        return ()
    places = []
    for number, token in enumerate(found):
        column = number >= len(COLUMN) and _is_column(found[number - len(COLUMN) : number + 1])
        if token.kind is not Kind.PARAMETER and not column:
            continue
        names = []
        end = number + 1
        while end + 1 < len(found) and found[end].text == "." and found[end + 1].kind in (Kind.NAME, Kind.QUOTED_NAME):
            names.append(found[end + 1].value)
            end += 2
        if names:
            start, last = token.start + len(token.text), found[end - 1]
            parameter = None if column else token.value
            places.append(FieldPath(start, last.start + len(last.text), parameter, tuple(names)))
    return tuple(places)


def _until_end(text: str) -> Iterator[Token]:
    for token in tokens(text):
        if token.kind is Kind.END:
            return
        yield token


def _is_column(found: list[Token]) -> bool:
    """Whether the tokens after the first are a column, and not what the first is called with."""
    before, *column = found
    shape = "".join(token.text for token in column if token.kind is Kind.SYMBOL)
    called = before.kind is Kind.NAME and before.start + len(before.text) == column[0].start
    return shape == "([])" and tuple(token.kind for token in column) == COLUMN and not called
