"""A query into what it reads and writes."""

from __future__ import annotations

from collections.abc import Iterable

from sluice.folding.access import Access, Action, Element, MergeTraits, Origin, Trait
from sluice.folding.assignments import read_assignments
from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.query import (
    Clause,
    Create,
    Delete,
    Edge,
    Loop,
    LoopEnd,
    Match,
    Merge,
    Node,
    Pattern,
    Query,
    Set,
    Unwind,
    With,
)
from sluice.folding.scope import Scope
from sluice.folding.token_stream import NotUnderstood

_SETTING = (Action.ASSIGNED, Action.REPLACED, Action.RESET, Action.EXTENDED)


def access_of(query: Query) -> Access:
    """What the query reads and writes. Raises NotUnderstood: that cannot be told."""
    return _AccessReader(query).access()


class _AccessReader:
    """Reads the clauses of one query."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._scope = Scope()
        for number, clause in enumerate(query.clauses):
            self._clause(number, clause)

    def access(self) -> Access:
        """What all clauses do together."""
        found = enumerate(self._query.clauses)
        merges = {number: self._merge_traits(clause) for number, clause in found if isinstance(clause, Merge)}
        return Access(
            self._scope.elements,
            frozenset(self._scope.reads),
            frozenset(self._scope.writes),
            merges,
            frozenset(self._traits()),
        )

    def _traits(self) -> Iterable[Trait]:
        if self._query.is_volatile:
            yield Trait.VOLATILE
        if _has_parts(self._query) or _has_join(self._query):
            yield Trait.UNORDERED
        sets = any(write.action in _SETTING for write in self._scope.writes)
        if self._scope.is_ambiguous or (_has_join(self._query) and self._scope.items and sets):
            yield Trait.AMBIGUOUS

    def _clause(self, number: int, clause: Clause) -> None:
        match clause:
            case Unwind() | Loop():
                self._unwind(clause)
            case LoopEnd():
                self._scope.leave()
            case With():
                self._with(clause)
            case Match():
                for pattern in clause.patterns:
                    self._match(number, pattern)
                self._where(clause.conditions)
            case Create():
                for pattern in clause.patterns:
                    self._create(number, pattern)
            case Merge():
                self._merge(number, clause.pattern)
                read_assignments(self._scope, clause.actions)
            case Set():
                read_assignments(self._scope, clause.items)
            case Delete():
                for variable in clause.variables:
                    self._scope.write(self._scope.element(variable), Action.DELETED)

    # Clauses that read

    def _unwind(self, clause: Unwind | Loop) -> None:
        if isinstance(clause, Loop):
            self._scope.enter()
        self._scope.read(clause.list)
        elements = self._scope.origin(clause.list)
        self._scope.declare_value(
            clause.variable, None if elements is None else Key((), lists=(*elements.lists, elements))
        )

    def _with(self, clause: With) -> None:
        for name in clause.kept or ():
            self._scope.check(name)
        for value in clause.values.values():
            self._scope.read(value)
        origins = {name: self._scope.origin(value) for name, value in clause.values.items()}
        if clause.kept is not None:
            self._scope.keep(clause.kept)
        for name, origin in origins.items():
            self._scope.declare_value(name, origin)
        self._where(clause.conditions)

    def _match(self, number: int, pattern: Pattern) -> None:
        for node in pattern.nodes:
            vertex = self._scope.vertex(node) or self._scope.new(node, Origin.MATCHED, number)
            vertex.labels |= set(node.labels)
            if vertex.clause == number:
                # A later clause may be OPTIONAL, or come after a write.
                vertex.alone &= not pattern.edges
            self._scope.look_for(vertex, node.properties)
        for edge in pattern.edges:
            self._scope.look_for(self._scope.new(edge, Origin.MATCHED, number), edge.properties)

    def _where(self, conditions: Iterable[Expression]) -> None:
        values = self._scope.values
        for condition in conditions:
            if condition.form is Form.FOUND and condition.name not in values:
                self._scope.element(condition.name)
            elif condition.form is Form.LABELS:
                element = self._scope.element(condition.name)
                if element.is_edge:
                    raise NotUnderstood("it asks for the label of an edge")
                element.labels |= set(condition.labels)
            else:
                for one, other in condition.equations:
                    if one.name not in values:
                        self._scope.require(self._scope.element(one.name), one.property, other)
                self._scope.watch(condition)

    # Clauses that write

    def _create(self, number: int, pattern: Pattern) -> None:
        for node in pattern.nodes:
            if self._scope.vertex(node) is None:
                self._make(self._scope.new(node, Origin.CREATED, number), node)
            elif node.labels or node.properties or node.map:
                raise NotUnderstood(f"CREATE describes {node.variable}, which is there already")
        for edge in pattern.edges:
            _check_type(edge)
            self._make(self._scope.new(edge, Origin.CREATED, number), edge)

    def _make(self, element: Element, made: Node | Edge) -> None:
        for name, value in made.properties.items():
            self._scope.read(value)
            self._scope.require(element, name, value)
        if made.map:
            element.map = Key((made.map.value,))
        self._scope.write(element, Action.CREATED)

    def _merge(self, number: int, pattern: Pattern) -> None:
        for node in pattern.nodes:
            if self._scope.vertex(node) is None:
                vertex = self._scope.new(node, Origin.MERGED, number)
                vertex.alone = not pattern.edges
                self._scope.look_for(vertex, node.properties)
                self._scope.write(vertex, Action.CREATED)
            elif node.labels or node.properties or not pattern.edges:
                raise NotUnderstood(f"MERGE describes {node.variable}, which is there already")
        for edge in pattern.edges:
            _check_type(edge)
            merged = self._scope.new(edge, Origin.MERGED, number)
            self._scope.look_for(merged, edge.properties)
            self._scope.write(merged, Action.CREATED)

    def _merge_traits(self, clause: Merge) -> MergeTraits:
        keys: set[Key | None] = set()
        repeatable = len(clause.pattern.edges) <= 1 and all(edge.directed for edge in clause.pattern.edges)
        for element in clause.pattern.elements:
            changed = {
                write.name if write.action is Action.ASSIGNED else ""
                for write in self._scope.writes
                if write.action in (Action.ASSIGNED, Action.REPLACED)
                and self._scope.elements[write.variable].is_edge is isinstance(element, Edge)
            }
            repeatable &= changed.isdisjoint({"", *element.properties})
            for value in element.properties.values():
                key = self._scope.checkable(value)
                if key is not None or value.never_float:
                    keys.add(key)
                else:  # nothing is known of it
                    repeatable = False
        [first, *rest] = clause.pattern.nodes
        form = (frozenset(first.labels), frozenset(first.properties))
        is_bare = repeatable and not rest and not clause.actions
        return MergeTraits(repeatable, form if is_bare else None, frozenset(keys))


def _check_type(edge: Edge) -> None:
    if len(edge.types) != 1:
        raise NotUnderstood("a new edge has no type, or several")


def _has_parts(query: Query) -> bool:
    """Whether all rows may be taken through one part of the query before any is taken through the next."""
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


def _has_join(query: Query) -> bool:
    """Whether MATCH has parts that are not connected."""
    parts: list[set[str]] = []
    for clause in query.clauses:
        for pattern in clause.patterns if isinstance(clause, Match) else []:
            part = {node.variable for node in pattern.nodes}
            joined = [other for other in parts if other & part]
            parts = [other for other in parts if not other & part] + [part.union(*joined)]
    return len(parts) > 1
