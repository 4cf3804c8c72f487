"""
Text into expressions.

The grammar is Memgraph's, without anything that looks at the graph other than by a property of a variable: patterns,
comprehensions, subqueries, and functions that are not known to depend on their arguments alone.

Source: `Cypher.g4` of Memgraph v2.14.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sluice.bolt.values import Value
from sluice.cypher.lexer import Kind, integer_value
from sluice.folding.expressions import EXACT, Expression, Form, Key
from sluice.folding.token_stream import NotUnderstood, TokenStream
from sluice.folding.words import CLOCKS, NEVER_FLOATS, OPERATORS, PURE, RANDOM, RESERVED

_NOTHING = Expression(Form.OTHER, constant=True)


def expression(source: TokenStream) -> Expression:
    """Take an expression."""
    return _chain(source, _exclusive, "OR")


def map_literal(source: TokenStream) -> dict[str, Expression]:
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


def _combined(form: Form, *parts: Expression) -> Expression:
    return Expression(
        form,
        frozenset().union(*(part.reads for part in parts)),
        frozenset().union(*(part.whole for part in parts)),
        all(part.constant for part in parts),
        parts=parts,
    )


def _chain(source: TokenStream, operand: Callable[[TokenStream], Expression], word: str) -> Expression:
    parts = [operand(source)]
    while source.accept_keyword(word):
        parts.append(operand(source))
    if len(parts) == 1:
        return parts[0]
    return _combined(Form.AND if word == "AND" else Form.OTHER, *parts)


def _exclusive(source: TokenStream) -> Expression:
    return _chain(source, _conjunction, "XOR")


def _conjunction(source: TokenStream) -> Expression:
    return _chain(source, _negation, "AND")


def _negation(source: TokenStream) -> Expression:
    if source.accept_keyword("NOT"):
        return _combined(Form.OTHER, _negation(source))
    return _comparison(source)


def _comparison(source: TokenStream) -> Expression:
    parts = [_arithmetic(source)]
    operators = []
    while source.token.kind is Kind.SYMBOL and source.token.text in ("=", "<>", "!=", "<", ">", "<=", ">="):
        operators.append(source.take().text)
        parts.append(_arithmetic(source))
    if not operators:
        return parts[0]
    return _combined(Form.EQUALS if operators == ["="] else Form.OTHER, *parts)


def _arithmetic(source: TokenStream) -> Expression:
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


def _haystack(source: TokenStream) -> Expression:
    """
    The right side of IN.

    Memgraph remembers the elements of a list literal for the whole query, also where a later row has others, so what
    was a constant must not become one that depends on the row.
    """
    right = _operand(source)
    if not right.constant and (right.form is not Form.KEY or not right.key or not right.key.path):
        raise NotUnderstood("IN looks into something else than a constant list or a parameter")
    return right


def _operand(source: TokenStream) -> Expression:
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


def _subscript(source: TokenStream) -> list[Expression]:
    parts = []
    while not source.accept_symbol("]"):
        if not source.accept_symbol(".."):
            parts.append(expression(source))
        if len(parts) > 2:
            raise source.unexpected("]")
    return parts


def labels(source: TokenStream) -> tuple[str, ...]:
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


def _atom(source: TokenStream) -> Expression:
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
        return _combined(Form.LIST, *_until(source, "]"))
    if source.is_symbol("{"):
        entries = map_literal(source)
        return replace(_combined(Form.MAP, *entries.values()), entries=entries)
    if token.kind in (Kind.NAME, Kind.QUOTED_NAME):
        return _word(source)
    raise source.unexpected("an expression")


def _until(source: TokenStream, closing: str) -> list[Expression]:
    """Take expressions with commas between them, and the symbol that ends them."""
    if source.accept_symbol(closing):
        return []
    items = source.listed(partial(expression, source))
    source.expect(closing)
    return items


def _word(source: TokenStream) -> Expression:
    for word, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
        if source.accept_keyword(word):
            return constant(value)
    if source.accept_keyword("CASE"):
        return _case(source)
    if source.ahead(1).kind is Kind.SYMBOL and source.ahead(1).text == "(":
        return _call(source)
    name = source.name(RESERVED)
    return Expression(Form.NAME, whole=frozenset({name}), name=name)


def _case(source: TokenStream) -> Expression:
    parts = [] if source.is_keyword("WHEN") else [expression(source)]
    while source.accept_keyword("WHEN"):
        parts.append(expression(source))
        source.expect_keyword("THEN")
        parts.append(expression(source))
    if source.accept_keyword("ELSE"):
        parts.append(expression(source))
    source.expect_keyword("END")
    return _combined(Form.OTHER, *parts)


def _call(source: TokenStream) -> Expression:
    name = source.take().value
    source.expect("(")
    arguments = _until(source, ")")
    word = name.lower()
    if word not in PURE | CLOCKS | RANDOM:
        raise NotUnderstood(f"the function {name} is not known to depend on its arguments alone")
    found = _combined(Form.OTHER, *arguments)
    asks = word in RANDOM or (word in CLOCKS and not arguments)
    return replace(found, constant=found.constant and not asks, never_float=word in NEVER_FLOATS)
