"""
What folding needs of the server beyond the single queries: what the rows of one query see of each other.

`workers.probe` asks the server for each of these. Texts that need what it lacks are sent as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import Enum

from sluice.folding.query import Create, Delete, Loop, Merge, Query, Set, patterns_of


class Need(str, Enum):
    """One thing that folded queries rest on."""

    ROWS = "rows"
    "UNWIND gives each row of a list that is a parameter once, and an index its values."
    SET = "set"
    "Rows come in order, and SET reads what earlier rows have written."
    MERGE = "merge"
    "MERGE finds what earlier rows have made."
    CLAUSES = "clauses"
    "Each row is taken through all clauses before the next row is."
    DELETE = "delete"
    "Several rows may delete the same."
    FOREACH = "foreach"
    "What FOREACH does for a row is done before the next row."
    SERIES = "series"
    "After `WITH count(*)` there is one row, and all that was done before it is seen."
    CHAIN = "chain"
    "MERGE finds what earlier rows have made by CREATE."
    COLUMNS = "columns"
    "`split`, `range` and an index give the values of a column, in their order."
    RELATIONSHIPS = "relationships"
    "No index on relationships, under which some plans of MATCH and MERGE differ, or end the server."
    FIELDS = "fields"
    "A field of a parameter is its own where MATCH looks for several vertices (`subscripts`)."
    ZONES = "zones"
    "Datetimes with a zone."


UNFOLDED = frozenset([Need.FIELDS, Need.ZONES])
"What folded queries rest on no more than others do: there is another way, and no text is kept from being folded."


REASONS: Mapping[Need, str] = {
    Need.ROWS: "on this server UNWIND does not give the rows that were sent",
    Need.SET: "on this server SET does not read what earlier rows of a query have written",
    Need.MERGE: "on this server MERGE does not find what earlier rows of a query have made",
    Need.CLAUSES: "this server takes all rows through one clause before the next, and the text writes in several",
    Need.DELETE: "on this server rows of a query cannot delete the same twice",
    Need.FOREACH: "this server takes all rows through FOREACH before the next clause",
    Need.SERIES: "on this server a query does not see what its own earlier parts have done",
    Need.CHAIN: "on this server MERGE does not find what earlier rows of a query have made by CREATE",
    Need.COLUMNS: "on this server columns do not give the values that were sent",
    Need.RELATIONSHIPS: (
        "there is an index on relationships here, and the text matches or merges one without a direction, or with an "
        "end that has no label"
    ),
    Need.FIELDS: "this server mistakes fields of parameters: they are sent as subscripts",
    Need.ZONES: "this server has no datetimes with a zone: they are sent in UTC",
}
"Why something is not folded where the server lacks what it needs."


def needs_of(query: Query) -> frozenset[Need]:
    """What the text needs to be folded at all; series, chains and columns are ways to do so."""
    return frozenset(_needs(query))


def lacking(names: Collection[str]) -> frozenset[Need]:
    """Needs by their values, unknown ones left out."""
    return frozenset(need for need in Need if need.value in names)


def _needs(query: Query) -> Iterator[Need]:
    yield Need.ROWS
    writes = 0
    for clause in query.clauses:
        writes += isinstance(clause, Create | Merge | Set | Delete)
        if isinstance(clause, Merge):
            yield Need.MERGE
        if isinstance(clause, Set) or (isinstance(clause, Merge) and clause.actions):
            yield Need.SET
        if isinstance(clause, Delete):
            yield Need.DELETE
        if isinstance(clause, Loop):
            yield Need.FOREACH
    if writes > 1:
        yield Need.CLAUSES
    if not _has_plain_relationships(query):
        yield Need.RELATIONSHIPS


def _has_plain_relationships(query: Query) -> bool:
    """Whether each relationship that is looked for has a direction and a type, and both its ends a label."""
    patterns = [(clause, pattern) for clause in query.clauses for pattern in patterns_of(clause)]
    labelled = {node.variable for _, pattern in patterns for node in pattern.nodes if node.labels}
    return all(
        edge.directed and len(edge.types) == 1 and {edge.source, edge.target} <= labelled and edge.source != edge.target
        for clause, pattern in patterns
        if not isinstance(clause, Create)
        for edge in pattern.edges
    )
