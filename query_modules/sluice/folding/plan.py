"""All that is known of a text whose queries are folded."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from sluice.folding.access import Access
from sluice.folding.access_reader import access_of
from sluice.folding.expressions import Key
from sluice.folding.needs import REASONS, Need, needs_of
from sluice.folding.ordering import index_key
from sluice.folding.parser import parse
from sluice.folding.rewrites import Rewrites, rewrites_of
from sluice.folding.token_stream import NotUnderstood


class Plan(NamedTuple):
    """What the queries of one text do, and what they may become."""

    access: Access
    rewrites: Rewrites
    index_key: Key | None = None
    "The value by which rows may be sorted."


def plan_of(text: str, lacks: AbstractSet[Need] = frozenset()) -> Plan:
    """
    What is known of a text.

    Args:
        lacks: what folding needs and this server does not do.

    Raises:
        NotUnderstood: the text is not understood, or not known to do the same once it is folded.
    """
    query = parse(text)
    missing = needs_of(query) & lacks
    if missing:
        raise NotUnderstood(REASONS[min(missing)])
    access = access_of(query)
    return Plan(access, rewrites_of(query, lacks), index_key(access))
