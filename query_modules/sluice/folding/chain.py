"""
Queries of one text of which each finds what one before it has made, as the links of a chain, into one query.

    MATCH (n:N {id: $last}) CREATE (n)-[:NEXT]->(:N {id: $id})

A MATCH does not find what earlier rows of its query have made. A MERGE does, and as long as something is there, it does
what MATCH would. So a chain becomes rows of MERGE. Whether the first finds anything is not known beforehand: where it
does not, the query fails, and whoever runs it has to run the batch as it was. Of 4000 links each takes 2.14.1 3.6 µs,
in series 13.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isqrt
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.cypher.lexer import Kind, Token
from sluice.folding.expressions import Form, Key
from sluice.folding.query import Create, Match, Node, Pattern, Query
from sluice.folding.source import Source
from sluice.folding.template import Template, pasted, template, unused

ROOT = "root"
"The parameter of a chain's text that its first query looks for."

ROOTLESS = "there is nothing for the first link of a chain to begin with"
"How a chain's query fails where its first link finds nothing."

FEWEST = 4
"Queries of a text that are worth to become chains."

_EXACT = frozenset({str, int})
"Types of values that are there, and equal only if they are the same."


class Chain(NamedTuple):
    """What queries of one text become that are a chain."""

    template: Template
    "With rows as the text's own."
    before: str
    "What stands in front of the template's text."
    found: Key
    "The value of the property by which a query finds a vertex."
    made: Key
    "The value of that property of the only vertex that it makes of that kind."


def chain(text: str, query: Query) -> Chain | None:
    """How a chain of queries of this text is brought into one query; None: it is not."""
    match query.clauses:
        case [Match([Pattern([sought], [])], []), *creates] if all(isinstance(clause, Create) for clause in creates):
            pass
        case _:
            return None
    head, end = _match_clause(text)
    if sought.map or not sought.labels or len(sought.properties) != 1 or text[head:end][:5].upper() != "MATCH":
        return None  # OPTIONAL MATCH, for one
    [(name, value)] = sought.properties.items()
    made = [node for node in _made(query, sought) if node.map or (set(sought.labels) <= set(node.labels))]
    if len(made) != 1 or made[0].map or name not in made[0].properties:
        return None
    keys = [given.key for given in (value, made[0].properties[name]) if given.form is Form.KEY and given.key]
    cuts = [cut for cut in query.cuts if cut.start < end]
    if len(keys) < 2 or len(cuts) != 1:
        return None
    [found_by, made_with], [cut] = keys, cuts
    if found_by.path != tuple(filter(None, (cut.parameter, cut.property))):
        return None
    # MERGE is as long as MATCH, so that all places in the text stay as they are.
    merging = template(f"{text[:head]}MERGE{text[head + len('MERGE') :]}", query)
    looked = pasted(text[:end], cuts, {(cut.parameter, cut.property): f"${ROOT}"})
    found = unused("found", query.names)
    before = f"{looked} WITH count(*) AS {found} WITH assert({found} > 0, '{ROOTLESS}') AS {found} "
    return Chain(merging, before, found_by, made_with)


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
    if len(found) < FEWEST or not set(map(type, found)) | set(map(type, made)) <= _EXACT:
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


def _match_clause(text: str) -> tuple[int, int]:
    """Where the MATCH at the head of the text begins, and where it ends."""
    source = Source(text)
    depth, begin = 0, source.token.start
    token: Token = source.take()
    while token.kind is not Kind.END:
        if token.kind is Kind.SYMBOL:
            depth += (token.text in "([{") - (token.text in ")]}")
            if not depth and token.text == ")":
                break
        token = source.take()
    return begin, token.start + len(token.text)
