"""A query into its plan: what its clauses read and change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.grammar import parse
from sluice.folding.plan import Action, Born, Change, Element, Guard, Merging, Plan, Touch
from sluice.folding.query import (
    Assignment,
    Create,
    Delete,
    Edge,
    Match,
    Merge,
    Node,
    Pattern,
    Query,
    Set,
    Unwind,
)
from sluice.folding.source import NotUnderstood
from sluice.folding.template import template


def plan_of(text: str) -> Plan:
    """
    What the query of this text reads and changes.

    Raises:
        NotUnderstood: that cannot be told, or is not known to be the same once the text is folded.
    """
    query = parse(text)
    effects = _Effects(query)
    return Plan(
        template(text, query),
        effects.elements,
        effects.changes,
        effects.touches,
        effects.guards,
        effects.merges(),
        effects.assigned,
        effects.volatile,
        effects.unordered,
        effects.ambiguous or (effects.unordered and bool(effects.items) and effects.sets),
    )


class _Effects:
    """Gathers what the clauses of one query do."""

    def __init__(self, query: Query) -> None:
        self.elements: dict[str, Element] = {}
        self.changes: list[Change] = []
        self.touches: set[Touch] = set()
        self.guards: list[Guard] = []
        self.assigned: dict[bool, frozenset[str] | None] = {False: frozenset(), True: frozenset()}
        self.items: set[str] = set()
        "Variables of UNWIND."
        self.volatile = False
        self.ambiguous = False
        self.sets = False
        "Whether a property is set after MATCH or MERGE."
        self._query = query
        for number, clause in enumerate(query.clauses):
            if isinstance(clause, Unwind):
                self._unwind(clause)
            elif isinstance(clause, Match):
                self._match(number, clause)
            elif isinstance(clause, Create):
                for pattern in clause.patterns:
                    self._create(number, pattern)
            elif isinstance(clause, Merge):
                self._merge(number, clause)
            elif isinstance(clause, Set):
                self._assign_all(clause.items)
            else:
                self._delete(clause)

    @property
    def unordered(self) -> bool:
        """Whether MATCH has parts that do not hang together."""
        parts: list[set[str]] = []
        for clause in self._query.clauses:
            for pattern in clause.patterns if isinstance(clause, Match) else []:
                part = {node.variable for node in pattern.nodes}
                joined = [other for other in parts if other & part]
                parts = [other for other in parts if not other & part] + [part.union(*joined)]
        return len(parts) > 1

    def merges(self) -> dict[int, Merging]:
        """What is particular about each MERGE, by the number of its clause."""
        found = {}
        for number, clause in enumerate(self._query.clauses):
            if isinstance(clause, Merge):
                pattern = clause.pattern
                repeatable = len(pattern.edges) <= 1 and all(edge.directed for edge in pattern.edges)
                for element in pattern.elements:
                    assigned = self.assigned[isinstance(element, Edge)]
                    repeatable &= assigned is not None and assigned.isdisjoint(element.properties)
                [first, *rest] = pattern.nodes
                form = (frozenset(first.labels), frozenset(first.properties))
                found[number] = Merging(repeatable, form if repeatable and not rest and not clause.actions else None)
        return found

    def _unwind(self, clause: Unwind) -> None:
        self._read(clause.list)
        if clause.variable in self.items or clause.variable in self.elements:
            raise NotUnderstood(f"the variable {clause.variable} is there twice")
        self.items.add(clause.variable)

    def _match(self, number: int, clause: Match) -> None:
        for pattern in clause.patterns:
            for node in pattern.nodes:
                vertex = self._vertex(node) or self._new(node, Born.MATCHED, number)
                vertex.labels |= set(node.labels)
                vertex.alone &= not pattern.edges
                self._look_for(vertex, node.properties)
            for edge in pattern.edges:
                self._look_for(self._new(edge, Born.MATCHED, number), edge.properties)
        for condition in clause.conditions:
            self._where(condition)

    def _where(self, condition: Expression) -> None:
        if condition.form is Form.LABELS:
            element = self._element(condition.name)
            if element.ends is not None:
                raise NotUnderstood("it asks for the label of an edge")
            element.labels |= set(condition.labels)
            return
        if condition.form is Form.EQUALS:
            left, right = condition.parts
            for one, other in ((left, right), (right, left)):
                if one.form is Form.PROPERTY and one.name not in self.items:
                    self._require(self._element(one.name), one.property, other)
        self._watch(condition)

    def _create(self, number: int, pattern: Pattern) -> None:
        for node in pattern.nodes:
            if self._vertex(node) is None:
                self._make(self._new(node, Born.CREATED, number), node)
            elif node.labels or node.properties or node.map:
                raise NotUnderstood(f"CREATE describes {node.variable}, which is there already")
        for edge in pattern.edges:
            self._check_new(edge)
            self._make(self._new(edge, Born.CREATED, number), edge)

    def _make(self, element: Element, made: Node | Edge) -> None:
        element.labels |= set(made.labels if isinstance(made, Node) else made.types)
        for name, value in made.properties.items():
            self._read(value)
            self._require(element, name, value)
        if made.map:
            element.map = Key((made.map.name,))
        self.changes.append(Change(Action.CREATED, element.variable))

    def _merge(self, number: int, clause: Merge) -> None:
        for node in clause.pattern.nodes:
            if self._vertex(node) is None:
                vertex = self._new(node, Born.MERGED, number)
                vertex.labels |= set(node.labels)
                vertex.alone = not clause.pattern.edges
                self._look_for(vertex, node.properties)
                self.changes.append(Change(Action.CREATED, node.variable))
            elif node.labels or node.properties or not clause.pattern.edges:
                raise NotUnderstood(f"MERGE describes {node.variable}, which is there already")
        for edge in clause.pattern.edges:
            self._check_new(edge)
            self._look_for(self._new(edge, Born.MERGED, number), edge.properties)
            self.changes.append(Change(Action.CREATED, edge.variable))
        self._assign_all(clause.actions)

    def _check_new(self, edge: Edge) -> None:
        if len(edge.types) != 1:
            raise NotUnderstood("a new edge has no type, or several")

    def _delete(self, clause: Delete) -> None:
        for variable in clause.variables:
            self._element(variable)
            self.changes.append(Change(Action.DELETED, variable))

    def _assign_all(self, items: Iterable[Assignment]) -> None:
        for item in items:
            element = self._element(item.variable)
            if item.labels:
                self._label(element, item)
            elif item.property:
                self._assign(element, item.property, item.value)
            elif item.value is not None:
                self._spread(element, item.value, item.replaces)

    def _label(self, element: Element, item: Assignment) -> None:
        if element.ends is not None:
            raise NotUnderstood("it changes the label of an edge")
        if element.born is Born.CREATED:
            if item.removes:
                raise NotUnderstood("it takes a label from a vertex that it has just made")
            element.labels |= set(item.labels)
            return
        for label in item.labels:
            self.changes.append(Change(Action.LABELLED, element.variable, label))
            self.touches.add(Touch(element.variable, f":{label}", writes=True))

    def _assign(self, element: Element, name: str, value: Expression | None) -> None:
        if value is not None:
            self._read(value)
        if element.born is not Born.CREATED:
            self.ambiguous |= value is not None and bool(value.variables - self.items - {element.variable})
            self._write(element, Action.ASSIGNED, name)
        elif name in element.required or value is None:
            element.keys.pop(name, None)
            element.required.add(name)
        else:
            self._require(element, name, value)

    def _spread(self, element: Element, value: Expression, replaces: bool) -> None:
        """SET variable = map, or variable += map."""
        self._read(value)
        if value.form is Form.MAP:
            if replaces and element.born is not Born.CREATED:
                self._write(element, Action.REPLACED)
            for name, item in value.entries.items():
                self._assign(element, name, item)
        elif value.form is Form.KEY and value.key is not None and value.key.path:
            self._spread_parameter(element, value.key, replaces)
        elif value.variables and value.variables <= self.items:
            element.open = True
            if element.born is not Born.CREATED:
                self._write(element, Action.REPLACED)
        else:
            raise NotUnderstood("it sets the properties to something else than a map or a parameter")

    def _spread_parameter(self, element: Element, key: Key, replaces: bool) -> None:
        is_edge = element.ends is not None
        if element.born is Born.CREATED:
            if element.map is not None:
                raise NotUnderstood("two maps of properties are written over one another")
            element.map = key
            if element.required and is_edge:
                element.open = True
                element.keys.clear()
            elif element.required:
                element.open |= replaces
                self.guards.append(Guard(element.variable, key, replaces))
        elif is_edge:
            self._write(element, Action.REPLACED)
        else:
            self.sets = True
            self.touches.add(Touch(element.variable, "", writes=True))
            self.guards.append(Guard(element.variable, key, replaces))
            if replaces:
                self.changes.append(Change(Action.REPLACED, element.variable))

    def _write(self, element: Element, action: Action, name: str = "") -> None:
        """A property, or all of them, of a vertex or an edge that others may know."""
        is_edge = element.ends is not None
        before = self.assigned[is_edge]
        self.assigned[is_edge] = before | {name} if before is not None and name else None
        self.changes.append(Change(action, element.variable, name))
        self.touches.add(Touch(element.variable, name, writes=True))
        self.sets = True

    def _element(self, variable: str) -> Element:
        element = self.elements.get(variable)
        if element is None:
            raise NotUnderstood(f"{variable} is no vertex or edge of the query")
        return element

    def _vertex(self, node: Node) -> Element | None:
        """What is known of a vertex of an earlier pattern; None: it is a new variable."""
        found = self.elements.get(node.variable)
        if found is not None and found.ends is not None:
            raise NotUnderstood(f"{node.variable} is an edge")
        return found

    def _new(self, made: Node | Edge, born: Born, clause: int) -> Element:
        if made.variable in self.elements or made.variable in self.items:
            raise NotUnderstood(f"the variable {made.variable} is there twice")
        element = Element(made.variable, born, clause)
        if isinstance(made, Edge):
            element.ends, element.directed = (made.source, made.target), made.directed
            element.labels |= set(made.types)
        self.elements[made.variable] = element
        return element

    def _look_for(self, element: Element, properties: Mapping[str, Expression]) -> None:
        for name, value in properties.items():
            self._require(element, name, value)
            self._watch(value)

    def _require(self, element: Element, name: str, value: Expression) -> None:
        element.required.add(name)
        if value.form is Form.KEY and value.key is not None and name not in element.keys:
            element.keys[name] = value.key

    def _watch(self, value: Expression) -> None:
        """A value that decides what is found."""
        self._read(value)
        for variable, name in value.reads:
            if variable in self.elements:
                self.elements[variable].watched.add(name)

    def _read(self, value: Expression) -> None:
        self.volatile |= value.volatile
        strange = value.whole - self.items
        if strange:
            raise NotUnderstood(f"it uses {min(strange)} otherwise than by a property")
        for variable, name in value.reads:
            if variable not in self.items and self._element(variable).born is not Born.CREATED:
                self.touches.add(Touch(variable, name, writes=False))
