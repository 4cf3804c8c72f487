"""
Queries of one text that have to stay one after the other into one query of several parts.

A query of its own costs Memgraph some 20 µs, whatever it does, a part of one the half. Between the parts stands a WITH
that counts: so what follows sees all that was done before it, and is done once, whether or not anything was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter

from sluice.bolt.values import Value
from sluice.folding.query import Match, Merge, Query
from sluice.folding.template import Row, Template, pasted, unused

SIZES = (16, 4)
"How many parts a query may have: few sizes, since each is a text that the server has to plan."


class Series:
    """What queries of one text become that follow one another. Never changes once it is made."""

    def __init__(self, text: str, query: Query, template: Template) -> None:
        self._is_bare = template.is_bare
        self._width = len(template.names)
        # A part ends where its text does: a comment would go on, and what follows a semicolon is refused.
        text = text[: query.end]
        cuts = [cut for cut in query.cuts if not cut.carries_row]
        parts = []
        for number in range(max(SIZES)):
            values = {(name, ""): f"${_parameter(number, place)}" for place, name in enumerate(template.names)}
            parts.append(pasted(text, cuts, values))
        self._parameters = [_parameter(number, place) for number in range(max(SIZES)) for place in range(self._width)]
        between = f" WITH count(*) AS {unused('done', query.names)} "
        self._texts = {size: between.join(parts[:size]) for size in SIZES}

    def text(self, size: int) -> str:
        """The text for so many queries, one of `SIZES`."""
        return self._texts[size]

    def parameters(self, rows: Sequence[Row]) -> dict[str, Value]:
        """The parameters of the text for these rows."""
        if not self._width:
            return {}
        values = rows if self._is_bare else chain.from_iterable(rows)
        return dict(zip(self._parameters[: len(rows) * self._width], values, strict=True))


def series(text: str, query: Query, template: Template) -> Series | None:
    """
    How queries of this text are brought into one; None: they are not.

    Memgraph plans a MATCH or MERGE from each of its vertices and compares the plans, and does so for all parts at once:
    8 parts with an edge each take it 0.3 s, 32 take 13 s (2.14.1). With one vertex there is one plan.
    """
    found = [clause for clause in query.clauses if isinstance(clause, Match)]
    patterns = [pattern for clause in found for pattern in clause.patterns]
    merged = [clause.pattern for clause in query.clauses if isinstance(clause, Merge)]
    if len(patterns) > 1 or any(map(attrgetter("edges"), patterns + merged)):
        return None
    return Series(text, query, template)


def _parameter(number: int, place: int) -> str:
    return f"p{number}_{place}"
