"""
Queries of one text that have to stay one after the other into one query of several parts.

A query of its own costs Memgraph some 20 µs, whatever it does, a part of a query half of that. A WITH that counts
stands between the parts, so that the next part sees all that was done before, and runs once whether or not anything
was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.folding.query import Match, Merge, Part, Query, patterns_of
from sluice.folding.template import Row, Template, pasted, unused

SIZES = (16, 4)
"The numbers of parts that a query may have: few, since each is a text that the server has to plan."


class Series(NamedTuple):
    """What queries of one text become that follow one another."""

    parts: tuple[str, ...]
    "The query at each place of a series."
    between: str
    "The text between two parts."
    names: tuple[str, ...]
    "The parameters of all parts, in order."
    is_bare: bool
    "As `Template.is_bare`."

    def text(self, size: int) -> str:
        """The text for a number of queries, one of `SIZES`."""
        return self.between.join(self.parts[:size])

    def parameters(self, rows: Sequence[Row]) -> dict[str, Value]:
        """The parameters of the text for these rows."""
        values = rows if self.is_bare else chain.from_iterable(rows) if self.names else ()
        return dict(zip(self.names, values))  # noqa: B905 - of parts that are there


def series(query: Query, template: Template) -> Series | None:
    """
    How queries of this text become a series; None: they do not.

    Memgraph plans a MATCH or MERGE from each of its vertices and compares the plans, and does so for all parts at once:
    8 parts with an edge each take it 0.3 s, 32 take 13 s (2.14.1). With one vertex there is one plan.
    """
    matched = [pattern for clause in query.clauses if isinstance(clause, Match) for pattern in clause.patterns]
    merged = [pattern for clause in query.clauses if isinstance(clause, Merge) for pattern in patterns_of(clause)]
    if len(matched) > 1 or any(pattern.edges for pattern in matched + merged):
        return None
    # A part ends where its text does: a comment would go on, and nothing may follow a semicolon.
    text = query.text[: query.end]
    cuts = [cut for cut in query.cuts if cut.part is not Part.ROW]
    places = [{name: f"p{number}_{place}" for place, name in enumerate(template.names)} for number in range(max(SIZES))]
    return Series(
        tuple(pasted(text, cuts, {(name, ""): f"${given}" for name, given in place.items()}) for place in places),
        f" WITH count(*) AS {unused('done', query.names)} ",
        tuple(chain.from_iterable(place.values() for place in places)),
        template.is_bare,
    )
