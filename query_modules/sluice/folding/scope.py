"""What the names in a query stand for."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from sluice.folding.access import Element
from sluice.folding.expressions import Expression, Form, Key
from sluice.folding.token_stream import NotUnderstood


class Scope:
    """The names of one query, as far as its clauses have been read."""

    def __init__(self) -> None:
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
