"""The text of one query into the text that does the same for many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sluice.folding.query import Cut, Query

ROWS = "rows"
"The parameter of a folded text."


class Template(NamedTuple):
    """What a text becomes once it is folded."""

    text: str
    names: tuple[str, ...]
    "The parameters of the text that it was made of, in the order in which a row holds them."
    is_bare: bool
    "Whether a row is the value of the only parameter itself, not a list of values."


def template(text: str, query: Query) -> Template:
    """
    The text that unwinds a list of rows.

    A row is a list, not a map: Memgraph copies a map as a whole for each value that is asked of it, and the keys
    would be written and read again with each row (152,000 against 53,000 rows/s of twelve properties).
    """
    names = tuple(dict.fromkeys(cut.parameter for cut in query.cuts if cut.parameter))
    is_bare = len(names) == 1 and not query.looks_for_elements
    row = next(name for name in _candidates() if name not in query.names)
    values = {name: row if is_bare else f"{row}[{number}]" for number, name in enumerate(names)}
    return Template(f"UNWIND ${ROWS} AS {row} {_pasted(text, query.cuts, values, row)}", names, is_bare)


def _candidates() -> Iterable[str]:
    yield "row"
    number = 0
    while True:
        number += 1
        yield f"row_{number}"


def _pasted(text: str, cuts: list[Cut], values: dict[str, str], row: str) -> str:
    pieces = []
    at = 0
    for cut in cuts:
        value = row if cut.carries_row else values.get(cut.parameter, "")
        if cut.is_looked_into and value.endswith("]"):
            value = f"({value})"  # the grammar has no property of an element
        pieces += [text[at : cut.start], cut.before, value]
        at = cut.end
    return "".join([*pieces, text[at:]])
