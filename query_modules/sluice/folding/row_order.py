"""Whether Memgraph takes the rows of an UNWIND through a query one after the other, in their order."""

from __future__ import annotations

from sluice.folding.query import Create, Delete, Match, Merge, Query, Set, With


def is_unordered(query: Query) -> bool:
    """Whether rows may come out in another order, or all be taken through one part of the query before the next."""
    return _has_parts(query) or has_join(query)


def _has_parts(query: Query) -> bool:
    wrote = deleted = False
    for clause in query.clauses:
        if isinstance(clause, With):
            # When WITH computes a value, before or after another row has got further, is not known.
            if wrote or any(value.variables for value in clause.values.values()):
                return True
        elif isinstance(clause, Create | Merge | Set | Delete):
            # What is deleted is gone once all rows are through.
            if deleted:
                return True
            wrote, deleted = True, isinstance(clause, Delete)
    return False


def has_join(query: Query) -> bool:
    """Whether MATCH has parts that are not connected."""
    parts: list[set[str]] = []
    for clause in query.clauses:
        for pattern in clause.patterns if isinstance(clause, Match) else []:
            part = {node.variable for node in pattern.nodes}
            joined = [other for other in parts if other & part]
            parts = [other for other in parts if not other & part] + [part.union(*joined)]
    return len(parts) > 1
