"""What is left of a clause's text: the token at hand, and the ways to take what may stand there."""

from __future__ import annotations

import math
from collections.abc import Collection

from sluice.clauses.values import (
    MAX_INTEGER,
    Count,
    Item,
    Items,
    Map,
    Offsets,
    OffsetsByTopic,
    Parameter,
    Scalar,
    Signed,
    Text,
    is_unicode,
)  # fmt: skip
from sluice.cypher.lexer import Kind, Token, integer_value, is_decimal, syntax_error, tokens
from sluice.errors import ClauseError

END = "the end of the clause"

MAX_NESTING = 16
"Levels of maps and lists that a map in a clause may hold."

_NATIVE_OPTIONS = ("BATCH_LIMIT", "TIMEOUT")
_CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}

_KEY = "a key (plain, in backticks or in quotes)"
_VALUE = "a string, a number, true, false, null, a map, a list or a $parameter"
_INTEGER = "an integer or a $parameter"


class Source:
    """A clause's text from some place on. What cannot stand there is a ClauseError."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._rest = tokens(text, at)
        self.token = next(self._rest)
        self._ahead: Token | None = None
        self._name_end = -1
        "Where the stream's name ended: what follows without a blank was meant to be part of it."

    @property
    def ahead(self) -> Token:
        """The token after the one at hand."""
        if self._ahead is None:
            self._ahead = next(self._rest)
        return self._ahead

    def take(self) -> Token:
        """The token at hand, which then is the next one."""
        token, self.token, self._ahead = self.token, self.ahead, None
        return token

    def error(self, expected: str, *, hint: str = "") -> ClauseError:
        """That something else was expected than the token at hand."""
        if any(self.token.is_keyword(word) for word in _NATIVE_OPTIONS):
            hint = "that option is for Memgraph's own streams, on Memgraph's own port"
        elif self.token.start == self._name_end and self.token.kind is not Kind.END:
            hint = "put a name with other characters than letters, digits and _ in backticks"
        return syntax_error(self._text, self.token.start, found=str(self.token), expected=expected, hint=hint)

    def at_keywords(self, first: str, second: str) -> bool:
        """Whether these two words come next."""
        return self.token.is_keyword(first) and self.ahead.is_keyword(second)

    def keywords(self, *words: str) -> None:
        """Takes these words."""
        for word in words:
            if not self.token.is_keyword(word):
                raise self.error(word)
            self.take()

    def name(self) -> Text:
        """A stream's name. Every keyword may be one, since a name never is optional."""
        expected = "a stream name (plain or in backticks) or a $parameter"
        end = self.token.start + len(self.token.text)
        name = self._text_value(expected, Kind.NAME, Kind.QUOTED_NAME)
        self._name_end = end
        return name

    def string(self) -> Text:
        """A string."""
        return self._text_value("a string or a $parameter", Kind.STRING)

    def count(self, expected: str = _INTEGER, *, of: str = "") -> Count:
        """An integer without a sign; `of` is what it is the number of."""
        if self.token.kind is Kind.PARAMETER:
            return self.parameter(expected)
        if of and self.token.text == "-":
            raise self.error(expected, hint=f"{of} must be a positive integer")
        return self._integer(expected)

    def signed(self) -> Signed:
        """An integer with or without a sign."""
        if self.token.kind is Kind.PARAMETER:
            return self.parameter(_INTEGER)
        sign = -1 if self.token.text == "-" else 1
        if self.token.text in ("-", "+"):
            self.take()
        return sign * self._integer(_INTEGER)

    def parameter(self, expected: str) -> Parameter:
        """A parameter; `expected` is what may stand there."""
        if self.token.kind is not Kind.PARAMETER or not self.token.value or not is_unicode(self.token.value):
            raise self.error(expected)
        return Parameter(self.take().value)

    def map(self) -> Map | Parameter:
        """`{key: value, ...}`, or the parameter that holds it."""
        expected = "a map, as in {key: 'value'}, or a $parameter"
        if self.token.kind is Kind.PARAMETER:
            return self.parameter(expected)
        self._open(expected)
        return self._entries(MAX_NESTING)

    def _entries(self, nesting: int) -> Map:
        """What follows the brace of a map, which may hold others up to that depth."""
        entries: dict[str, Item] = {}
        while self._continues(entries, _KEY):
            key = self._key(entries)
            self._colon()
            entries[key] = self._item(nesting)
        return Map(tuple(entries.items()))

    def _item(self, nesting: int) -> Item:
        if self.token.text not in ("{", "["):
            return self._scalar()
        if not nesting:
            raise self.error(f"no more than {MAX_NESTING} maps and lists inside each other")
        if self.take().text == "{":
            return self._entries(nesting - 1)
        items: list[Item] = []
        while self._continues(items, _VALUE, "]"):
            items.append(self._item(nesting - 1))
        return Items(tuple(items))

    def offsets(self, expected: str) -> Offsets | OffsetsByTopic:
        """`{partition: offset, ...}` or `{topic: {partition: offset, ...}, ...}`."""
        self._open(expected)
        if self.token.kind is Kind.INTEGER or self._is_decimal() or self.token.text == "}":
            return self._offsets()
        topics: dict[str, Offsets] = {}
        while self._continues(topics, "a topic's name"):
            if self.token.kind not in (Kind.NAME, Kind.QUOTED_NAME, Kind.STRING) or self._is_decimal():
                raise self.error("a topic's name" if topics else "a partition's number or a topic's name")
            topic = self._key(topics)
            self._colon()
            self._open("{partition: offset}")
            topics[topic] = self._offsets()
        return OffsetsByTopic(tuple(topics.items()))

    def _offsets(self) -> Offsets:
        entries: dict[int, Count] = {}
        if self.token.text == "}":
            raise self.error("a partition's number")
        while self._continues(entries, "a partition's number"):
            partition = self._partition(entries)
            self._colon()
            entries[partition] = self.count("an offset or a $parameter")
        return Offsets(tuple(entries.items()))

    def end(self, expected: str = END) -> None:
        """Nothing more but one semicolon."""
        if self.token.text == ";":
            self.take()
            expected = "the end of the text (one clause is one query)"
        if self.token.kind is not Kind.END:
            raise self.error(expected)

    def _open(self, expected: str) -> None:
        if self.token.text != "{":
            raise self.error(expected)
        self.take()

    def _continues(self, entries: object, entry: str, end: str = "}") -> bool:
        """Whether another entry of a map or list follows, the comma before it taken; if not, its end is."""
        if self.token.text == end:
            self.take()
            return False
        if not entries:
            return True
        if self.token.text != ",":
            raise self.error(f", or {end}")
        self.take()
        if self.token.text == end:
            raise self.error(entry)
        return True

    def _colon(self) -> None:
        if self.token.text != ":":
            hint = "put a key with other characters than letters, digits and _ in backticks or quotes"
            raise self.error(":", hint=hint if self.token.text in (".", "-") else "")
        self.take()

    def _key(self, entries: Collection[str]) -> str:
        key = self.token.value
        kinds = (Kind.NAME, Kind.QUOTED_NAME, Kind.STRING)
        if self.token.kind not in kinds or not key or not is_unicode(key):
            raise self.error(_KEY)
        if key in entries:
            raise self.error("a key that was not used before")
        self.take()
        return key

    def _partition(self, entries: dict[int, Count]) -> int:
        token = self.token
        partition = integer_value(token.value) if self._is_decimal() or token.kind is Kind.INTEGER else None
        if partition is None:
            raise self.error("a partition's number")
        if partition in entries:
            raise self.error("a partition that was not used before")
        self.take()
        return partition

    def _is_decimal(self) -> bool:
        """Whether the token is a number in quotes."""
        value = self.token.value
        return self.token.kind in (Kind.QUOTED_NAME, Kind.STRING) and value.isascii() and is_decimal(value)

    def _scalar(self) -> Scalar | Parameter:
        token = self.token
        if token.kind is Kind.PARAMETER:
            return self.parameter(_VALUE)
        if token.kind is Kind.STRING and is_unicode(token.value):
            return self.take().value
        for word, value in _CONSTANTS.items():
            if token.is_keyword(word):
                self.take()
                return value
        sign = -1 if token.text == "-" else 1
        if token.text == "-":
            self.take()
        if self.token.kind is Kind.FLOAT:
            number = sign * float(self.token.text)
            if not math.isfinite(number):
                raise self.error("a number of 64 bits")
            self.take()
            return number
        return sign * self._integer(_VALUE if sign > 0 else "a number")

    def _integer(self, expected: str) -> int:
        if self.token.kind is not Kind.INTEGER:
            raise self.error(expected)
        value = integer_value(self.token.text)
        if value is None:
            raise self.error(f"an integer of at most {MAX_INTEGER}")
        self.take()
        return value

    def _text_value(self, expected: str, *kinds: Kind) -> Text:
        if self.token.kind is Kind.PARAMETER:
            return self.parameter(expected)
        value = self.token.value
        if self.token.kind not in kinds or not is_unicode(value) or (not value and Kind.STRING not in kinds):
            raise self.error(expected)
        self.take()
        return value
