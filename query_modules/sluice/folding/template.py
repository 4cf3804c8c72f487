"""The text of one query into the text that does the same for many."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any, NamedTuple

from sluice.folding.query import Cut, Query

Row = Any
"The values of a query's parameters, in the order of its template: a tuple, or the value itself where that is bare."

ROWS = "rows"
"The parameter of a folded text."


class Template(NamedTuple):
    """What a text becomes once it is folded."""

    text: str
    names: tuple[str, ...]
    "The parameters of the text that it was made of, in the order in which a row holds them."
    is_bare: bool
    "Whether a row is the value of the only parameter itself, not a list of values."
    maps: frozenset[int]
    "Which of the parameters only ever are maps that a vertex or an edge gets as a whole."
    spread: Callable[[Sequence[Sequence[str]]], str]
    """
    The same for rows that have the values of those maps in their place, one behind the other: takes the keys of each,
    which are names. For each new choice of keys it is a new text.
    """


def template(text: str, query: Query) -> Template:
    """
    The text that unwinds a list of rows.

    A row is a list, not a map: Memgraph copies a map as a whole for each value that is asked of it, and the keys
    would be written and read again with each row (152,000 against 53,000 rows/s of twelve properties).
    """
    names = tuple(dict.fromkeys(cut.parameter for cut in query.cuts if cut.parameter))
    is_bare = len(names) == 1 and not query.looks_for_elements
    others = {cut.parameter for cut in query.cuts if not cut.is_map}
    maps = frozenset(number for number, name in enumerate(names) if name not in others)
    row = unused("row", query.names)

    def unwound(values: Iterable[str]) -> str:
        found = dict(zip(names, values, strict=True))
        return f"UNWIND ${ROWS} AS {row} {pasted(text, query.cuts, found, row)}"

    def spread(keys: Sequence[Sequence[str]]) -> str:
        places, keys_of = count(), dict(zip(sorted(maps), keys, strict=True))
        values = []
        for number in range(len(names)):
            items = [f"`{key}`: {row}[{next(places)}]" for key in keys_of.get(number, ())]
            values.append(f"{{{', '.join(items)}}}" if number in maps else f"{row}[{next(places)}]")
        return unwound(values)

    plain = unwound([row] if is_bare else (f"{row}[{number}]" for number in range(len(names))))
    return Template(plain, names, is_bare, maps, spread)


def unused(name: str, names: Container[str]) -> str:
    """The name, with a number behind it where the names have it already."""
    candidates = chain([name], (f"{name}_{number}" for number in count(1)))
    return next(candidate for candidate in candidates if candidate not in names)


def pasted(text: str, cuts: Iterable[Cut], values: Mapping[str, str], row: str = "") -> str:
    """
    The text with other pieces in the place of those that are cut out.

    Args:
        values: what stands for each parameter.
        row: what stands for the row.
    """
    pieces = []
    at = 0
    for cut in cuts:
        value = row if cut.carries_row else values.get(cut.parameter, "")
        if cut.is_looked_into and value.endswith("]"):
            value = f"({value})"  # the grammar has no property of an element
        pieces += [text[at : cut.start], cut.before, value]
        at = cut.end
    return "".join([*pieces, text[at:]])
