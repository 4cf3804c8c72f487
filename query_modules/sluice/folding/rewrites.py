"""The ways in which queries of one text become fewer."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from sluice.folding.chain import Chain, chain
from sluice.folding.needs import Need
from sluice.folding.query import Query
from sluice.folding.series import Series, series
from sluice.folding.template import Template, template


class Rewrites(NamedTuple):
    """What queries of one text may become."""

    rows: Template
    "Rows of an UNWIND."
    series: Series | None
    "One after the other; None: that is not possible, or takes the server too long to plan."
    chain: Chain | None
    "Rows of which each finds what one before it has made."


RULES: tuple[
    Callable[[Query], Template], Callable[[Query, Template], Series | None], Callable[[Query], Chain | None]
] = (template, series, chain)
"How each of the `Rewrites` is made, in their order."


def rewrites_of(query: Query, lacks: AbstractSet[Need] = frozenset()) -> Rewrites:
    """What queries of this text may become. `lacks`: what folding needs and this server does not do."""
    in_rows, in_series, in_chains = RULES
    rows = in_rows(query)
    return Rewrites(
        rows._replace(has_columns=rows.has_columns and Need.COLUMNS not in lacks),
        None if Need.SERIES in lacks else in_series(query, rows),
        None if Need.CHAIN in lacks else in_chains(query),
    )
