"""Names of streams, of which no two are listed as the same."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.values.model import VertexId


def distinct_names(names: Mapping[VertexId, str]) -> dict[VertexId, str]:
    """
    A distinct name for each stream. If several have the same name, which only concurrent first CREATEs or an edit by
    hand can cause, the one with the lowest id keeps it, and the others get it with a number.

    Args:
        names: the streams' names, by the ids of their nodes.
    """
    found: dict[VertexId, str] = {}
    taken: set[str] = set()
    given = set(names.values())
    for stream, name in sorted(names.items()):
        number, free = 1, name
        while free in taken or (number > 1 and free in given):
            number += 1
            free = f"{name}_{number}"
        found[stream] = free
        taken.add(free)
    return found
