"""
What the sandbox's engine cannot tell about folding, and why.

What a query sees of its own writes is the same on ArcadeDB (26.10) as on Memgraph, within an UNWIND as well: MATCH and
WHERE the graph as it was when the query began, MERGE and the values in SET what earlier rows have done. Folded and one
by one, some hundred batches of each theme and 4000 of texts at random came out alike, but for ten of the last, in which
a clause wrote what a later one read or changed (`rows_meet_between_clauses`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache

from sluice.folding.chain import ROOT
from tests.unit.folding.batches import Query, named
from tests.unit.folding.model import Refused, State, execute
from tests.unit.folding.themes import THEMES, Case

LARGEST = 200
"Vertices and edges, together, of a graph that is made there."

_WRITES = re.compile(r"(?<!ON )(?<!ON CREATE )(?<!ON MATCH )\b(?:CREATE|MERGE|SET|REMOVE|DELETE)\b")
"What MERGE sets is part of it, and FOREACH is what is in it."


def rows_meet_between_clauses(case: Case, _: list[Query], ending: str) -> bool:
    """
    Texts at random of which more than one clause writes.

    Memgraph takes each row through all clauses before it takes the next; ArcadeDB takes all rows through a SET, a
    FOREACH or a CREATE first, so that what a later clause reads is what the last row wrote. That has nothing to do with
    folding: one query that matches several vertices shows it as well. Texts of the themes that write in more than one
    clause stay: their rows do not meet in that way.
    """
    texts = {text for text, _ in case.batch} - _of_themes(ending)
    return any(len(_WRITES.findall(text)) > 1 for text in texts)


def graphs_grow(case: Case, folded: list[Query], _: str) -> bool:
    """
    Batches that make so much that they never end, or take seconds.

    ArcadeDB has no word to end a query of another connection, and goes on when its own is closed.
    """
    return any(_grows([*case.setup, *batch]) for batch in (case.batch, folded))


def links_wait_for_each_other(_: Case, folded: list[Query], __: str) -> bool:
    """
    Batches with a chain that becomes one query.

    ArcadeDB takes all rows through MERGE before it takes the first through CREATE, so none finds what another made.
    """
    return any(ROOT in parameters for _, parameters in folded)


LEFT_OUT: tuple[Callable[[Case, list[Query], str], bool], ...] = (
    rows_meet_between_clauses,
    graphs_grow,
    links_wait_for_each_other,
)
"Which batches are not tried on the sandbox; each says why."

UNSEEN = {
    "chains_begin_anywhere": "chains are left out",
    "links_hang_together": "chains are left out",
    "joins_keep_the_order": "the order in which parts of a MATCH are joined is the planner's, and ArcadeDB has another",
}
"Wrong rules that need not show on the sandbox."


def is_left_out(case: Case, folded: list[Query], ending: str = "") -> bool:
    """
    Whether the batch is none for the sandbox.

    Args:
        folded: what it becomes.
        ending: what stands for `~` in the names of the case.
    """
    return any(leaves_out(case, folded, ending) for leaves_out in LEFT_OUT)


@cache
def _of_themes(ending: str) -> frozenset[str]:
    return frozenset(named(text, ending) for theme in THEMES.values() for text in theme.texts)


def _grows(queries: list[Query]) -> bool:
    state = State()
    try:
        for text, parameters in queries:
            execute(state, text, copy.deepcopy(parameters))
    except Refused:
        return True
    return len(state.vertices) + len(state.edges) > LARGEST
