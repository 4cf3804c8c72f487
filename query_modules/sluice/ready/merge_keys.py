"""
The values by which the MERGE clauses of a query look for something, as far as the messages have them as they are:
`MERGE (n:Person {id: $value.id})`, also by the names that WITH and UNWIND give them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sluice.cypher.lexer import Kind, Token
from sluice.folding.expressions import Key

_CLAUSES = frozenset(
    {
        "WITH",
        "MATCH",
        "MERGE",
        "CREATE",
        "SET",
        "ON",
        "REMOVE",
        "DELETE",
        "DETACH",
        "OPTIONAL",
        "UNWIND",
        "RETURN",
        "CALL",
    }
)


class FieldChain(NamedTuple):
    """A parameter or a variable, and the fields that are taken of it."""

    first: Token
    fields: tuple[str, ...]
    end: int
    "The place of the token after it."


def merge_keys(found: Sequence[Token]) -> tuple[tuple[str, Key], ...]:
    """
    For each property that a MERGE of these tokens names: its name, and where the parameters have its value.

    Not those of a MERGE in FOREACH or after WHERE, which are not run for all messages.
    """
    meanings: dict[str, Key] = {}
    keys: dict[tuple[str, Key], None] = {}
    clause = ""
    for place, token in _unconditional(found):
        word = _keyword(found, place)
        clause = word if word in _CLAUSES else clause
        if clause in ("WITH", "UNWIND") and (word == clause or token.text == ","):
            meanings |= _named(found, place + 1, meanings, is_list=clause == "UNWIND")
        elif clause == "MERGE" and token.text in ("{", ",") and _is_entry(found, place):
            chain = _chain(found, place + 3)
            key = _key(chain, meanings)
            if chain is not None and key is not None and _text(found, chain.end) in ("}", ","):
                keys[found[place + 1].value, key] = None
    return tuple(keys)


def _unconditional(found: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """The tokens before the first WHERE, and outside of FOREACH."""
    depth, in_loop = 0, False
    for place, token in enumerate(found):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        word = _keyword(found, place)
        if word == "WHERE":
            return
        if word == "FOREACH":
            in_loop = True
        if not in_loop:
            yield place, token
        elif depth == 0 and token.text == ")":
            in_loop = False


def _keyword(found: Sequence[Token], place: int) -> str:
    """A word in capitals; empty if the token is anything else, or a name after a dot or a colon."""
    is_word = found[place].kind is Kind.NAME and _text(found, place - 1) not in (".", ":")
    return found[place].text.upper() if is_word else ""


def _text(found: Sequence[Token], place: int) -> str:
    return found[place].text if 0 <= place < len(found) else ""


def _is_entry(found: Sequence[Token], place: int) -> bool:
    """Whether a map's key and its colon follow."""
    names = (Kind.NAME, Kind.QUOTED_NAME)
    return place + 3 < len(found) and found[place + 1].kind in names and found[place + 2].text == ":"


def _named(found: Sequence[Token], place: int, meanings: dict[str, Key], *, is_list: bool) -> dict[str, Key]:
    """What `chain AS name` at this place says of the name."""
    chain = _chain(found, place)
    if chain is None or chain.end + 1 >= len(found) or not found[chain.end].is_keyword("AS"):
        return {}
    key = _key(chain, meanings)
    if key is None:
        return {}
    return {found[chain.end + 1].value: Key((), lists=(*key.lists, key)) if is_list else key}


def _chain(found: Sequence[Token], place: int) -> FieldChain | None:
    if place >= len(found) or found[place].kind not in (Kind.PARAMETER, Kind.NAME, Kind.QUOTED_NAME):
        return None
    end, fields = place + 1, list(_fields(found, place + 1))
    return FieldChain(found[place], tuple(fields), end + 2 * len(fields))


def _fields(found: Sequence[Token], place: int) -> Iterator[str]:
    while (
        place + 1 < len(found) and found[place].text == "." and found[place + 1].kind in (Kind.NAME, Kind.QUOTED_NAME)
    ):
        yield found[place + 1].value
        place += 2


def _key(chain: FieldChain | None, meanings: dict[str, Key]) -> Key | None:
    if chain is None:
        return None
    if chain.first.kind is Kind.PARAMETER:
        return Key((chain.first.value, *chain.fields))
    meaning = meanings.get(chain.first.value)
    return None if meaning is None else meaning._replace(path=(*meaning.path, *chain.fields))
