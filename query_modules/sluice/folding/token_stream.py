"""The tokens of a query's text, taken one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TypeVar

from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError

_Item = TypeVar("_Item")


class NotUnderstood(Exception):
    """The text cannot be folded; the message says why. Never leaves this package."""


class TokenStream:
    """The rest of a text, token by token."""

    def __init__(self, text: str) -> None:
        """Raises NotUnderstood: the text has no tokens: a string or a comment does not end, for one."""
        try:
            self.tokens = tuple(takewhile(lambda token: token.kind is not Kind.END, tokens(text)))
        except ClauseError as error:
            raise NotUnderstood(str(error)) from None
        self._end = Token(Kind.END, "", "", len(text))
        self._at = 0

    @property
    def token(self) -> Token:
        """The next token; END if there are no more."""
        return self.ahead(0)

    @property
    def previous_end(self) -> int:
        """Where the token taken last ends in the text."""
        token = self.tokens[self._at - 1]
        return token.start + len(token.text)

    def ahead(self, count: int) -> Token:
        """The token `count` tokens after the next one."""
        at = self._at + count
        return self.tokens[at] if at < len(self.tokens) else self._end

    def take(self) -> Token:
        """Takes the next token."""
        token = self.token
        self._at += 1
        return token

    def at(self, *words: str) -> bool:
        """Whether the next tokens are these symbols, or keywords in capitals."""
        return all(_is(self.ahead(count), word) for count, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Takes these symbols or keywords if they come next; says whether they did."""
        found = self.at(*words)
        self._at += len(words) * found
        return found

    def expect(self, word: str) -> None:
        """Takes the symbol or keyword. Raises NotUnderstood if something else comes next."""
        if not self.accept(word):
            raise self.unexpected(word)

    def listed(self, item: Callable[[], _Item]) -> list[_Item]:
        """Takes one or more items with commas between them."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    def enclosed(self, closing: str, item: Callable[[], _Item]) -> list[_Item]:
        """Takes any number of items with commas between them, and the symbol that ends them."""
        if self.accept(closing):
            return []
        items = self.listed(item)
        self.expect(closing)
        return items

    def name(self, forbidden: Iterable[str] = ()) -> str:
        """
        Takes a name, quoted or not. Raises NotUnderstood if something else comes next.

        Args:
            forbidden: keywords, in capitals, that do not count as names here.
        """
        token = self.token
        quoted = token.kind is Kind.QUOTED_NAME
        if not quoted and (token.kind is not Kind.NAME or token.text.upper() in forbidden):
            raise self.unexpected("a name")
        return self.take().value

    def unexpected(self, wanted: str) -> NotUnderstood:
        """The error that something other than `wanted` comes next."""
        return NotUnderstood(f"{self.token} is not understood at character {self.token.start + 1} ({wanted} would be)")


def _is(token: Token, word: str) -> bool:
    return token.text == word if token.kind is Kind.SYMBOL else token.is_keyword(word)
