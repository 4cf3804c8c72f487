"""
A query of the options as it is sent: `$value`, `$key` and the others are its parameters.

What templates of Neo4j's connector call `event`, `__value`, `__key`, `__header` and `__timestamp` are variables there.
Each becomes the parameter it stands for: `event.id` is sent as `$value.id`, which is folded like what was written for
it. If the query binds such a name itself, it is the query's own and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from sluice.cypher.lexer import Kind, Token, tokens
from sluice.decoding.refusals import WrongOption
from sluice.errors import ClauseError
from sluice.folding import FOLDED, explain
from sluice.folding.expressions import Key
from sluice.ready.merge_keys import merge_keys
from sluice.ready.message import NAMES, VALUE

NEO4J = {
    "event": "value",
    "__value": "value",
    "__key": "key",
    "__header": "headers",
    "__timestamp": "timestamp",
}
"What Neo4j's connector calls them, and what they are here."

_PATTERN_STARTS = {"MATCH", "MERGE", "CREATE", ",", "-", ">", "="}
"What stands before the bracket of a vertex in a pattern. Before that of a function's arguments stands its name."

_CLAUSES = frozenset(
    {"WITH", "MATCH", "MERGE", "CREATE", "SET", "REMOVE", "DELETE", "UNWIND", "RETURN", "WHERE", "FOREACH", "CALL"}
)


class QueryTemplate(NamedTuple):
    """A query that is run for messages."""

    text: str
    names: frozenset[str]
    "The parameters it has."
    keys: tuple[tuple[str, Key], ...]
    "What MERGE looks for: the property's name, and where the parameters have its value."
    fields: tuple[str, ...]
    "The fields of `$value` to which it is cut; empty if all of it is needed, or if folding does the cutting."


def template_of(text: str, option: str) -> QueryTemplate:
    """
    A query of the options.

    Raises:
        WrongOption: it is not a query, or has a parameter that does not exist.
    """
    try:
        text = _with_parameters(text, _tokens(text))
        found = _tokens(text)
    except ClauseError as error:
        raise WrongOption(f"the option {option}: {error}") from None
    if not found:
        raise WrongOption(f"the option {option} has an empty query")
    names = frozenset(token.value for token in found if token.kind is Kind.PARAMETER)
    for name in sorted(names - set(NAMES)):
        there = ", ".join(f"${one}" for one in NAMES)
        raise WrongOption(f"the option {option}: there is no parameter ${name}; there are {there}")
    return QueryTemplate(text, names, merge_keys(found), () if explain(text) == FOLDED else _fields(found))


def _tokens(text: str) -> list[Token]:
    return list(takewhile(lambda token: token.kind is not Kind.END, tokens(text)))


def _fields(found: Sequence[Token]) -> tuple[str, ...]:
    """The fields of `$value` that a query names; empty if it also uses it as a whole."""
    fields = []
    for place, token in enumerate(found):
        if token.kind is Kind.PARAMETER and token.value == VALUE:
            if _text(found, place + 1) != "." or place + 2 >= len(found):
                return ()
            fields.append(found[place + 2].value)
    return tuple(dict.fromkeys(fields))


def _with_parameters(text: str, found: Sequence[Token]) -> str:
    """The text with parameters for the names of Neo4j's connector."""
    pieces: list[tuple[Token, str]] = []
    projected = {}
    for name in NEO4J.keys() & {token.value for token in found if token.kind is Kind.NAME}:
        uses = [place for place in range(len(found)) if _is_variable(found, place, name)]
        if any(_is_bound(found, place) for place in uses):
            continue
        if any(_is_projected(found, place) for place in uses):
            projected[name] = NEO4J[name]  # WITH event, ... hands a variable on, so it has to be one
        else:
            pieces += [(found[place], f"${NEO4J[name]}") for place in uses]
    made, at = [], 0
    for token, parameter in sorted(pieces, key=lambda piece: piece[0].start):
        made += [text[at : token.start], parameter]
        at = token.start + len(token.text)
    made.append(text[at:])
    bound = ", ".join(f"${parameter} AS {name}" for name, parameter in sorted(projected.items()))
    return (f"WITH {bound} " if bound else "") + "".join(made)


def _is_variable(found: Sequence[Token], place: int, name: str) -> bool:
    """Whether the token is a variable of that name: not a property, a label, a map's key or a function."""
    token, before, after = found[place], _text(found, place - 1), _text(found, place + 1)
    if token.kind is not Kind.NAME or token.value != name or before == "." or after == "(":
        return False
    if before == ":":
        return _within_map(found, place)
    return not (after == ":" and before in ("{", ",") and _within_map(found, place))


def _within_map(found: Sequence[Token], place: int) -> bool:
    """Whether the innermost bracket around the token is that of a map."""
    depth = 0
    for token in reversed(found[:place]):
        if token.text in (")", "]", "}"):
            depth += 1
        elif token.text in ("(", "[", "{"):
            if depth == 0:
                return token.text == "{"
            depth -= 1
    return False


def _is_bound(found: Sequence[Token], place: int) -> bool:
    """Whether the query itself gives the variable its meaning here: in a pattern, after AS, or in a loop."""
    before, earlier, after = _text(found, place - 1), _text(found, place - 2), _text(found, place + 1)
    if before == "AS" or (after == "IN" and before in ("(", "[")):
        return True
    if before == "(" and after in (")", ":", "{"):
        return earlier in _PATTERN_STARTS
    return before == "[" and after in ("]", ":", "*")


def _is_projected(found: Sequence[Token], place: int) -> bool:
    """Whether WITH hands the variable on under its own name."""
    before, after = _text(found, place - 1), found[place + 1] if place + 1 < len(found) else None
    ends = after is None or after.text == "," or (after.kind is Kind.NAME and not after.is_keyword("AS"))
    if not ends or before not in ("WITH", ","):
        return False
    depth = 0
    for token in reversed(found[:place]):
        depth += (token.text in (")", "]", "}")) - (token.text in ("(", "[", "{"))
        if depth < 0:
            return False
        if depth == 0 and token.kind is Kind.NAME and token.text.upper() in _CLAUSES:
            return token.is_keyword("WITH")
    return False


def _text(found: Sequence[Token], place: int) -> str:
    """A token's text, words in capitals; empty beyond the ends."""
    if not 0 <= place < len(found):
        return ""
    token = found[place]
    return token.text.upper() if token.kind is Kind.NAME else token.text
