"""
Text into expressions.

The grammar is Memgraph's, without anything that looks at the graph other than by a property of a variable: patterns,
comprehensions, subqueries, and functions that are not known to depend on their arguments alone.

Source: `Cypher.g4` of Memgraph v2.14.1.
"""

from __future__ import annotations

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
    parts = [_conjunction(source)]
    while source.accept("OR") or source.accept("XOR"):
        parts.append(_conjunction(source))
    return parts[0] if len(parts) == 1 else _combined(Form.OTHER, *parts)


def map_literal(source: TokenStream) -> dict[str, Expression]:
    """Take `{name: expression, ...}`."""
    source.expect("{")
    entries: dict[str, Expression] = {}
    for name, value in source.enclosed("}", partial(_entry, source)):
        if name in entries:
            raise NotUnderstood(f"the property {name} is there twice")
        entries[name] = value
    return entries


def _entry(source: TokenStream) -> tuple[str, Expression]:
    name = source.name()
    source.expect(":")
    return name, expression(source)


def _combined(form: Form, *parts: Expression) -> Expression:
    return Expression(
        form,
        frozenset().union(*(part.reads for part in parts)),
        frozenset().union(*(part.whole for part in parts)),
        all(part.constant for part in parts),
        parts=parts,
    )


def _conjunction(source: TokenStream) -> Expression:
    parts = [_negation(source)]
    while source.accept("AND"):
        parts.append(_negation(source))
    return parts[0] if len(parts) == 1 else _combined(Form.AND, *parts)


def _negation(source: TokenStream) -> Expression:
    if source.accept("NOT"):
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
        elif source.accept("STARTS", "WITH") or source.accept("ENDS", "WITH") or source.accept("CONTAINS"):
            parts.append(_operand(source))
        elif source.accept("IN"):
            parts.append(_haystack(source))
        elif source.accept("IS", "NOT", "NULL") or source.accept("IS", "NULL"):
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
    while source.at("-") or source.at("+"):
        negative ^= source.take().text == "-"
    found = _atom(source)
    if negative:
        number = found.key.constant if found.key and not found.key.path else None
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            found = constant(-number)
        else:
            found = _combined(Form.OTHER, found)
    while True:
        if source.accept("."):
            found = _looked_up(found, source.name())
        elif source.accept("["):
            found = _combined(Form.OTHER, found, *_subscript(source))
        elif source.at(":") and found.form is Form.NAME:
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
    while not source.accept("]"):
        if not source.accept(".."):
            parts.append(expression(source))
        if len(parts) > 2:
            raise source.unexpected("]")
    return parts


def labels(source: TokenStream) -> tuple[str, ...]:
    """Take `:Label:Label...`, or nothing."""
    found = []
    while source.accept(":"):
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
    if source.accept("("):
        inner = expression(source)
        source.expect(")")
        return inner
    if source.accept("["):
        return _combined(Form.OTHER, *source.enclosed("]", partial(expression, source)))
    if source.at("{"):
        entries = map_literal(source)
        return replace(_combined(Form.MAP, *entries.values()), entries=entries)
    if token.kind in (Kind.NAME, Kind.QUOTED_NAME):
        return _word(source)
    raise source.unexpected("an expression")


def _word(source: TokenStream) -> Expression:
    for word, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
        if source.accept(word):
            return constant(value)
    if source.accept("CASE"):
        return _case(source)
    if source.ahead(1).kind is Kind.SYMBOL and source.ahead(1).text == "(":
        return _call(source)
    name = source.name(RESERVED)
    return Expression(Form.NAME, whole=frozenset({name}), name=name)


def _case(source: TokenStream) -> Expression:
    parts = [] if source.at("WHEN") else [expression(source)]
    while source.accept("WHEN"):
        parts.append(expression(source))
        source.expect("THEN")
        parts.append(expression(source))
    if source.accept("ELSE"):
        parts.append(expression(source))
    source.expect("END")
    return _combined(Form.OTHER, *parts)


def _call(source: TokenStream) -> Expression:
    name = source.take().value
    source.expect("(")
    arguments = source.enclosed(")", partial(expression, source))
    word = name.lower()
    if word not in PURE | CLOCKS | RANDOM:
        raise NotUnderstood(f"the function {name} is not known to depend on its arguments alone")
    found = _combined(Form.OTHER, *arguments)
    asks = word in RANDOM or (word in CLOCKS and not arguments)
    return replace(found, constant=found.constant and not asks, never_float=word in NEVER_FLOATS)
