"""
Expressions: what they read, and whether they are simple enough to be compared before they are evaluated.

Source: `Cypher.g4` of Memgraph v2.14.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from sluice.bolt.values import Value

EXACT = 2.0**53
"Below this every integer is a float of its own. Memgraph compares integers with floats as floats."


class Key(NamedTuple):
    """A value that can be looked up before the query runs: a constant, or what the parameters hold."""

    path: tuple[str, ...]
    "The keys that lead to the value: from the parameters, or from an element of the innermost list."
    constant: Value = None
    "The value, if there are neither keys nor lists."
    lists: tuple[Key, ...] = ()
    "The lists that UNWIND or FOREACH goes through to get to it, the outermost first."


class Form(Enum):
    """How an expression is built, as far as that matters."""

    KEY = auto()
    PROPERTY = auto()
    NAME = auto()
    MAP = auto()
    EQUALS = auto()
    AND = auto()
    LABELS = auto()
    FOUND = auto()
    "Whether a variable is null."
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, taken apart as far as that matters."""

    form: Form
    reads: frozenset[tuple[str, str]] = frozenset()
    "The properties it reads: (variable, property)."
    whole: frozenset[str] = frozenset()
    "The variables it uses in other ways than by a property."
    constant: bool = False
    "Whether it has neither variables nor parameters in it."
    key: Key | None = None
    "The value, in the form KEY."
    parts: tuple[Expression, ...] = ()
    "The sides of EQUALS and AND."
    name: str = ""
    "The variable of NAME, PROPERTY, LABELS and FOUND."
    labels: tuple[str, ...] = ()
    entries: Mapping[str, Expression] = field(default_factory=dict)
    "The entries of MAP."
    never_float: bool = False
    "Whether it is text, an integer or null, in the form OTHER."

    @property
    def variables(self) -> frozenset[str]:
        """All variables in it."""
        return self.whole | {name for name, _ in self.reads}

    @property
    def conjuncts(self) -> list[Expression]:
        """The conditions that all have to hold for this one to hold."""
        if self.form is not Form.AND:
            return [self]
        return [conjunct for part in self.parts for conjunct in part.conjuncts]

    @property
    def equations(self) -> list[tuple[Expression, Expression]]:
        """Of EQUALS, (property of a variable, what it is equal to), for each side that is one."""
        if self.form is not Form.EQUALS:
            return []
        left, right = self.parts
        return [sides for sides in ((left, right), (right, left)) if sides[0].form is Form.PROPERTY]

    @property
    def property(self) -> str:
        """The property that PROPERTY reads; empty for any other form."""
        return next((name for _, name in self.reads), "") if self.form is Form.PROPERTY else ""
