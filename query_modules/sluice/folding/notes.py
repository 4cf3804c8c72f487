"""What has been found out about a query while its clauses are read."""

from __future__ import annotations

from collections.abc import Mapping

from sluice.folding.access import Action, Element, Origin, Read, Write
from sluice.folding.expressions import Expression, Form
from sluice.folding.query import Edge, Node
from sluice.folding.scope import Scope
from sluice.folding.token_stream import NotUnderstood


class Notes:
    """What the clauses of one query read and write, as far as they have been read."""

    def __init__(self) -> None:
        self.scope = Scope()
        self.reads: set[Read] = set()
        self.writes: set[Write] = set()
        self.sources: dict[str, dict[str, tuple[str, str]]] = {}
        "Variable -> property by which it is looked for -> variable and property that have its value."
        self.is_ambiguous = False
        "As `Trait.AMBIGUOUS`."

    def vertex(self, node: Node) -> Element | None:
        """The vertex, if an earlier pattern has it; None: it is a new variable."""
        found = self.scope.elements.get(node.variable)
        if found is not None and found.is_edge:
            raise NotUnderstood(f"{node.variable} is an edge")
        if found is not None:
            self.scope.check(node.variable)
        return found

    def new(self, made: Node | Edge, origin: Origin, clause: int) -> Element:
        """Adds a vertex or an edge that no earlier pattern has."""
        self.scope.declare(made.variable)
        element = Element(made.variable, origin, clause)
        if isinstance(made, Edge):
            element.ends, element.directed = (made.source, made.target), made.directed
        element.labels |= set(made.types if isinstance(made, Edge) else made.labels)
        self.scope.elements[made.variable] = element
        return element

    def look_for(self, element: Element, properties: Mapping[str, Expression]) -> None:
        """The element is looked for by these properties."""
        for name, value in properties.items():
            self.require(element, name, value)
            self.watch(value)

    def require(self, element: Element, name: str, value: Expression) -> None:
        """The element has the property, with that value."""
        element.required.add(name)
        value = self.scope.resolved(value)
        if value.key is not None:
            element.keys.setdefault(name, value.key)
        elif value.form is Form.PROPERTY:
            self.sources.setdefault(element.variable, {})[name] = (value.name, value.property)

    def watch(self, value: Expression) -> None:
        """The value decides what is found."""
        self.read(value)
        for variable, name in value.reads:
            if variable in self.scope.elements:
                self.scope.elements[variable].watched.add(name)

    def read(self, value: Expression) -> None:
        """The value is computed. Raises NotUnderstood if it uses what is not known."""
        values = self.scope.values
        for name in value.variables:
            self.scope.check(name)
        whole = value.whole - values
        if whole:
            raise NotUnderstood(f"it uses {min(whole)} otherwise than by a property")
        for variable, name in value.reads:
            if variable not in values and self.scope.element(variable).origin is not Origin.CREATED:
                self.reads.add(Read(variable, name))

    def write(self, element: Element, action: Action, name: str = "") -> None:
        """The query may do this to the element."""
        self.writes.add(Write(action, element.variable, name))
