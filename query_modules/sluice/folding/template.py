"""A query's text into the text that does the same for many rows."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any, NamedTuple

from sluice.folding.query import Cut, Part, Query

Row = Any
"The values of a query's parameters, in the order of its template: a tuple, or the value itself if that is bare."

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
    """What a text takes from a parameter that is a map."""

    properties: tuple[str, ...]
    as_a_whole: bool
    "Whether a vertex or an edge gets it as a whole."


class Template(NamedTuple):
    """What a text becomes once it is folded."""

    text: str
    "For rows that are lists of the parameters' values."
    names: tuple[str, ...]
    "The parameters of the original text, in the order in which a row holds them."
    is_bare: bool
    "Whether a row is the value of the only parameter, not a list of values."
    maps: Mapping[int, Asked]
    "Which of the parameters are maps, by their number."
    has_columns: bool
    "Whether rows may be sent as columns: not if a WITH hands on the row, for it would hand on all rows."
    form: Callable[[Keys | None, Joined | None], str]
    """
    The same text for rows of another form. Takes the keys of each map, if its values are sent one by one in its place
    (None: maps are sent as maps), and which columns are joined, if rows are sent as columns (None: as rows). Keys are
    names, and include those that the text asks for. A single column of bare values is always joined.
    """


def template(query: Query) -> Template:
    """
    The text that unwinds a list of rows.

    A row is a list, not a map: Memgraph copies a map as a whole for each value that is asked of it, and the keys
    would be written and read again with each row (152,000 against 53,000 rows/s of twelve properties).
    """
    cuts = [cut for cut in query.cuts if cut.value[0]]
    names = tuple(dict.fromkeys(cut.value[0] for cut in cuts))
    # Memgraph treats `x IN name` and `x IN name[0]` differently.
    is_bare = len(names) == 1 and not any(token.is_keyword("IN") for token in query.tokens)
    others = {name for cut in cuts for name, asked in [cut.value] if cut.part is not Part.MAP and not asked}
    wholes = {cut.value[0] for cut in cuts if cut.part is Part.MAP}
    maps = {
        number: Asked(
            tuple(dict.fromkeys(asked for owner, asked in (cut.value for cut in cuts) if owner == name and asked)),
            name in wholes,
        )
        for number, name in enumerate(names)
        if name not in others
    }
    taken = query.names
    row, part = unused("row", taken), unused("part", taken)
    column = unused("column", {name.rpartition("_")[0] for name in taken})

    def form(keys: Keys | None, joined: Joined | None) -> str:
        if joined is None:
            head, at = f"UNWIND ${ROWS} AS {row}", f"{row}[{{}}]"
        elif is_bare and keys is None:
            head, at = f"UNWIND split(${ROWS}, ${SEPARATOR}) AS {row}", ""
        else:
            columns = (
                f"{f'split({part}[{number}], ${SEPARATOR})' if is_joined else f'{part}[{number}]'} AS {column}_{number}"
                for number, is_joined in enumerate(joined)
            )
            indices = f"range(0, size({column}_0) - 1)"
            head = f"UNWIND ${ROWS} AS {part} WITH {', '.join(columns)} UNWIND {indices} AS {row}"
            at = f"{column}_{{}}[{row}]"
        if is_bare and keys is None:
            values = {(names[0], ""): row}
        else:
            values = _values(names, {} if keys is None else dict(zip(maps, keys, strict=True)), at)
        return f"{head} {pasted(query.text, query.cuts, values, row)}"

    has_columns = bool(names) and not any(cut.part is Part.ROW for cut in query.cuts)
    return Template(form(None, None), names, is_bare, maps, has_columns, form)


def _values(names: Sequence[str], keys_of: Mapping[int, Sequence[str]], at: str) -> dict[Piece, str]:
    """What stands for each parameter; `at` is a format with a place for the number of the value."""
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
    """The name, or if it is among the names, the name with a number after it."""
    candidates = chain([name], (f"{name}_{number}" for number in count(1)))
    return next(candidate for candidate in candidates if candidate not in names)


def pasted(text: str, cuts: Iterable[Cut], values: Mapping[Piece, str], row: str = "") -> str:
    """
    The text with other pieces in the place of the cuts.

    Args:
        values: what stands for each parameter, and for those properties of parameters that have a value of their own.
        row: what stands for the row.
    """
    pieces = []
    at = 0
    for cut in cuts:
        owner, asked = cut.value
        value = row if cut.part is Part.ROW else values.get(cut.value, "")
        if asked and not value:
            value = f"{_in_brackets(values[owner, ''])}.{asked}"
        if cut.part is Part.OWNER:
            value = _in_brackets(value)
        pieces += [text[at : cut.start], cut.before, value]
        at = cut.end
    return "".join([*pieces, text[at:]])


def _in_brackets(value: str) -> str:
    """The value so that a property may be asked of it, which the grammar does not allow for an element of a list."""
    return f"({value})" if value.endswith("]") else value
