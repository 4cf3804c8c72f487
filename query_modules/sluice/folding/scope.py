"""What is known of a query while its clauses are read."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from sluice.folding.access import Action, Element, Origin, Read, Write
from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.query import Edge, Node
from sluice.folding.token_stream import NotUnderstood


class Scope:
    """The names of one query, and what its clauses read and write, as far as they have been read."""

    def __init__(self) -> None:
        self.reads: set[Read] = set()
        self.writes: set[Write] = set()
        self.is_ambiguous = False
        "As `Trait.AMBIGUOUS`."
        self.elements: dict[str, Element] = {}
        "Variables of vertices and edges."
        self.values: set[str] = set()
        "Variables of UNWIND and FOREACH, and names that WITH gives to values."
        self.origins: dict[str, Key] = {}
        "Those of them that can be looked up before the query runs."
        self._known: list[set[str]] = [set()]
        "The names that are known, and those within each FOREACH that is open."

    @property
    def items(self) -> set[str]:
        """The values but for those that WITH gives to parameters."""
        return {name for name in self.values if not is_parameter(self.origins.get(name))}

    def enter(self) -> None:
        """A FOREACH begins."""
        self._known.append(set())

    def leave(self) -> None:
        """The innermost FOREACH ends."""
        self._known.pop()

    def declare(self, name: str) -> None:
        """Adds a name. One that was there before is not understood, even if WITH has dropped it."""
        if name in self.values or name in self.elements:
            raise NotUnderstood(f"the variable {name} is there twice")
        self._known[-1].add(name)

    def declare_value(self, name: str, origin: Key | None) -> None:
        """Adds the name of a value, and where to look it up."""
        self.declare(name)
        self.values.add(name)
        if origin is not None:
            self.origins[name] = origin

    def keep(self, names: AbstractSet[str]) -> None:
        """Drops all names but these."""
        self._known[-1] &= names

    def check(self, name: str) -> None:
        """Raises NotUnderstood if the name is not known."""
        if not any(name in known for known in self._known):
            raise NotUnderstood(f"the variable {name} is not known any more")

    def element(self, variable: str) -> Element:
        """The vertex or edge of that name. Raises NotUnderstood if there is none."""
        element = self.elements.get(variable)
        if element is None:
            raise NotUnderstood(f"{variable} is no vertex or edge of the query")
        self.check(variable)
        return element

    def origin(self, value: Expression) -> Key | None:
        """Where to look up the value; None: that is not known."""
        if value.key is not None or value.form not in (Form.NAME, Form.PROPERTY):
            return value.key
        origin = self.origins.get(value.name)
        if origin is None or value.form is Form.NAME:
            return origin
        is_constant = not origin.path and not origin.lists
        return None if is_constant else origin._replace(path=(*origin.path, value.property))

    def checkable(self, value: Expression) -> Key | None:
        """Where to look up the value, if each query has one, or one for each element of a list of its own."""
        origin = self.origin(value)
        return origin if origin is not None and len(origin.lists) <= 1 else None

    def vertex(self, node: Node) -> Element | None:
        """The vertex, if an earlier pattern has it; None: it is a new variable."""
        found = self.elements.get(node.variable)
        if found is not None:
            self.check(node.variable)
            if found.is_edge:
                raise NotUnderstood(f"{node.variable} is an edge")
        return found

    def new(self, made: Node | Edge, origin: Origin, clause: int) -> Element:
        """Adds a vertex or an edge that no earlier pattern has."""
        self.declare(made.variable)
        element = Element(made.variable, origin, clause)
        if isinstance(made, Edge):
            element.ends, element.directed = (made.source, made.target), made.directed
        element.labels |= set(made.types if isinstance(made, Edge) else made.labels)
        self.elements[made.variable] = element
        return element

    def look_for(self, element: Element, properties: Mapping[str, Expression]) -> None:
        """The element is looked for by these properties."""
        for name, value in properties.items():
            self.require(element, name, value)
            self.watch(value)

    def require(self, element: Element, name: str, value: Expression) -> None:
        """The element has the property, with that value."""
        before, key = element.properties.get(name), self.origin(value)
        if before is None or (before.lists and key is not None):
            element.properties[name] = key

    def watch(self, value: Expression) -> None:
        """The value decides what is found."""
        self.read(value)
        for variable, name in value.reads:
            if variable in self.elements:
                self.elements[variable].watched.add(name)

    def read(self, value: Expression) -> None:
        """The value is computed. Raises NotUnderstood if it uses what is not known."""
        values = self.values
        for name in value.variables:
            self.check(name)
        whole = value.whole - values
        if whole:
            raise NotUnderstood(f"it uses {min(whole)} otherwise than by a property")
        for variable, name in value.reads:
            if variable not in values and self.element(variable).origin is not Origin.CREATED:
                self.reads.add(Read(variable, name))

    def write(self, element: Element, action: Action, name: str = "") -> None:
        """The query may do this to the element."""
        self.writes.add(Write(action, element.variable, name))


def is_parameter(origin: Key | None) -> bool:
    """Whether each query has one such value, from its parameters."""
    return origin is not None and bool(origin.path) and not origin.lists
