"""`CALL module.procedure(arguments) YIELD columns ...`, taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.tokens import Token, closing_of, source_of, split_at_commas


@dataclass(frozen=True)
class Yield:
    """A column of the procedure, and what the statement calls it."""

    field: str
    name: str


@dataclass(frozen=True)
class Call:
    """A statement that begins with a call of a procedure."""

    procedure: str
    "`module.name`, without backticks."
    arguments: tuple[str, ...]
    "The expressions, as they were written."
    yields: tuple[Yield, ...] | None
    "Empty for `YIELD *`; None without a YIELD."
    tail: str
    "What follows, RETURN and all; empty if nothing does."


def parse_call(text: str, tokens: Sequence[Token]) -> Call | None:
    """The call that a statement begins with; None if it begins with something else, or cannot be read."""
    if len(tokens) < 2 or not tokens[0].is_word("CALL") or tokens[1].name is None:
        return None
    position, names = 1, [tokens[1].name]
    while position + 2 < len(tokens) and tokens[position + 1].text == ".":
        position += 2
        names.append(tokens[position].name or "")
    opening = position + 1
    if opening >= len(tokens) or tokens[opening].text != "(":
        return None
    closing = closing_of(tokens, opening)
    if closing is None:
        return None
    arguments = tuple(source_of(text, part) for part in split_at_commas(tokens[opening + 1 : closing]))
    rest = tokens[closing + 1 :]
    yields: tuple[Yield, ...] | None = None
    if rest and rest[0].is_word("YIELD"):
        yields, rest = _parse_yield(rest[1:])
        if yields is None:
            return None
    return Call(".".join(names), arguments, yields, source_of(text, rest))


def _parse_yield(tokens: Sequence[Token]) -> tuple[tuple[Yield, ...] | None, Sequence[Token]]:
    """What is yielded, None if nothing is, and the tokens after it."""
    if tokens and tokens[0].text == "*":
        return (), tokens[1:]
    yields: list[Yield] = []
    position = 0
    while position < len(tokens) and tokens[position].name is not None:
        field = name = tokens[position].name or ""
        position += 1
        if position + 1 < len(tokens) and tokens[position].is_word("AS"):
            name = tokens[position + 1].name or ""
            position += 2
        yields.append(Yield(field, name))
        if position >= len(tokens) or tokens[position].text != ",":
            break
        position += 1
    return tuple(yields) or None, tokens[position:]
