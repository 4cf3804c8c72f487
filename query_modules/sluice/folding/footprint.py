"""
A text into its footprint: the vertices and relationships that it finds, makes and changes, and by which properties.

Transactions of lanes of one stream run at the same time only if neither finds or reads what the other makes or changes.
What both change, the server notices by itself. So the graph is one that the same transactions give one after the other,
in the order in which they were committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sluice.folding.access import Access, Action, Element, Origin, Write
from sluice.folding.access_reader import access_of
from sluice.folding.expressions import Key
from sluice.folding.merges import MAX_MERGED, Merged, assignments_of, at_ends, together, values_of
from sluice.folding.parser import parse
from sluice.folding.token_stream import NotUnderstood
from sluice.values.merge_keys import CHANGES, DELETES, FINDS, MAKES, MergeShape


class Place(NamedTuple):
    """A vertex or a relationship of a text, or many of the same shape."""

    merged: Merged
    map: Key | None = None
    "The map that has the values of all other properties of what is made."

    def looked_up_by(self, known_sets: Iterable[frozenset[str]]) -> Merged:
        """
        With the values of those properties by which others look for such a thing, if it is made. Those that look for it
        by other properties are taken to find it.

        Args:
            known_sets: the properties by which things are looked for.
        """
        shape, lists, values = self.merged
        if shape.roles != MAKES:
            return self.merged
        known: Mapping[str, Key] = dict(zip(sorted(shape.known), values, strict=True))
        fitting = [names for names in known_sets if names and (names <= known.keys() or self.map is not None)]
        names = min(fitting, key=lambda names: (len(names), sorted(names)), default=frozenset[str]())
        chosen = {name: known.get(name) or self._mapped(name) for name in names}
        shape = shape._replace(known=frozenset())
        return together(shape, chosen) if chosen else Merged(shape, lists, ())

    def _mapped(self, name: str) -> Key | None:
        return None if self.map is None else self.map._replace(path=(*self.map.path, name))


def footprint_of(text: str) -> tuple[Place, ...] | None:
    """The footprint of queries of this text; None: it may find and change anything."""
    try:
        query = parse(text)
        access = access_of(query)
        assignments = list(assignments_of(query))
        values = {name: values_of(element, None, assignments) for name, element in access.elements.items()}
        found = tuple(place for element in access.elements.values() for place in _places(access, element, values))
    except NotUnderstood:
        return None
    return found if len(found) <= MAX_MERGED else None


def _places(access: Access, element: Element, values: Mapping[str, Mapping[str, Key | None]]) -> Iterator[Place]:
    writes = [write for write in access.writes if write.variable == element.variable]
    is_new = element.origin is Origin.CREATED
    makes = is_new or any(write.action is Action.CREATED for write in writes)
    gains = _gains(element, writes)
    changes = not is_new and (gains is None or bool(gains))
    deletes = any(write.action is Action.DELETED for write in writes)
    does = {FINDS: not is_new, MAKES: makes, CHANGES: changes, DELETES: deletes}
    roles = "".join(role for role, is_so in does.items() if is_so)
    labels = frozenset(element.labels)
    shape = MergeShape(
        is_edge=element.is_edge,
        labels=labels | {write.name for write in writes if write.action is Action.LABELLED},
        names=frozenset(element.properties),
        known=frozenset(),
        gains=gains,
        required=labels,
        roles=roles,
        watched=frozenset(element.watched | {read.name for read in access.reads if read.variable == element.variable}),
    )
    is_certain = not (is_new and element.checks) and not any(write.action is Action.REPLACED for write in writes)
    for found in at_ends(element, values):
        yield Place(together(shape, found if is_certain else {}), element.map if is_new and is_certain else None)
    if not is_new:
        for check in element.checks:  # what it is looked for by may be what the map says, once it is written
            mapped = {name: check.map._replace(path=(*check.map.path, name)) for name in element.properties}
            yield Place(together(shape._replace(roles=CHANGES, gains=None), mapped))
    if deletes and not element.is_edge:
        anything = MergeShape(True, frozenset(), frozenset(), frozenset(), None, roles=DELETES)
        yield Place(Merged(anything, (), ()))


def _gains(element: Element, writes: Iterable[Write]) -> frozenset[str] | None:
    """The properties, and labels with a colon, that may come, go or get another value; None: all."""
    if element.open or element.map is not None:
        return None
    gains = set()
    for write in writes:
        if write.action in (Action.ASSIGNED, Action.LABELLED):
            gains.add(str(write.value))
        elif write.action not in (Action.CREATED, Action.DELETED):
            return None
    return frozenset(gains)
