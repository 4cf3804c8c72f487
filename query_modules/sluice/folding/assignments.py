"""What SET and REMOVE do to vertices and edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sluice.folding.access import Action, Element, Origin, OverwriteCheck
from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.notes import Notes
from sluice.folding.query import Assignment
from sluice.folding.token_stream import NotUnderstood


def note_assignments(notes: Notes, items: Iterable[Assignment]) -> None:
    """
    Notes what the items of SET or REMOVE read and write.

    Raises:
        NotUnderstood: that cannot be told.
    """
    for item in items:
        element = notes.scope.element(item.variable)
        if item.labels:
            _label(notes, element, item)
        elif item.property:
            _assign(notes, element, item.property, item.value)
        elif item.value is not None:
            notes.read(item.value)
            _overwrite(notes, element, notes.scope.resolved(item.value), item.replaces)


def _label(notes: Notes, element: Element, item: Assignment) -> None:
    if element.is_edge:
        raise NotUnderstood("it changes the label of an edge")
    if element.origin is not Origin.CREATED:
        for label in item.labels:
            notes.write(element, Action.LABELLED, label)
    elif item.removes:
        raise NotUnderstood("it takes a label from a vertex that it has just made")
    else:
        element.labels |= set(item.labels)


def _assign(notes: Notes, element: Element, name: str, value: Expression | None) -> None:
    if value is not None:
        notes.read(value)
    if element.origin is not Origin.CREATED:
        others = value.variables - notes.scope.values - {element.variable} if value is not None else ()
        notes.is_ambiguous |= bool(others)
        notes.write(element, Action.ASSIGNED, name)
    elif name in element.required or value is None:
        element.keys.pop(name, None)
        element.required.add(name)
    else:
        notes.require(element, name, value)


def _overwrite(notes: Notes, element: Element, value: Expression, replaces: bool) -> None:
    """SET variable = map, or variable += map."""
    elements, name = notes.scope.list_of(value), value.property
    if value.form is Form.MAP:
        _overwrite_by_literal(notes, element, value.entries, replaces)
    elif value.key is not None and value.key.path:
        _overwrite_by_parameter(notes, element, value.key, replaces)
    elif elements is not None and not (element.is_edge or element.origin is Origin.CREATED or replaces):
        found = {} if name else notes.sources.get(element.variable, {})
        same = frozenset(asked for asked, source in found.items() if source == (value.name, asked))
        notes.write(element, Action.EXTENDED)
        element.checks.append(OverwriteCheck(elements, replaces=False, each=True, name=name, kept=same))
    elif value.variables and value.variables <= notes.scope.items:
        element.open = True
        if element.origin is not Origin.CREATED:
            notes.write(element, Action.REPLACED)
    else:
        raise NotUnderstood("it sets the properties to something else than a map or a parameter")


def _overwrite_by_literal(notes: Notes, element: Element, entries: Mapping[str, Expression], replaces: bool) -> None:
    given = {name: notes.scope.resolved(value).key for name, value in entries.items()}
    # Does a map that replaces all properties have those by which the vertex is looked for, as they are?
    has_keys = not element.is_edge and all(given.get(name) == key for name, key in element.keys.items())
    kept = frozenset(element.keys) if replaces and has_keys else frozenset()
    if replaces and element.origin is not Origin.CREATED:
        notes.write(element, Action.RESET if kept else Action.REPLACED)
    for name, value in entries.items():
        if name not in kept:
            _assign(notes, element, name, value)


def _overwrite_by_parameter(notes: Notes, element: Element, key: Key, replaces: bool) -> None:
    if element.origin is Origin.CREATED:
        if element.map is not None:
            raise NotUnderstood("two maps of properties are written over one another")
        element.map = key
        if element.required and element.is_edge:
            element.open = True
            element.keys.clear()
        elif element.required:
            element.open |= replaces
            element.checks.append(OverwriteCheck(key, replaces))
    elif element.is_edge:
        notes.write(element, Action.REPLACED)
    else:
        notes.write(element, Action.RESET if replaces else Action.EXTENDED)
        element.checks.append(OverwriteCheck(key, replaces))
