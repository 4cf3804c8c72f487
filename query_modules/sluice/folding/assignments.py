"""What SET and REMOVE do to vertices and edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sluice.folding.access import Action, Element, Origin, OverwriteCheck
from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.query import Assignment
from sluice.folding.scope import Scope, is_parameter
from sluice.folding.token_stream import NotUnderstood


def read_assignments(scope: Scope, items: Iterable[Assignment]) -> None:
    """Adds to the scope what the items of SET or REMOVE read and write. Raises NotUnderstood: that cannot be told."""
    for item in items:
        element = scope.element(item.variable)
        if item.labels:
            _label(scope, element, item)
        elif item.property:
            _assign(scope, element, item.property, item.value)
        elif item.value is not None:
            scope.read(item.value)
            _overwrite(scope, element, item.value, item.replaces)


def _label(scope: Scope, element: Element, item: Assignment) -> None:
    if element.is_edge:
        raise NotUnderstood("it changes the label of an edge")
    if element.origin is not Origin.CREATED:
        for label in item.labels:
            scope.write(element, Action.LABELLED, label)
    elif item.removes:
        raise NotUnderstood("it takes a label from a vertex that it has just made")
    else:
        element.labels |= set(item.labels)


def _assign(scope: Scope, element: Element, name: str, value: Expression | None) -> None:
    if value is not None:
        scope.read(value)
    if element.origin is not Origin.CREATED:
        others = value.variables - scope.values - {element.variable} if value is not None else ()
        scope.is_ambiguous |= bool(others)
        scope.write(element, Action.ASSIGNED, name)
    elif name in element.properties or value is None:
        element.properties[name] = None
    else:
        scope.require(element, name, value)


def _overwrite(scope: Scope, element: Element, value: Expression, replaces: bool) -> None:
    """SET variable = map, or variable += map."""
    origin = scope.checkable(value)
    is_shared_vertex = not element.is_edge and element.origin is not Origin.CREATED
    if value.form is Form.MAP:
        _overwrite_by_literal(scope, element, value.entries, replaces)
    elif origin is not None and is_parameter(origin):
        _overwrite_by_parameter(scope, element, origin, replaces)
    elif origin is not None and origin.lists and is_shared_vertex and not replaces:
        same = {name for name, key in element.properties.items() if key == origin._replace(path=(*origin.path, name))}
        scope.write(element, Action.EXTENDED)
        element.checks.append(OverwriteCheck(origin, replaces, frozenset(same)))
    elif value.variables and value.variables <= scope.items:
        element.open = True
        if element.origin is not Origin.CREATED:
            scope.write(element, Action.REPLACED)
    else:
        raise NotUnderstood("it sets the properties to something else than a map or a parameter")


def _overwrite_by_literal(scope: Scope, element: Element, entries: Mapping[str, Expression], replaces: bool) -> None:
    given = {name: scope.origin(value) for name, value in entries.items()}
    # Does a map that replaces all properties have those by which the vertex is looked for, as they are?
    has_keys = not element.is_edge and all(given.get(name) == key for name, key in element.keys.items())
    kept = frozenset(element.keys) if replaces and has_keys else frozenset()
    if replaces and element.origin is not Origin.CREATED:
        scope.write(element, Action.RESET if kept else Action.REPLACED)
    for name, value in entries.items():
        if name not in kept:
            _assign(scope, element, name, value)


def _overwrite_by_parameter(scope: Scope, element: Element, key: Key, replaces: bool) -> None:
    if element.origin is Origin.CREATED:
        if element.map is not None:
            raise NotUnderstood("two maps of properties are written over one another")
        element.map = key
        if element.properties and element.is_edge:
            element.open = True
            element.properties = dict.fromkeys(element.properties)
        elif element.properties:
            element.open |= replaces
            element.checks.append(OverwriteCheck(key, replaces))
    elif element.is_edge:
        scope.write(element, Action.REPLACED)
    else:
        scope.write(element, Action.RESET if replaces else Action.EXTENDED)
        element.checks.append(OverwriteCheck(key, replaces))
