"""
Expressions: what they read, and whether they are simple enough to be compared before they are run.

The grammar is Memgraph's, less what can look at the graph in other ways than by a variable's property: patterns,
comprehensions, subqueries, functions that are not known to depend on their arguments alone.

Source: `Cypher.g4` of Memgraph v2.14.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import reduce
from typing import NamedTuple

from sluice.bolt.values import Value
from sluice.cypher.lexer import Kind, integer_value
from sluice.folding.source import NotUnderstood, Source
from sluice.folding.words import CLOCKS, NEVER_FLOATS, OPERATORS, PURE, RANDOM, RESERVED

EXACT = 2.0**53
"Below this every integer is a float of its own. Memgraph compares integers with floats as floats."


class Key(NamedTuple):
    """A value that is known before the query runs: a constant, or what a parameter holds."""

    path: tuple[str, ...]
    "A parameter's name, and the keys that lead from it to the value; empty: a constant."
    constant: Value = None


class Form(Enum):
    """How an expression is built, as far as that matters."""

    KEY = auto()
    PROPERTY = auto()
    NAME = auto()
    MAP = auto()
    LIST = auto()
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
    "The variables that it uses otherwise than by a property."
    volatile: bool = False
    "Whether it asks a clock or a random generator."
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
    def property(self) -> str:
        """The property that PROPERTY reads."""
        [(_, name)] = self.reads
        return name


_NOTHING = Expression(Form.OTHER, constant=True)


def expression(source: Source) -> Expression:
    """Take an expression."""
    return _chain(source, _exclusive, "OR")


def map_literal(source: Source) -> dict[str, Expression]:
    """Take `{name: expression, ...}`."""
    entries: dict[str, Expression] = {}
    source.expect("{")
    while not source.accept_symbol("}"):
        if entries:
            source.expect(",")
        name = source.name()
        source.expect(":")
        if name in entries:
            raise NotUnderstood(f"the property {name} is there twice")
        entries[name] = expression(source)
    return entries


def conjuncts(condition: Expression) -> list[Expression]:
    """The conditions that all have to hold for `condition` to hold."""
    if condition.form is not Form.AND:
        return [condition]
    return [conjunct for part in condition.parts for conjunct in conjuncts(part)]


def _combined(form: Form, *parts: Expression) -> Expression:
    union = reduce(_union, parts, _NOTHING)
    return Expression(form, union.reads, union.whole, union.volatile, union.constant, parts=parts)


def _union(one: Expression, other: Expression) -> Expression:
    return Expression(
        Form.OTHER,
        one.reads | other.reads,
        one.whole | other.whole,
        one.volatile or other.volatile,
        one.constant and other.constant,
    )


def _chain(source: Source, operand: object, word: str) -> Expression:
    assert callable(operand)
    parts: list[Expression] = [operand(source)]
    while source.accept_keyword(word):
        parts.append(operand(source))
    if len(parts) == 1:
        return parts[0]
    return _combined(Form.AND if word == "AND" else Form.OTHER, *parts)


def _exclusive(source: Source) -> Expression:
    return _chain(source, _conjunction, "XOR")


def _conjunction(source: Source) -> Expression:
    return _chain(source, _negation, "AND")


def _negation(source: Source) -> Expression:
    if source.accept_keyword("NOT"):
        return _combined(Form.OTHER, _negation(source))
    return _comparison(source)


def _comparison(source: Source) -> Expression:
    parts = [_arithmetic(source)]
    operators = []
    while source.token.kind is Kind.SYMBOL and source.token.text in ("=", "<>", "!=", "<", ">", "<=", ">="):
        operators.append(source.take().text)
        parts.append(_arithmetic(source))
    if not operators:
        return parts[0]
    return _combined(Form.EQUALS if operators == ["="] else Form.OTHER, *parts)


def _arithmetic(source: Source) -> Expression:
    """Everything that binds more tightly than a comparison. What binds tightest does not matter in here."""
    parts = [_operand(source)]
    while True:
        if source.token.kind is Kind.SYMBOL and source.token.text in OPERATORS:
            source.take()
            parts.append(_operand(source))
        elif (
            source.accept_keyword("STARTS", "WITH")
            or source.accept_keyword("ENDS", "WITH")
            or source.accept_keyword("CONTAINS")
        ):
            parts.append(_operand(source))
        elif source.accept_keyword("IN"):
            parts.append(_haystack(source))
        elif source.accept_keyword("IS", "NOT", "NULL") or source.accept_keyword("IS", "NULL"):
            if len(parts) == 1 and parts[0].form is Form.NAME:
                return Expression(Form.FOUND, name=parts[0].name)
            parts.append(_NOTHING)
        else:
            return parts[0] if len(parts) == 1 else _combined(Form.OTHER, *parts)


def _haystack(source: Source) -> Expression:
    """
    The right side of IN.

    Memgraph remembers the elements of a list literal for the whole query, also where a later row has others, so what
    was a constant must not become one that depends on the row.
    """
    right = _operand(source)
    if not right.constant and (right.form is not Form.KEY or not right.key or not right.key.path):
        raise NotUnderstood("IN looks into something else than a constant list or a parameter")
    return right


def _operand(source: Source) -> Expression:
    negative = False
    while source.is_symbol("-") or source.is_symbol("+"):
        negative ^= source.take().text == "-"
    found = _atom(source)
    if negative:
        number = found.key.constant if found.key and not found.key.path else None
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            found = constant(-number)
        else:
            found = _combined(Form.OTHER, found)
    while True:
        if source.accept_symbol("."):
            found = _looked_up(found, source.name())
        elif source.accept_symbol("["):
            found = _combined(Form.OTHER, found, *_subscript(source))
        elif source.is_symbol(":") and found.form is Form.NAME:
            return Expression(Form.LABELS, whole=found.whole, name=found.name, labels=labels(source))
        else:
            return found


def _looked_up(owner: Expression, name: str) -> Expression:
    if owner.form is Form.NAME:
        return Expression(Form.PROPERTY, reads=frozenset({(owner.name, name)}), name=owner.name)
    if owner.key is not None and owner.key.path:
        return Expression(Form.KEY, key=Key((*owner.key.path, name)))
    return _combined(Form.OTHER, owner)


def _subscript(source: Source) -> list[Expression]:
    parts = []
    while not source.accept_symbol("]"):
        if not source.accept_symbol(".."):
            parts.append(expression(source))
        if len(parts) > 2:
            raise source.unexpected("]")
    return parts


def labels(source: Source) -> tuple[str, ...]:
    """Take `:Label:Label...`, or nothing."""
    found = []
    while source.accept_symbol(":"):
        found.append(source.name())
    return tuple(found)


def constant(value: Value) -> Expression:
    """The expression that is `value`."""
    if type(value) is float and not abs(value) < EXACT:
        return _NOTHING
    return Expression(Form.KEY, constant=True, key=Key((), value))


def _atom(source: Source) -> Expression:
    token = source.token
    if token.kind is Kind.PARAMETER:
        return Expression(Form.KEY, key=Key((source.take().value,)))
    if token.kind is Kind.STRING:
        return constant(source.take().value)
    if token.kind in (Kind.INTEGER, Kind.FLOAT):
        value = integer_value(token.text) if token.kind is Kind.INTEGER else float(token.text)
        source.take()
        return _NOTHING if value is None else constant(value)
    if source.accept_symbol("("):
        inner = expression(source)
        source.expect(")")
        return inner
    if source.accept_symbol("["):
        return _list(source)
    if source.is_symbol("{"):
        entries = map_literal(source)
        together = _combined(Form.MAP, *entries.values())
        return Expression(
            Form.MAP, together.reads, together.whole, together.volatile, together.constant, entries=entries
        )
    if token.kind in (Kind.NAME, Kind.QUOTED_NAME):
        return _word(source)
    raise source.unexpected("an expression")


def _list(source: Source) -> Expression:
    items: list[Expression] = []
    while not source.accept_symbol("]"):
        if items:
            source.expect(",")
        items.append(expression(source))
    return _combined(Form.LIST, *items)


def _word(source: Source) -> Expression:
    for word, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
        if source.accept_keyword(word):
            return constant(value)
    if source.accept_keyword("CASE"):
        return _case(source)
    if source.ahead(1).kind is Kind.SYMBOL and source.ahead(1).text == "(":
        return _call(source)
    name = source.name(RESERVED)
    return Expression(Form.NAME, whole=frozenset({name}), name=name)


def _case(source: Source) -> Expression:
    parts = [] if source.is_keyword("WHEN") else [expression(source)]
    while source.accept_keyword("WHEN"):
        parts.append(expression(source))
        if not source.accept_keyword("THEN"):
            raise source.unexpected("THEN")
        parts.append(expression(source))
    if source.accept_keyword("ELSE"):
        parts.append(expression(source))
    if not source.accept_keyword("END"):
        raise source.unexpected("END")
    return _combined(Form.OTHER, *parts)


def _call(source: Source) -> Expression:
    name = source.take().value
    source.expect("(")
    arguments: list[Expression] = []
    while not source.accept_symbol(")"):
        if arguments:
            source.expect(",")
        arguments.append(expression(source))
    word = name.lower()
    if word in RANDOM or (word in CLOCKS and not arguments):
        together = _combined(Form.OTHER, *arguments)
        return Expression(Form.OTHER, together.reads, together.whole, volatile=True)
    if word not in PURE and word not in CLOCKS:
        raise NotUnderstood(f"the function {name} is not known to depend on its arguments alone")
    together = _combined(Form.OTHER, *arguments)
    return replace(together, never_float=word in NEVER_FLOATS)
