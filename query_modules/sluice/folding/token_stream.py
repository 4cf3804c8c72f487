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
        """
        Raises:
            NotUnderstood: the text has no tokens: a string or a comment does not end, for one.
        """
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

    def is_symbol(self, symbol: str, *more: str) -> bool:
        """Whether the next tokens are these symbols."""
        return all(
            self.ahead(count).kind is Kind.SYMBOL and self.ahead(count).text == wanted
            for count, wanted in enumerate((symbol, *more))
        )

    def is_keyword(self, word: str, *more: str) -> bool:
        """Whether the next tokens are these keywords, given in capitals."""
        return all(self.ahead(count).is_keyword(wanted) for count, wanted in enumerate((word, *more)))

    def accept_symbol(self, symbol: str, *more: str) -> bool:
        """Takes the symbols if they come next; says whether they did."""
        found = self.is_symbol(symbol, *more)
        self._at += (1 + len(more)) * found
        return found

    def accept_keyword(self, word: str, *more: str) -> bool:
        """Takes the keywords if they come next; says whether they did."""
        found = self.is_keyword(word, *more)
        self._at += (1 + len(more)) * found
        return found

    def expect(self, symbol: str) -> None:
        """Takes the symbol. Raises NotUnderstood if something else comes next."""
        if not self.accept_symbol(symbol):
            raise self.unexpected(symbol)

    def expect_keyword(self, word: str) -> None:
        """Takes the keyword. Raises NotUnderstood if something else comes next."""
        if not self.accept_keyword(word):
            raise self.unexpected(word)

    def listed(self, item: Callable[[], _Item]) -> list[_Item]:
        """Takes one or more items with commas between them."""
        items = [item()]
        while self.accept_symbol(","):
            items.append(item())
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
