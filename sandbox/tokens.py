"""Cypher's text as tokens: enough to find words and brackets outside of strings, names and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space> \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<string> '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" )
  | (?P<quoted> `(?:``|[^`])*` )
  | (?P<word> [^\W\d]\w* )
  | (?P<number> \d[\w.]* )
  | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)

_OPENING, _CLOSING = "([{", ")]}"


class Token(NamedTuple):
    """A piece of a statement; white space and comments are none."""

    kind: str
    "string, quoted (a name in backticks), word, number or sign."
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, in whatever case."""
        return self.kind == "word" and self.text.upper() in words

    @property
    def name(self) -> str | None:
        """The name it is, without backticks; None if it is none."""
        if self.kind == "quoted":
            return self.text[1:-1].replace("``", "`")
        return self.text if self.kind == "word" else None


def tokens_of(text: str) -> list[Token]:
    """The tokens of a statement."""
    return [
        Token(match.lastgroup or "", match.group(), match.start(), match.end())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "space"
    ]


def top_level(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """The tokens outside of all brackets that are opened within `tokens`, with their index; without the brackets."""
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind == "sign" and token.text in _OPENING:
            depth += 1
        elif token.kind == "sign" and token.text in _CLOSING:
            depth -= 1
        elif not depth:
            yield index, token


def closing_of(tokens: Sequence[Token], opening: int) -> int | None:
    """The index of the bracket that closes the one at `handshake`; None if nothing does."""
    depth = 0
    for index in range(opening, len(tokens)):
        token = tokens[index]
        if token.kind == "sign" and token.text in _OPENING:
            depth += 1
        elif token.kind == "sign" and token.text in _CLOSING:
            depth -= 1
            if not depth:
                return index
    return None


def split_at_commas(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """The runs of tokens between commas that stand outside of brackets; no run at all for no tokens."""
    if not tokens:
        return []
    commas = [index for index, token in top_level(tokens) if token.text == ","]
    starts = [0, *(comma + 1 for comma in commas)]
    return [tokens[start:end] for start, end in zip(starts, [*commas, len(tokens)], strict=True)]


def source_of(text: str, tokens: Sequence[Token]) -> str:
    """The text that `tokens` were, as it was written."""
    return text[tokens[0].start : tokens[-1].end] if tokens else ""
