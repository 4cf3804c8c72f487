"""
Text into a statement: the grammar of the stream clauses, by recursive descent.

A text is ours from its first two words on; `_CLAUSES` lists them. Only then is it looked at further, and only then can
it be wrong: from there on it is a statement or a ClauseError.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sluice.clauses.lexer import BLANKS, Kind, Token, integer_value, name_end, skip, syntax_error, tokens
from sluice.clauses.statements import (
    Count,
    CreateStream,
    DropStream,
    Parameter,
    ShowStreams,
    StartAllStreams,
    StartStream,
    Statement,
    StopAllStreams,
    StopStream,
    TestStream,
    Text,
    is_unicode,
)
from sluice.errors import ClauseError

_MAYBE_OURS = re.compile(
    rf"[{BLANKS}]*(?:/[/*]|(?:CREATE|DROP|SHOW|START|STOP|TEST)(?:[{BLANKS}]*/[/*]|[{BLANKS}]+(?:STREAM|ALL)))",
    re.IGNORECASE | re.ASCII,
)
"Costs less than a microsecond, and lets only texts through that begin like a clause or have a comment there."

_END = "the end of the clause"
_OPTIONS = {"INTERVAL": "BATCH_INTERVAL", "SIZE": "BATCH_SIZE"}
"An option's second word, where it is written in two -> the option in one word."
_NATIVE_OPTIONS = ("BATCH_LIMIT", "TIMEOUT")


def parse(text: str) -> Statement | None:
    """
    The stream clause that `text` is.

    Returns:
        None where the text is not a stream clause: it is to be left as it is.

    Raises:
        ClauseError: it begins like a stream clause and goes on like none.
    """
    if not _MAYBE_OURS.match(text):
        return None
    first, at = _word(text, 0)
    second, at = _word(text, at)
    clause = _CLAUSES.get((first, second))
    if clause is None:
        return None
    source = _Source(text, at)
    if clause is _create_stream and source.token.text == "=":
        return None  # CREATE stream = (a)-[:R]->(b): Cypher, with a path called stream
    return clause(source)


def _word(text: str, at: int) -> tuple[str, int]:
    """The next word in capitals, and where it ends. Empty where there is none, or one that no keyword can be."""
    start = skip(text, at)
    end = name_end(text, start)
    word = text[start:end]
    return (word.upper() if word.isascii() else ""), end


class _Source:
    """What is left of the text: the token at hand, and the ways to take it."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._rest = tokens(text, at)
        self.token = next(self._rest)
        self._name_end = -1
        "Where the stream's name ended: what follows without a blank was meant to be part of it."

    def take(self) -> Token:
        """The token at hand, which then is the next one."""
        token = self.token
        self.token = next(self._rest)
        return token

    def error(self, expected: str) -> ClauseError:
        hint = ""
        if any(self.token.is_keyword(word) for word in _NATIVE_OPTIONS):
            hint = "that option is for Memgraph's own streams, on Memgraph's own port"
        elif self.token.start == self._name_end and self.token.kind is not Kind.END:
            hint = "a name with more than letters, digits and _ stands in backticks"
        return syntax_error(self._text, self.token.start, found=str(self.token), expected=expected, hint=hint)

    def keywords(self, *words: str) -> None:
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
        return self._text_value("a string or a $parameter", Kind.STRING)

    def count(self) -> Count:
        expected = "an integer or a $parameter"
        if self.token.kind is Kind.PARAMETER:
            return self._parameter(expected)
        if self.token.kind is not Kind.INTEGER:
            raise self.error(expected)
        value = integer_value(self.token.text)
        if value is None:
            raise self.error(f"an integer of at most {2**63 - 1}")
        self.take()
        return value

    def end(self, expected: str = _END) -> None:
        """Nothing more but one semicolon."""
        if self.token.text == ";":
            self.take()
            expected = "the end of the text (one clause is one query)"
        if self.token.kind is not Kind.END:
            raise self.error(expected)

    def _text_value(self, expected: str, *kinds: Kind) -> Text:
        if self.token.kind is Kind.PARAMETER:
            return self._parameter(expected)
        value = self.token.value
        if self.token.kind not in kinds or not is_unicode(value) or (not value and Kind.STRING not in kinds):
            raise self.error(expected)
        self.take()
        return value

    def _parameter(self, expected: str) -> Parameter:
        if not self.token.value or not is_unicode(self.token.value):
            raise self.error(expected)
        return Parameter(self.take().value)


def _create_stream(source: _Source) -> CreateStream:
    name = source.name()
    source.keywords("AS", "LOAD", "DATA", "KAFKA")
    uri = source.string()
    source.keywords("WITH", "TOPIC")
    topic = source.string()
    source.keywords("WITH", "TRANSFORM")
    transform = source.string()
    options = _options(source)
    return CreateStream(name, uri, topic, transform, options.get("BATCH_INTERVAL"), options.get("BATCH_SIZE"))


def _options(source: _Source) -> dict[str, Count]:
    """BATCH_INTERVAL and BATCH_SIZE, each at most once, in either order and in one word or two, up to the end."""
    given: dict[str, Count] = {}
    while True:
        missing = {word: option for word, option in _OPTIONS.items() if option not in given}
        option = next((option for option in missing.values() if source.token.is_keyword(option)), None)
        if option is None and missing and source.token.is_keyword("BATCH"):
            source.take()
            option = next((missing[word] for word in missing if source.token.is_keyword(word)), None)
            if option is None:
                raise source.error(" or ".join(missing))
        if option is None:
            source.end(" or ".join([*missing.values(), _END]))
            return given
        source.take()
        given[option] = source.count()


def _drop_stream(source: _Source) -> DropStream:
    name = source.name()
    source.end()
    return DropStream(name)


def _show_streams(source: _Source) -> ShowStreams:
    source.end()
    return ShowStreams()


def _start_stream(source: _Source) -> StartStream:
    return StartStream(source.name(), _limit(source))


def _stop_stream(source: _Source) -> StopStream:
    name = source.name()
    source.end()
    return StopStream(name)


def _start_all(source: _Source) -> StartAllStreams:
    source.keywords("STREAMS")
    source.end()
    return StartAllStreams()


def _stop_all(source: _Source) -> StopAllStreams:
    source.keywords("STREAMS")
    source.end()
    return StopAllStreams()


def _test_stream(source: _Source) -> TestStream:
    return TestStream(source.name(), _limit(source))


def _limit(source: _Source) -> Count | None:
    """`LIMIT n BATCHES` if it is there, up to the end."""
    if not source.token.is_keyword("LIMIT"):
        source.end(f"LIMIT or {_END}")
        return None
    source.take()
    limit = source.count()
    source.keywords("BATCHES")
    source.end()
    return limit


_CLAUSES: dict[tuple[str, str], Callable[[_Source], Statement]] = {
    ("CREATE", "STREAM"): _create_stream,
    ("DROP", "STREAM"): _drop_stream,
    ("SHOW", "STREAMS"): _show_streams,
    ("START", "STREAM"): _start_stream,
    ("START", "ALL"): _start_all,
    ("STOP", "STREAM"): _stop_stream,
    ("STOP", "ALL"): _stop_all,
    ("TEST", "STREAM"): _test_stream,
}
"The first two words of a text that is ours -> what reads the rest."
