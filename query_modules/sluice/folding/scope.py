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
        self.sources: dict[str, dict[str, tuple[str, str]]] = {}
        "Variable -> property by which it is looked for -> variable and property that have its value."
        self.is_ambiguous = False
        "As `Trait.AMBIGUOUS`."
        self.elements: dict[str, Element] = {}
        "Variables of vertices and edges."
        self.items: set[str] = set()
        "Variables of UNWIND and FOREACH, and names that WITH gives to values that are not known beforehand."
        self.lists: dict[str, Key] = {}
        "Variables of UNWIND and FOREACH -> the list, if it is known beforehand."
        self.aliases: dict[str, Key] = {}
        "Names that WITH gives to parameters."
        self._known: list[set[str]] = [set()]
        "The names that are known, and those within each FOREACH that is open."

    @property
    def values(self) -> set[str]:
        """All names that are not of vertices or edges."""
        return self.items | self.aliases.keys()

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

    def resolved(self, value: Expression) -> Expression:
        """The value, with the parameter in the place of a name that WITH gave it."""
        key = self.aliases.get(value.name)
        if key is None or value.form not in (Form.NAME, Form.PROPERTY):
            return value
        return Expression(Form.KEY, key=Key((*key.path, value.property) if value.form is Form.PROPERTY else key.path))

    def list_of(self, value: Expression) -> Key | None:
        """The list of which the value is an element, or a property of each element; None: it is none, or not known."""
        return self.lists.get(value.name) if value.form in (Form.NAME, Form.PROPERTY) else None

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
        element.required.add(name)
        value = self.resolved(value)
        if value.key is not None:
            element.keys.setdefault(name, value.key)
        elif value.form is Form.PROPERTY:
            self.sources.setdefault(element.variable, {})[name] = (value.name, value.property)

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
