"""
Patterns as Neo4j's connector writes them, taken apart.

    pattern   = node [relationship node] | NAME labels props [NAME [props] NAME labels props]
    node      = "(" labels props ")"
    relation  = "-[" ":" NAME [props] "]->" | "<-[" ":" NAME [props] "]-"
    labels    = {":" NAME}
    props     = "{" selector {"," selector} "}"
    selector  = "*" | "!" name [":" source] | "-" name | name [":" source]

`!` marks a key, `-` what is left out. A source is a path in the value (`address.city`), or says where it begins:
`__value.a`, `__key.a`, `__header.a`, `__timestamp`; with `$value`, `$key`, `$headers`, `$timestamp` as well.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sluice.decoding.refusals import WrongOption
from sluice.ready.message import HEADERS, KEY, VALUE

TOKEN = re.compile(
    r"\s*(?:(?P<name>(?:\$?[^\W\d]\w*|`(?:[^`]|``)+`)(?:\.(?:\w+|`(?:[^`]|``)+`))*)|(?P<symbol>->|<-|[-(){}\[\]:,!*+])|(?P<wrong>\S))"
)
PART = re.compile(r"`((?:[^`]|``)+)`|([^.`]+)")

TIMESTAMP = "timestamp"

SOURCES = {"value": VALUE, "key": KEY, "header": HEADERS, "headers": HEADERS, "timestamp": TIMESTAMP}
"After `__` or `$`: where a source begins."


class Selector(NamedTuple):
    """One property."""

    name: str
    "What it is called in the graph."
    origin: str
    "VALUE, KEY, HEADERS or TIMESTAMP; empty: what the value has, or the key if the value has it not."
    path: str
    "The names on the way to it, dots between them."


class Selection(NamedTuple):
    """The properties of a vertex or a relationship."""

    keys: tuple[Selector, ...] = ()
    included: tuple[Selector, ...] = ()
    excluded: tuple[str, ...] = ()
    everything: bool = True
    "Whether all the value's fields are included that are not used otherwise."
    wildcard: bool = False
    "Whether the pattern says so, by *."


class NodePattern(NamedTuple):
    """A vertex."""

    labels: tuple[str, ...]
    selection: Selection


class EdgePattern(NamedTuple):
    """A relationship from `start` to `end`."""

    type: str
    start: NodePattern
    end: NodePattern
    selection: Selection


def parse_pattern(text: str) -> NodePattern | EdgePattern:
    """
    Takes a pattern apart.

    Raises:
        WrongOption: it is not a pattern; the text says where and why.
    """
    return _Parser(text).pattern()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(found.lastgroup, found[found.lastgroup or 0], found.start()) for found in TOKEN.finditer(text)]
        self._at = 0

    def pattern(self) -> NodePattern | EdgePattern:
        first = self._node()
        if self._at == len(self._tokens):
            return first
        if self._kind == "name":
            kind, selection, backwards = self._name(), self._optional_selection(), False
        else:
            kind, selection, backwards = self._edge()
        second = self._node()
        if self._at < len(self._tokens):
            raise self._error("the end of the pattern")
        start, end = (second, first) if backwards else (first, second)
        for node in (start, end):
            if node.selection.excluded or node.selection.wildcard:
                raise WrongOption(
                    f"{self._text!r}: the vertices of a relationship name their properties; they take no * and no -"
                )
        start, end = (node._replace(selection=node.selection._replace(everything=False)) for node in (start, end))
        return EdgePattern(kind, start, end, selection)

    def _node(self) -> NodePattern:
        is_simple = self._kind == "name"
        labels = [self._name()] if is_simple else []
        if not is_simple:
            self._expect("(")
        while self._accept(":"):
            labels.append(self._name())
        selection = self._selection()
        if not is_simple:
            self._expect(")")
        if not selection.keys:
            raise WrongOption(f"{self._text!r}: each vertex needs a key, as in (:{(labels or ['Label'])[0]} {{!id}})")
        return NodePattern(tuple(labels), selection)

    def _edge(self) -> tuple[str, Selection, bool]:
        backwards = self._accept("<-")
        if not backwards:
            self._expect("-")
        self._expect("[")
        self._expect(":")
        kind, selection = self._name(), self._optional_selection()
        self._expect("]")
        self._expect("-" if backwards else "->")
        return kind, selection, backwards

    def _optional_selection(self) -> Selection:
        return self._selection() if self._value == "{" else Selection()

    def _selection(self) -> Selection:
        self._expect("{")
        keys: list[Selector] = []
        included: list[Selector] = []
        excluded: list[str] = []
        wildcard = False
        while not self._accept("}"):
            if keys or included or excluded or wildcard:
                self._expect(",")
            if self._accept("*"):
                wildcard = True
            elif self._accept("-"):
                excluded.append(".".join(_path(self._take("name", "a property"))))
            elif self._accept("!"):
                keys.append(self._selector())
            else:
                self._accept("+")
                included.append(self._selector())
        if included and excluded and not wildcard:
            raise WrongOption(f"{self._text!r}: a pattern names properties to include or to leave out, not both")
        names = [one.name for one in (*keys, *included)]
        if len(set(names)) < len(names):
            raise WrongOption(f"{self._text!r}: a property is named twice")
        return Selection(tuple(keys), tuple(included), tuple(excluded), wildcard or not included, wildcard)

    def _selector(self) -> Selector:
        name = self._take("name", "a property")
        origin, path = _source(self._take("name", "a source") if self._accept(":") else name)
        return Selector(_source(name)[1] or TIMESTAMP, origin, path)

    @property
    def _kind(self) -> str | None:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else None

    @property
    def _value(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _name(self) -> str:
        return ".".join(_path(self._take("name", "a name")))

    def _take(self, kind: str, expected: str) -> str:
        if self._kind != kind:
            raise self._error(expected)
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _accept(self, symbol: str) -> bool:
        if self._kind != "symbol" or self._value != symbol:
            return False
        self._at += 1
        return True

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._error(symbol)

    def _error(self, expected: str) -> WrongOption:
        found = self._value or "its end"
        return WrongOption(f"{self._text!r}: expected {expected}, found {found}")


def _path(name: str) -> tuple[str, ...]:
    return tuple(quoted.replace("``", "`") if quoted else plain for quoted, plain in PART.findall(name))


def _source(name: str) -> tuple[str, str]:
    """Where a source begins, and its path there."""
    first, *rest = _path(name)
    for prefix in ("__", "$"):
        origin = SOURCES.get(first.removeprefix(prefix)) if first.startswith(prefix) else None
        if origin is not None and (rest or origin == TIMESTAMP):
            return origin, ".".join(rest)
    return "", ".".join((first, *rest))
