"""A query into its plan: what its clauses read and change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from sluice.folding.chain import chain
from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.grammar import parse
from sluice.folding.needs import REASONS, Need, needs_of
from sluice.folding.plan import (
    Access,
    Action,
    Change,
    Element,
    MergeKey,
    Merging,
    Origin,
    OverwriteCheck,
    Plan,
)
from sluice.folding.query import (
    Assignment,
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
from sluice.folding.series import series
from sluice.folding.source import NotUnderstood
from sluice.folding.template import template


def plan_of(text: str, lacks: AbstractSet[Need] = frozenset()) -> Plan:
    """
    What the query of this text reads and changes.

    Args:
        lacks: what the server does not do that folding rests on.

    Raises:
        NotUnderstood: that cannot be told, or is not known to be the same once the text is folded.
    """
    query = parse(text)
    missing = needs_of(query) & lacks
    if missing:
        raise NotUnderstood(REASONS[min(missing)])
    effects = _Effects(query)
    folded = template(text, query)
    if Need.COLUMNS in lacks:
        folded = folded._replace(has_columns=False)
    return Plan(
        folded,
        None if Need.SERIES in lacks else series(text, query, folded),
        None if Need.CHAIN in lacks else chain(text, query),
        effects.elements,
        effects.changes,
        effects.touches,
        effects.guards,
        effects.merges(),
        frozenset(effects.given),
        effects.assigned,
        effects.volatile,
        effects.unordered,
        effects.ambiguous or (effects.joins and bool(effects.items) and effects.sets),
    )


def understood(text: str) -> Query:
    """
    The query of this text, taken apart and found to make sense.

    Raises:
        NotUnderstood: it is outside of what is known.
    """
    query = parse(text)
    _Effects(query)
    return query


class _Effects:
    """Gathers what the clauses of one query do."""

    def __init__(self, query: Query) -> None:
        self.elements: dict[str, Element] = {}
        self.changes: list[Change] = []
        self.touches: set[Access] = set()
        self.guards: list[OverwriteCheck] = []
        self.assigned: dict[bool, frozenset[str] | None] = {False: frozenset(), True: frozenset()}
        self.items: set[str] = set()
        "Variables of UNWIND and FOREACH, and names that WITH gives to values: what is not known beforehand."
        self._lists: dict[str, Key] = {}
        "Variables of UNWIND and FOREACH whose list is known."
        self._sources: dict[str, dict[str, tuple[str, str]]] = {}
        "Variable -> property that it is looked for by -> where its value comes from: a variable and its property."
        self.given: set[MergeKey | None] = set()
        self._loose: set[int] = set()
        "Numbers of MERGEs that look for values of which nothing is known."
        self._aliases: dict[str, Key] = {}
        "Names that WITH gives to parameters."
        self._scopes: list[set[str]] = [set()]
        "The names that are known, and those within each FOREACH that is open."
        self._writes = False
        "Whether anything was written yet."
        self._deletes = False
        self._in_parts = False
        "Whether rows may be all taken through a part of the query before any is taken through the next."
        self.volatile = False
        self.ambiguous = False
        self.sets = False
        "Whether a property is set after MATCH or MERGE."
        self._query = query
        for number, clause in enumerate(query.clauses):
            self._add(number, clause)

    def _add(self, number: int, clause: Clause) -> None:
        if isinstance(clause, (Unwind, Loop)):
            if isinstance(clause, Loop):
                self._scopes.append(set())
            self._unwind(clause)
        elif isinstance(clause, LoopEnd):
            self._scopes.pop()
        elif isinstance(clause, With):
            self._with(clause)
        elif isinstance(clause, Match):
            self._match(number, clause)
        else:
            # What is deleted is gone once all rows are through.
            self._in_parts |= self._deletes
            self._writes = True
            self._update(number, clause)

    def _update(self, number: int, clause: Create | Merge | Set | Delete) -> None:
        if isinstance(clause, Create):
            for pattern in clause.patterns:
                self._create(number, pattern)
        elif isinstance(clause, Merge):
            self._merge(number, clause)
        elif isinstance(clause, Set):
            self._assign_all(clause.items)
        else:
            self._deletes = True
            self._delete(clause)

    @property
    def unordered(self) -> bool:
        """Whether rows may get from one end to the other in another order than they came."""
        return self._in_parts or self.joins

    @property
    def joins(self) -> bool:
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
                repeatable = number not in self._loose
                repeatable &= len(pattern.edges) <= 1 and all(edge.directed for edge in pattern.edges)
                for element in pattern.elements:
                    assigned = self.assigned[isinstance(element, Edge)]
                    repeatable &= assigned is not None and assigned.isdisjoint(element.properties)
                [first, *rest] = pattern.nodes
                form = (frozenset(first.labels), frozenset(first.properties))
                found[number] = Merging(repeatable, form if repeatable and not rest and not clause.actions else None)
        return found

    def _unwind(self, clause: Unwind | Loop) -> None:
        self._read(clause.list)
        self._declare(clause.variable)
        self.items.add(clause.variable)
        elements = self._resolved(clause.list)
        if elements.form is Form.KEY and elements.key is not None:
            self._lists[clause.variable] = elements.key

    def _with(self, clause: With) -> None:
        self._in_parts |= self._writes
        self._writes = False
        if clause.kept is not None:
            for name in clause.kept:
                self._check_known(name)
        values: dict[str, Key] = {}
        for name, value in clause.values.items():
            if value.form is Form.KEY and value.key is not None and value.key.path:
                values[name] = value.key
                continue
            # When it is asked for, between two rows, is not known.
            self._in_parts |= bool(value.variables)
            self._read(value)
        known = self._scopes[-1]
        if clause.kept is not None:
            known &= clause.kept
        for name in clause.values:
            self._declare(name)
        self.items |= clause.values.keys() - values.keys()
        self._aliases |= values
        for condition in clause.conditions:
            self._where(condition)

    def _declare(self, name: str) -> None:
        """A new name. One that was there before is not understood, even if WITH has dropped it."""
        if name in self.items or name in self.elements or name in self._aliases:
            raise NotUnderstood(f"the variable {name} is there twice")
        self._scopes[-1].add(name)

    def _check_known(self, name: str) -> None:
        if not any(name in scope for scope in self._scopes):
            raise NotUnderstood(f"the variable {name} is not known any more")

    def _resolved(self, value: Expression) -> Expression:
        """The value, with the parameter in the place of a name that WITH gives it."""
        key = self._aliases.get(value.name)
        if key is None or value.form not in (Form.NAME, Form.PROPERTY):
            return value
        path = (*key.path, value.property) if value.form is Form.PROPERTY else key.path
        return Expression(Form.KEY, key=Key(path))

    def _match(self, number: int, clause: Match) -> None:
        for pattern in clause.patterns:
            for node in pattern.nodes:
                vertex = self._vertex(node) or self._new(node, Origin.MATCHED, number)
                vertex.labels |= set(node.labels)
                if vertex.clause == number:
                    # A clause that comes later may be OPTIONAL, or after something that was done.
                    vertex.alone &= not pattern.edges
                self._look_for(vertex, node.properties)
            for edge in pattern.edges:
                self._look_for(self._new(edge, Origin.MATCHED, number), edge.properties)
        for condition in clause.conditions:
            self._where(condition)

    def _where(self, condition: Expression) -> None:
        if condition.form is Form.FOUND and condition.name not in self.items | self._aliases.keys():
            self._element(condition.name)
            return
        if condition.form is Form.LABELS:
            element = self._element(condition.name)
            if element.ends is not None:
                raise NotUnderstood("it asks for the label of an edge")
            element.labels |= set(condition.labels)
            return
        if condition.form is Form.EQUALS:
            left, right = condition.parts
            for one, other in ((left, right), (right, left)):
                if one.form is Form.PROPERTY and one.name not in self.items | self._aliases.keys():
                    self._require(self._element(one.name), one.property, other)
        self._watch(condition)

    def _create(self, number: int, pattern: Pattern) -> None:
        for node in pattern.nodes:
            if self._vertex(node) is None:
                self._make(self._new(node, Origin.CREATED, number), node)
            elif node.labels or node.properties or node.map:
                raise NotUnderstood(f"CREATE describes {node.variable}, which is there already")
        for edge in pattern.edges:
            self._check_new(edge)
            self._make(self._new(edge, Origin.CREATED, number), edge)

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
                vertex = self._new(node, Origin.MERGED, number)
                vertex.labels |= set(node.labels)
                vertex.alone = not clause.pattern.edges
                self._look_for(vertex, node.properties)
                self._give(number, node.properties.values())
                self.changes.append(Change(Action.CREATED, node.variable))
            elif node.labels or node.properties or not clause.pattern.edges:
                raise NotUnderstood(f"MERGE describes {node.variable}, which is there already")
        for edge in clause.pattern.edges:
            self._check_new(edge)
            self._look_for(self._new(edge, Origin.MERGED, number), edge.properties)
            self._give(number, edge.properties.values())
            self.changes.append(Change(Action.CREATED, edge.variable))
        self._assign_all(clause.actions)

    def _give(self, number: int, values: Iterable[Expression]) -> None:
        for value in map(self._resolved, values):
            if value.form is Form.KEY and value.key is not None:
                self.given.add(MergeKey(value.key))
            elif value.form in (Form.NAME, Form.PROPERTY) and value.name in self._lists:
                name = value.property if value.form is Form.PROPERTY else ""
                self.given.add(MergeKey(self._lists[value.name], each=True, name=name))
            elif value.never_float:
                self.given.add(None)
            else:
                self._loose.add(number)

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
        if element.born is Origin.CREATED:
            if item.removes:
                raise NotUnderstood("it takes a label from a vertex that it has just made")
            element.labels |= set(item.labels)
            return
        for label in item.labels:
            self.changes.append(Change(Action.LABELLED, element.variable, label))
            self.touches.add(Access(element.variable, f":{label}", writes=True))

    def _assign(self, element: Element, name: str, value: Expression | None) -> None:
        if value is not None:
            self._read(value)
        if element.born is not Origin.CREATED:
            strange = (
                value.variables - self.items - self._aliases.keys() - {element.variable} if value is not None else ()
            )
            self.ambiguous |= bool(strange)
            self._write(element, Action.ASSIGNED, name)
        elif name in element.required or value is None:
            element.keys.pop(name, None)
            element.required.add(name)
        else:
            self._require(element, name, value)

    def _spread(self, element: Element, value: Expression, replaces: bool) -> None:
        """SET variable = map, or variable += map."""
        self._read(value)
        value = self._resolved(value)
        if value.form is Form.MAP:
            kept = self._kept(element, value) if replaces else frozenset()
            if replaces and element.born is not Origin.CREATED and not kept:
                self._write(element, Action.REPLACED)
            elif replaces and element.born is not Origin.CREATED:
                self.sets = True
                self.touches.add(Access(element.variable, "", writes=True))
                self.changes.append(Change(Action.REPLACED, element.variable))
            for name, item in value.entries.items():
                if name not in kept:
                    self._assign(element, name, item)
        elif value.form is Form.KEY and value.key is not None and value.key.path:
            self._spread_parameter(element, value.key, replaces)
        elif value.form in (Form.NAME, Form.PROPERTY) and self._may_guard(element, value, replaces):
            self._spread_items(element, value)
        elif value.variables and value.variables <= self.items:
            element.open = True
            if element.born is not Origin.CREATED:
                self._write(element, Action.REPLACED)
        else:
            raise NotUnderstood("it sets the properties to something else than a map or a parameter")

    def _kept(self, element: Element, value: Expression) -> frozenset[str]:
        """The properties by which a vertex is looked for, if a map that takes their place has them all as they are."""
        entries = {name: self._resolved(item).key for name, item in value.entries.items()}
        if element.ends is None and all(entries.get(name) == key for name, key in element.keys.items()):
            return frozenset(element.keys)
        return frozenset()

    def _spread_parameter(self, element: Element, key: Key, replaces: bool) -> None:
        is_edge = element.ends is not None
        if element.born is Origin.CREATED:
            if element.map is not None:
                raise NotUnderstood("two maps of properties are written over one another")
            element.map = key
            if element.required and is_edge:
                element.open = True
                element.keys.clear()
            elif element.required:
                element.open |= replaces
                self.guards.append(OverwriteCheck(element.variable, key, replaces))
        elif is_edge:
            self._write(element, Action.REPLACED)
        else:
            self.sets = True
            self.touches.add(Access(element.variable, "", writes=True))
            self.guards.append(OverwriteCheck(element.variable, key, replaces))
            if replaces:
                self.changes.append(Change(Action.REPLACED, element.variable))

    def _may_guard(self, element: Element, value: Expression, replaces: bool) -> bool:
        """Whether the maps that are written over a vertex can be looked at beforehand."""
        known = value.name in self._lists and element.ends is None and element.born is not Origin.CREATED
        return known and not replaces

    def _spread_items(self, element: Element, value: Expression) -> None:
        name = value.property if value.form is Form.PROPERTY else ""
        kept = {} if name else self._sources.get(element.variable, {})
        same = frozenset(found for found, source in kept.items() if source == (value.name, found))
        self.sets = True
        self.touches.add(Access(element.variable, "", writes=True))
        self.guards.append(
            OverwriteCheck(element.variable, self._lists[value.name], replaces=False, each=True, name=name, kept=same)
        )

    def _write(self, element: Element, action: Action, name: str = "") -> None:
        """A property, or all of them, of a vertex or an edge that others may know."""
        is_edge = element.ends is not None
        before = self.assigned[is_edge]
        self.assigned[is_edge] = before | {name} if before is not None and name else None
        self.changes.append(Change(action, element.variable, name))
        self.touches.add(Access(element.variable, name, writes=True))
        self.sets = True

    def _element(self, variable: str) -> Element:
        element = self.elements.get(variable)
        if element is None:
            raise NotUnderstood(f"{variable} is no vertex or edge of the query")
        self._check_known(variable)
        return element

    def _vertex(self, node: Node) -> Element | None:
        """What is known of a vertex of an earlier pattern; None: it is a new variable."""
        found = self.elements.get(node.variable)
        if found is not None and found.ends is not None:
            raise NotUnderstood(f"{node.variable} is an edge")
        if found is not None:
            self._check_known(node.variable)
        return found

    def _new(self, made: Node | Edge, born: Origin, clause: int) -> Element:
        self._declare(made.variable)
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
        value = self._resolved(value)
        if value.form is Form.KEY and value.key is not None and name not in element.keys:
            element.keys[name] = value.key
        elif value.form is Form.PROPERTY:
            self._sources.setdefault(element.variable, {})[name] = (value.name, value.property)

    def _watch(self, value: Expression) -> None:
        """A value that decides what is found."""
        self._read(value)
        for variable, name in value.reads:
            if variable in self.elements:
                self.elements[variable].watched.add(name)

    def _read(self, value: Expression) -> None:
        self.volatile |= value.volatile
        values = self.items | self._aliases.keys()
        for name in value.variables:
            self._check_known(name)
        strange = value.whole - values
        if strange:
            raise NotUnderstood(f"it uses {min(strange)} otherwise than by a property")
        for variable, name in value.reads:
            if variable not in values and self._element(variable).born is not Origin.CREATED:
                self.touches.add(Access(variable, name, writes=False))
