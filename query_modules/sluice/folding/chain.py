"""
Queries of one text of which each finds what an earlier one has made, as the links of a chain, into one query.

    MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id})

A MATCH does not find what earlier rows of its query have made. A MERGE does, and as long as something is there, it does
what MATCH would. So a chain becomes rows of MERGE. Whether the first link finds anything is not known beforehand: if it
does not, the query fails, and the batch has to be run as it was. Of 4000 links each takes 2.14.1 3.6 µs, in series 13.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isqrt
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.cypher.lexer import Kind
from sluice.folding.expressions import Key
from sluice.folding.query import Create, Match, Node, Pattern, Query
from sluice.folding.template import Template, pasted, template, unused

ROOT = "root"
"The parameter of a chain's text that its first query looks for."

ROOTLESS = "there is nothing for the first link of a chain to begin with"
"How a chain's query fails where its first link finds nothing."

MIN_LINKS = 4
"Queries of a text that are worth a chain."

_EXACT = frozenset({str, int})
"Types of values that are there, and equal only if they are the same."


class Chain(NamedTuple):
    """What queries of one text become that are a chain."""

    template: Template
    "With the rows of the text's own template."
    before: str
    "The text in front of the template's."
    found: Key
    "The value of the property by which a query finds a vertex."
    made: Key
    "The value of that property of the one vertex of that kind that it makes."


def chain(query: Query) -> Chain | None:
    """How chains of queries of this text become one query; None: they do not."""
    match query.clauses:
        case [Match([Pattern([sought], [])], [], False), *creates] if all(
            isinstance(clause, Create) for clause in creates
        ):
            pass
        case _:
            return None
    if sought.map or not sought.labels or len(sought.properties) != 1:
        return None
    [(name, value)] = sought.properties.items()
    made = [node for node in _made(query, sought) if node.map or set(sought.labels) <= set(node.labels)]
    if len(made) != 1 or name not in made[0].properties:
        return None
    found_by, made_with = value.key, made[0].properties[name].key
    begin, end = _match_clause(query)
    cuts = [cut for cut in query.cuts if cut.start < end]
    if found_by is None or made_with is None or len(cuts) != 1:
        return None
    [cut] = cuts
    if found_by.path != tuple(filter(None, cut.value)):
        return None
    # MERGE is as long as MATCH, so that all places in the text stay as they are.
    merging = replace(query, text=f"{query.text[:begin]}MERGE{query.text[begin + len('MERGE') :]}")
    looked = pasted(query.text[:end], cuts, {cut.value: f"${ROOT}"})
    found = unused("found", query.names)
    before = f"{looked} WITH count(*) AS {found} WITH assert({found} > 0, '{ROOTLESS}') AS {found} "
    return Chain(template(merging), before, found_by, made_with)


def chains(found: Sequence[Value], made: Sequence[Value]) -> list[list[int]] | None:
    """
    Queries of one text in chains: for each, which queries those are, in order. The first of each finds what was there
    before the batch, each other one what one before it in its chain has made or found. No chain finds what
    another makes.

    Args:
        found: the value by which each query finds a vertex.
        made: that of the vertex that it makes.

    Returns:
        None: they are no chains, or few queries, or many short chains, which are better folded across.
    """
    if len(found) < MIN_LINKS or not set(map(type, found)) | set(map(type, made)) <= _EXACT:
        return None
    owners: dict[Value, int] = {}
    "Value -> the chain that finds or makes it."
    members: list[list[int]] = []
    most = isqrt(len(found))  # with more of them there are fewer links one after the other than chains side by side
    for number, (sought, new) in enumerate(zip(found, made, strict=True)):
        owner = owners.get(sought)
        if owner is None:
            owner = owners[sought] = len(members)
            members.append([])
            if len(members) > most:
                return None
        # What finds what it makes itself would never end.
        if sought == new or owners.setdefault(new, owner) != owner:
            return None
        members[owner].append(number)
    return members


def _made(query: Query, sought: Node) -> Iterator[Node]:
    known = {sought.variable}
    for clause in query.clauses:
        if isinstance(clause, Create):
            for pattern in clause.patterns:
                for node in pattern.nodes:
                    if node.variable not in known:
                        known.add(node.variable)
                        yield node


def _match_clause(query: Query) -> tuple[int, int]:
    """Where the MATCH of a single vertex, with which the text begins, starts and ends."""
    depth = 0
    for token in query.tokens:
        if token.kind is Kind.SYMBOL:
            depth += (token.text in "([{") - (token.text in ")]}")
            if token.text == ")" and not depth:
                break
    return query.tokens[0].start, token.start + len(token.text)
