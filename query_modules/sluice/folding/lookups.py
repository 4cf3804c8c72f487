"""
The parameters by which a text looks for vertices and relationships: those in the patterns of MATCH and MERGE, and
those that WHERE wants a property to be equal to.

Found by the tokens alone, so that it is known of texts that are not understood otherwise. A name that cannot be traced
to a parameter may be any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile

from sluice.bolt.values import Value
from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError
from sluice.folding.words import CLAUSES, RESERVED

Path = tuple[str, ...]
"A parameter, and the keys from there to the value, through all lists on the way. Empty: any parameter."

ANY: Path = ()

VALUES = frozenset({"NULL", "TRUE", "FALSE"})

_NAMES = (Kind.NAME, Kind.QUOTED_NAME)


def nan_sought(text: str, parameters: Mapping[str, Value]) -> str | None:
    """Where, among the parameters, is a NaN that a query of this text looks for; None: nowhere."""
    return next(filter(None, (_nan(parameters, path, "") for path in lookups_of(text))), None)


@lru_cache(maxsize=512)
def lookups_of(text: str) -> frozenset[Path]:
    """The parameters by which queries of this text look for vertices and relationships."""
    try:
        found = tuple(takewhile(lambda token: token.kind is not Kind.END, tokens(text)))
    except ClauseError:
        return frozenset()  # the server refuses it
    return frozenset(_Text(found).lookups())


def _nan(value: Value, path: Path, place: str) -> str | None:
    """The place of a NaN at this path, or below it."""
    if isinstance(value, list):
        items: Iterable[tuple[str, Value, Path]] = ((f"{place}[{at}]", item, path) for at, item in enumerate(value))
    elif isinstance(value, Mapping):
        names = [path[0]] if path and path[0] in value else [] if path else list(value)
        items = ((f"{place}.{name}", value[name], path[1:]) for name in names)
    else:
        is_nan = isinstance(value, float) and value != value and not path  # noqa: PLR0124 - so NaN is told
        return place.removeprefix(".") if is_nan else None
    return next(filter(None, (_nan(item, rest, where) for where, item, rest in items)), None)


class _Text:
    """The tokens of one text."""

    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens = found
        self._enclosing = list(_enclosing(found))
        self._values: dict[str, dict[Path, bool]] = {}
        "Names of values -> what they are computed from, and whether their properties are those of just that."
        self._elements: set[str] = set()
        "Names in patterns."
        for at, token in enumerate(found):
            self._define(at, token)

    def lookups(self) -> Iterator[Path]:
        """All of them, some more than once."""
        for at in range(len(self._tokens)):
            if self._is_word(at, "WHERE"):
                yield from self._conditions(at + 1, self._clause_end(at + 1))
            elif (self._is_word(at, "MATCH") or self._is_word(at, "MERGE")) and not self._is_word(at - 1, "ON"):
                end = self._clause_end(at + 1)
                depth = len(self._enclosing[at])
                for inner in range(at + 1, end):
                    is_value = "{" in self._enclosing[inner][depth:]
                    if is_value or self._tokens[inner].kind is Kind.PARAMETER:
                        yield from self._paths(inner, inner + 1)

    def _conditions(self, start: int, end: int) -> Iterator[Path]:
        outside = [at for at in range(start, end) if self._enclosing[at] == self._enclosing[start - 1]]
        if any(self._is_word(at, word) for at in outside for word in ("OR", "XOR", "NOT")):
            return
        borders = [start - 1, *(at for at in outside if self._is_word(at, "AND")), end]
        for before, after in zip(borders, borders[1:], strict=False):
            equals = [at for at in outside if before < at < after and self._tokens[at].text == "="]
            if len(equals) == 1:
                sides = [(before + 1, equals[0]), (equals[0] + 1, after)]
                for one, other in (sides, sides[::-1]):
                    if one[1] - one[0] == 3 and self._tokens[one[0]].value in self._elements:
                        yield from self._paths(*other)

    def _paths(self, start: int, end: int) -> Iterator[Path]:
        """The parameters that are read between two tokens."""
        for at in range(start, end):
            token = self._tokens[at]
            if token.kind is Kind.PARAMETER:
                yield (token.value, *self._keys(at))
            elif token.kind in _NAMES and self._is_variable(at):
                if token.value not in self._values and token.value not in self._elements:
                    yield ANY
                for path, has_keys in self._values.get(token.value, {}).items():
                    yield (*path, *self._keys(at)) if has_keys else path

    def _keys(self, at: int) -> Path:
        """The properties of properties that are asked for after a name."""
        keys = []
        while self._text(at + 1) == "." and at + 2 < len(self._tokens) and self._tokens[at + 2].kind in _NAMES:
            at += 2
            keys.append(self._tokens[at].value)
        return tuple(keys)

    def _is_variable(self, at: int) -> bool:
        token, before, after = self._tokens[at], self._text(at - 1), self._text(at + 1)
        if token.kind is Kind.NAME and token.text.upper() in RESERVED | VALUES:
            return False
        is_key = after == ":" and self._enclosing[at][-1:] == ("{",)
        is_label = before == ":" and self._enclosing[at][-1:] != ("{",)
        return not (before == "." or after == "(" or is_key or is_label)

    def _define(self, at: int, token: Token) -> None:
        """Notes a name that AS or IN gives to a value, or that a pattern has."""
        if self._is_word(at, "AS") and at + 1 < len(self._tokens):
            self._add(self._tokens[at + 1].value, self._expression_start(at), at)
        elif token.kind in _NAMES and self._text(at - 1) in ("(", "["):
            if self._is_word(at + 1, "IN"):
                self._add(token.value, at + 2, self._clause_end(at + 2, "|"))
            elif at < 2 or self._tokens[at - 2].kind not in _NAMES or self._text(at - 2).upper() in RESERVED:
                self._elements.add(token.value)

    def _add(self, name: str, start: int, end: int) -> None:
        is_chain = start + 1 + 2 * len(self._keys(start)) == end
        paths = {path: is_chain and path != ANY for path in self._paths(start, end)}
        self._values.setdefault(name, {}).update(paths)

    def _expression_start(self, end: int) -> int:
        """Where the expression before AS begins."""
        at = end
        while at > 0:
            before = self._tokens[at - 1]
            if len(self._enclosing[at - 1]) < len(self._enclosing[end]) or (
                self._enclosing[at - 1] == self._enclosing[end]
                and (before.text == "," or any(self._is_word(at - 1, word) for word in ("WITH", "UNWIND", "DISTINCT")))
            ):
                break
            at -= 1
        return at

    def _clause_end(self, start: int, *symbols: str) -> int:
        """Where a clause ends whose inside begins at that token."""
        depth = len(self._enclosing[start]) if start < len(self._tokens) else 0
        for at in range(start, len(self._tokens)):
            inside = len(self._enclosing[at])
            if inside < depth or (inside == depth and self._text(at) in (*symbols, ";")):
                return at
            if inside == depth and any(self._is_word(at, word) for word in CLAUSES):
                return at
        return len(self._tokens)

    def _is_word(self, at: int, word: str) -> bool:
        """Whether the token is this keyword, and no property, label or key of that name."""
        if not 0 <= at < len(self._tokens) or not self._tokens[at].is_keyword(word):
            return False
        return self._text(at - 1) not in (".", ":") and self._text(at + 1) != ":"

    def _text(self, at: int) -> str:
        return self._tokens[at].text if 0 <= at < len(self._tokens) else ""


def _enclosing(found: Iterable[Token]) -> Iterator[tuple[str, ...]]:
    """The brackets that are open at each token; a bracket itself is outside of what it encloses."""
    brackets: tuple[str, ...] = ()
    for token in found:
        is_symbol = token.kind is Kind.SYMBOL
        if is_symbol and token.text in ")]}":
            brackets = brackets[:-1]
        yield brackets
        if is_symbol and token.text in "([{":
            brackets = (*brackets, token.text)
