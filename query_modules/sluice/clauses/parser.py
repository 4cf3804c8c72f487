"""
Text into a statement.

A text is ours from its first words on; `grammar.CLAUSES` lists them. Only then is it looked at further, and only then
can it be wrong: from there on it is a statement or a ClauseError.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sluice.clauses.grammar import CLAUSES, create_stream
from sluice.clauses.source import Source
from sluice.clauses.statements import Statement
from sluice.cypher.lexer import BLANKS, name_end, skip

_MAYBE_OURS = re.compile(
    rf"[{BLANKS}]*(?:/[/*]|(?:CREATE|DROP|SHOW|START|STOP|TEST|ALTER|RELOAD|SEEK)"
    rf"(?:[{BLANKS}]*/[/*]|[{BLANKS}]+(?:STREAM|ALL|OR|CREATE|TRANSFORM)))",
    re.IGNORECASE | re.ASCII,
)
"Costs less than a microsecond, and lets only texts through that begin like a clause or have a comment there."

_BEGINNINGS = {words[:length] for words in CLAUSES for length in range(len(words))}
"What may become the first words of a text that is ours."


def parse(text: str) -> Statement | None:
    """
    The stream clause that `text` is.

    Returns:
        None where the text is not a stream clause: it is to be left as it is.

    Raises:
        ClauseError: it begins like a stream clause and goes on like none.
    """
    found = _recognise(text)
    return None if found is None else found[0](Source(text, found[1]))


def is_clause(text: str) -> bool:
    """Whether `text` begins like a stream clause, right or wrong. Looks at its first words only."""
    return _recognise(text) is not None


def _recognise(text: str) -> tuple[Callable[[Source], Statement], int] | None:
    """How to parse the clause that `text` begins like, and from where on; None: it is no clause of ours."""
    if not _MAYBE_OURS.match(text):
        return None
    words: tuple[str, ...] = ()
    at = 0
    while words in _BEGINNINGS:
        word, at = _word(text, at)
        words += (word,)
    clause = CLAUSES.get(words)
    if clause is create_stream and text.startswith("=", skip(text, at)):
        return None  # CREATE stream = (a)-[:R]->(b): Cypher, with a path called stream
    return None if clause is None else (clause, at)


def _word(text: str, at: int) -> tuple[str, int]:
    """The next word in capitals, and where it ends. Empty where there is none, or one that no keyword can be."""
    start = skip(text, at)
    end = name_end(text, start)
    word = text[start:end]
    return (word.upper() if word.isascii() else ""), end
