"""The tokens of a query's text, and the ways to take them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from sluice.cypher.lexer import Kind, Token, tokens
from sluice.errors import ClauseError


class NotUnderstood(Exception):
    """The text is outside of what is known about folding; says what it is. Never leaves this package."""


class Source:
    """What is left of a text, token by token."""

    def __init__(self, text: str) -> None:
        """
        Raises:
            NotUnderstood: it cannot even be taken into tokens.
        """
        try:
            self.tokens = list(takewhile(lambda token: token.kind is not Kind.END, tokens(text)))
        except ClauseError as error:
            raise NotUnderstood(str(error)) from None
        self._end = Token(Kind.END, "", "", len(text))
        self._at = 0

    @property
    def token(self) -> Token:
        """The token at hand; END when there are no more."""
        return self.ahead(0)

    @property
    def previous_end(self) -> int:
        """Where the token before the one at hand ends in the text."""
        token = self.tokens[self._at - 1]
        return token.start + len(token.text)

    def ahead(self, count: int) -> Token:
        """The token that comes `count` tokens after the one at hand."""
        at = self._at + count
        return self.tokens[at] if at < len(self.tokens) else self._end

    def take(self) -> Token:
        """The token at hand; moves on."""
        token = self.token
        self._at += 1
        return token

    def is_symbol(self, symbol: str, *more: str) -> bool:
        """Whether the tokens at hand are these symbols."""
        return all(
            self.ahead(count).kind is Kind.SYMBOL and self.ahead(count).text == wanted
            for count, wanted in enumerate((symbol, *more))
        )

    def is_keyword(self, word: str, *more: str) -> bool:
        """Whether the tokens at hand are these keywords, given in capitals."""
        return all(self.ahead(count).is_keyword(wanted) for count, wanted in enumerate((word, *more)))

    def accept_symbol(self, symbol: str, *more: str) -> bool:
        """Takes the symbols if they are at hand."""
        found = self.is_symbol(symbol, *more)
        self._at += (1 + len(more)) * found
        return found

    def accept_keyword(self, word: str, *more: str) -> bool:
        """Takes the keywords if they are at hand."""
        found = self.is_keyword(word, *more)
        self._at += (1 + len(more)) * found
        return found

    def expect(self, symbol: str) -> None:
        """Takes the symbol, which has to be there."""
        if not self.accept_symbol(symbol):
            raise self.unexpected(symbol)

    def name(self, forbidden: Iterable[str] = ()) -> str:
        """
        Takes a name, quoted or not.

        Args:
            forbidden: keywords that may not be meant as a name here, in capitals.
        """
        token = self.token
        quoted = token.kind is Kind.QUOTED_NAME
        if not quoted and (token.kind is not Kind.NAME or token.text.upper() in forbidden):
            raise self.unexpected("a name")
        return self.take().value

    def unexpected(self, wanted: str) -> NotUnderstood:
        """What to raise where the token at hand is none of those that are understood."""
        return NotUnderstood(f"{self.token} is not understood at character {self.token.start + 1} ({wanted} would be)")
