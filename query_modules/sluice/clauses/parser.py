"""
Text into a statement.

A text is ours from its first words on; `grammar.CLAUSES` lists them. Only then is it looked at further, and only then
can it be wrong: from there on it is a statement or a ClauseError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sluice.clauses.grammar import CLAUSES, create_stream
from sluice.clauses.source import Source
from sluice.clauses.statements import Command, Explain, Explanation, Statement
from sluice.cypher.lexer import name_end, skip

_BEGINNINGS = {words[:length] for words in CLAUSES for length in range(len(words))}
"What may become the first words of a text that is ours."


_PLANS = dict(Explanation.__members__)


class Beginning(NamedTuple):
    """A text that begins like a stream clause, right or wrong, of which only the first words have been looked at."""

    text: str
    read: Callable[[Source], Command]
    "Reads the rest."
    rest: int
    "Where that begins."
    plan: Explanation | None
    "What stands before the clause."

    def parse(self) -> Statement:
        """The stream clause that the text is. Raises ClauseError: it goes on like none."""
        statement = self.read(Source(self.text, self.rest))
        return statement if self.plan is None else Explain(statement, self.plan)


def recognise(text: str) -> Beginning | None:
    """The beginning of a stream clause that `text` has; None: it is not one, and is to be left as it is."""
    word, at = _word(text, 0)
    plan = _PLANS.get(word)
    words: tuple[str, ...] = () if plan else (word,)
    while words in _BEGINNINGS:
        word, at = _word(text, at)
        words += (word,)
    read = CLAUSES.get(words)
    if read is None or (read is create_stream and text.startswith("=", skip(text, at))):
        return None  # CREATE stream = (a)-[:R]->(b) is Cypher, with a path called stream
    return Beginning(text, read, at, plan)


def parse(text: str) -> Statement | None:
    """
    The stream clause that `text` is. Returns None where the text is not a stream clause: it is to be left as it is.
    Raises ClauseError: it begins like a stream clause and goes on like none.
    """
    beginning = recognise(text)
    return None if beginning is None else beginning.parse()


def _word(text: str, at: int) -> tuple[str, int]:
    """The next word in capitals, and where it ends. Empty where there is none, or one that no keyword can be."""
    start = skip(text, at)
    end = name_end(text, start)
    word = text[start:end]
    return (word.upper() if word.isascii() else ""), end
