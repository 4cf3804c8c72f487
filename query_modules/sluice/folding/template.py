"""The text of one query into the text that does the same for many."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any, NamedTuple

from sluice.folding.query import Cut, Query

Row = Any
"The values of a query's parameters, in the order of its template: a tuple, or the value itself where that is bare."

Piece = tuple[str, str]
"A parameter, and a property of it; empty: the parameter itself."

ROWS = "rows"
SEPARATOR = "by"
"The parameters of a folded text: the rows, and what stands between values that are joined to one text."

Keys = tuple[tuple[str, ...], ...]
"The keys of each map of a template."

Joined = tuple[bool, ...]
"For each column, whether its values are joined."


class Asked(NamedTuple):
    """What is asked of a parameter that is a map."""

    properties: tuple[str, ...]
    as_a_whole: bool
    "Whether a vertex or an edge gets it as a whole."


class Template(NamedTuple):
    """What a text becomes once it is folded."""

    text: str
    "For rows that are lists of the parameters' values."
    names: tuple[str, ...]
    "The parameters of the text that it was made of, in the order in which a row holds them."
    is_bare: bool
    "Whether a row is the value of the only parameter itself, not a list of values."
    maps: Mapping[int, Asked]
    "Which of the parameters are maps."
    has_columns: bool
    "Whether rows may be sent as columns: nothing in the text hands a row on, which would hand on all of them."
    form: Callable[[Keys | None, Joined | None], str]
    """
    The same text for other rows. Takes the keys that each of the maps has, which are names, those that are asked of it
    among them, and have their values in its place, one after the other; None: maps are maps. And for rows that come as
    columns, which of those are joined; None: they come as rows. The only column of values by themselves is joined.
    """


def template(text: str, query: Query) -> Template:
    """
    The text that unwinds a list of rows.

    A row is a list, not a map: Memgraph copies a map as a whole for each value that is asked of it, and the keys
    would be written and read again with each row (152,000 against 53,000 rows/s of twelve properties).
    """
    cuts = [cut for cut in query.cuts if cut.parameter]
    names = tuple(dict.fromkeys(cut.parameter for cut in cuts))
    is_bare = len(names) == 1 and not query.looks_for_elements
    others = {cut.parameter for cut in cuts if not (cut.is_map or cut.property)}
    wholes = {cut.parameter for cut in cuts if cut.is_map}
    maps = {
        number: Asked(
            tuple(dict.fromkeys(cut.property for cut in cuts if cut.parameter == name and cut.property)), name in wholes
        )
        for number, name in enumerate(names)
        if name not in others
    }
    row, part = unused("row", query.names), unused("part", query.names)
    column = unused("column", {name.rpartition("_")[0] for name in query.names})

    def form(keys: Keys | None, joined: Joined | None) -> str:
        if joined is None:
            head, at = f"UNWIND ${ROWS} AS {row}", f"{row}[{{}}]"
        elif is_bare and keys is None:
            head, at = f"UNWIND split(${ROWS}, ${SEPARATOR}) AS {row}", ""
        else:
            taken = (
                f"{f'split({part}[{number}], ${SEPARATOR})' if is_joined else f'{part}[{number}]'} AS {column}_{number}"
                for number, is_joined in enumerate(joined)
            )
            indices = f"range(0, size({column}_0) - 1)"
            head = f"UNWIND ${ROWS} AS {part} WITH {', '.join(taken)} UNWIND {indices} AS {row}"
            at = f"{column}_{{}}[{row}]"
        if is_bare and keys is None:
            values = {(names[0], ""): row}
        else:
            values = _values(names, {} if keys is None else dict(zip(maps, keys, strict=True)), at)
        return f"{head} {pasted(text, query.cuts, values, row)}"

    has_columns = bool(names) and not any(cut.carries_row for cut in query.cuts)
    return Template(form(None, None), names, is_bare, maps, has_columns, form)


def _values(names: Sequence[str], keys_of: Mapping[int, Sequence[str]], at: str) -> dict[Piece, str]:
    """What stands for each parameter; `at` has a place for the number of a value."""
    places = count()
    values = {}
    for number, name in enumerate(names):
        if number not in keys_of:
            values[name, ""] = at.format(next(places))
            continue
        items = {key: at.format(next(places)) for key in keys_of[number]}
        values[name, ""] = f"{{{', '.join(f'`{key}`: {value}' for key, value in items.items())}}}"
        values |= {(name, key): value for key, value in items.items()}
    return values


def unused(name: str, names: Container[str]) -> str:
    """The name, with a number after it where the names have it already."""
    candidates = chain([name], (f"{name}_{number}" for number in count(1)))
    return next(candidate for candidate in candidates if candidate not in names)


def pasted(text: str, cuts: Iterable[Cut], values: Mapping[Piece, str], row: str = "") -> str:
    """
    The text with other pieces in the place of those that are cut out.

    Args:
        values: what stands for each parameter, and for properties of parameters where that is something of its own.
        row: what stands for the row.
    """
    pieces = []
    at = 0
    for cut in cuts:
        value = row if cut.carries_row else values.get((cut.parameter, cut.property), "")
        if cut.property and not value:
            value = f"{_in_brackets(values[cut.parameter, ''])}.{cut.property}"
        if cut.is_looked_into:
            value = _in_brackets(value)
        pieces += [text[at : cut.start], cut.before, value]
        at = cut.end
    return "".join([*pieces, text[at:]])


def _in_brackets(value: str) -> str:
    """The value as one of which a property may be asked: the grammar has none of an element."""
    return f"({value})" if value.endswith("]") else value
