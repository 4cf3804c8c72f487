"""
Which statements the sandbox takes for itself, and what becomes of those that ArcadeDB has other words for. Text in,
text out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sandbox.calls import Call, parse_call
from sandbox.tokens import Token, closing_of, source_of, split_at_commas, tokens_of, top_level

VERSION = "2.14.1"
"What SHOW VERSION says: the Memgraph that the sandbox imitates."

ASSERTION_MARK = "sandbox assertion: "

_GAP = r"(?:\s|//[^\n]*\n|/\*.*?\*/)"

_FIRST_LOOK = re.compile(
    rf"{_GAP}*(?:CALL|SHOW|BEGIN|COMMIT|ROLLBACK|(?:CREATE|DROP){_GAP}+(?:INDEX|CONSTRAINT))\b", re.I | re.S
)
"Most statements are data, and many: what neither begins like this nor says `assert` is not looked into."

_ASSERT = re.compile(r"\bassert\b", re.I)

_PROPERTY = r"`?[^`(){}.,]+`?"

# The statement as words and signs with one blank between them -> what to say instead.
_REPLACEMENTS = tuple(
    (re.compile(pattern, re.I), replacement)
    for pattern, replacement in (
        (r"SHOW REPLICATION ROLE", "RETURN 'main' AS `replication role`"),
        (r"SHOW VERSION", f"RETURN '{VERSION}' AS version"),
        (
            r"SHOW STORAGE INFO",
            "OPTIONAL MATCH (n) WITH count(n) AS vertices OPTIONAL MATCH ()-[r]->() WITH vertices, count(r) AS edges "
            "UNWIND [['vertex_count', vertices], ['edge_count', edges]] AS row "
            "RETURN row[0] AS `storage info`, row[1] AS value",
        ),
        # Vertices are kept by label, so that an index of a label is always there.
        (rf"(?:CREATE|DROP) INDEX ON : {_PROPERTY}", "FINISH"),
        (
            rf"CREATE INDEX ON : (?P<label>{_PROPERTY}) \( (?P<property>{_PROPERTY}) \)",
            r"CREATE INDEX IF NOT EXISTS FOR (n:\g<label>) ON (n.\g<property>)",
        ),
        (
            rf"CREATE CONSTRAINT ON \( (?P<name>\w+) : (?P<label>{_PROPERTY}) \) ASSERT (?P<what>.+) IS UNIQUE",
            r"CREATE CONSTRAINT IF NOT EXISTS FOR (\g<name>:\g<label>) REQUIRE (\g<what>) IS UNIQUE",
        ),
        (
            rf"CREATE CONSTRAINT ON \( (?P<name>\w+) : (?P<label>{_PROPERTY}) \) ASSERT EXISTS \( (?P<what>.+) \)",
            r"CREATE CONSTRAINT IF NOT EXISTS FOR (\g<name>:\g<label>) REQUIRE \g<what> IS NOT NULL",
        ),
        # By the name that ArcadeDB gives to one that is made without.
        (
            r"DROP CONSTRAINT ON \( (?P<name>\w+) : (?P<label>\w+) \) ASSERT (?P=name) \. (?P<what>\w+) IS UNIQUE",
            r"DROP CONSTRAINT constraint_\g<label>_\g<what>_unique",
        ),
    )
)


@dataclass(frozen=True)
class Passed:
    """For the graph."""

    rewritten: str | None = None
    "What to say instead; None: the very text."


@dataclass(frozen=True)
class Control:
    """The beginning or the end of a transaction, as a statement."""

    verb: str
    "BEGIN, COMMIT or ROLLBACK."


Statement = Passed | Call | Control


def read(text: str) -> Statement:
    """Whose the statement is: calls of procedures and transactions are ours, everything else is the graph's."""
    if not _FIRST_LOOK.match(text) and not _ASSERT.search(text):
        return _AS_IT_IS
    return _read(text)


_AS_IT_IS = Passed()


@lru_cache(maxsize=256)
def _read(text: str) -> Statement:
    tokens = tokens_of(text)
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if len(tokens) == 1 and tokens[0].is_word("BEGIN", "COMMIT", "ROLLBACK"):
        return Control(tokens[0].text.upper())
    call = parse_call(text, tokens)
    if call is not None:
        return call
    words = " ".join(token.text for token in tokens)
    for pattern, replacement in _REPLACEMENTS:
        match = pattern.fullmatch(words)
        if match:
            return Passed(match.expand(replacement))
    rewritten = _without_assertions(text, tokens)
    return Passed(rewritten) if rewritten != text else _AS_IT_IS


def _without_assertions(text: str, tokens: list[Token]) -> str:
    """
    `text` with each `assert(condition, message)` as an expression that fails where the condition is not true.

    ArcadeDB has a function that does it (`util.validate`), but loses the message in queries that write. What it keeps
    is the text that could not be read as a date.
    """
    for index, token in enumerate(tokens[:-1]):
        closing = closing_of(tokens, index + 1) if tokens[index + 1].text == "(" else None
        if not token.is_word("ASSERT") or closing is None or (index and tokens[index - 1].text == "."):
            continue
        arguments = [source_of(text, part) for part in split_at_commas(tokens[index + 2 : closing])]
        if len(arguments) not in {1, 2}:
            return text
        message = f"'Assertion failed: ' + ({arguments[1]}) + '.'" if len(arguments) == 2 else "'Assertion failed.'"
        expression = f"(CASE WHEN {arguments[0]} THEN true ELSE date('{ASSERTION_MARK}' + {message}) IS NULL END)"
        text = text[: token.start] + expression + text[tokens[closing].end :]
        return _without_assertions(text, tokens_of(text))
    return text


def assertion_in(error: str) -> str | None:
    """What an assertion said, if it is what the graph complains about."""
    _, mark, rest = error.partition(ASSERTION_MARK)
    return rest.rpartition("' as a date")[0] if mark else None


@lru_cache(maxsize=256)
def columns_of(text: str) -> list[str]:
    """
    The columns that the last RETURN names; none where there is none, or where it says `*`.

    ArcadeDB takes the columns from the first record, so that it names none when there is no record.
    """
    tokens = tokens_of(text)
    outside = list(top_level(tokens))
    begin = next((index for index, token in reversed(outside) if token.is_word("RETURN")), None)
    if begin is None:
        return []
    end = next(
        (
            index
            for index, token in outside
            if index > begin and (token.is_word("ORDER", "SKIP", "LIMIT") or token.text == ";")
        ),
        len(tokens),
    )
    begin += 2 if begin + 1 < end and tokens[begin + 1].is_word("DISTINCT") else 1
    items = split_at_commas(tokens[begin:end])
    if any(item and item[0].text == "*" for item in items):
        return []
    return [_column(text, item) for item in items if item]


def _column(text: str, item: Sequence[Token]) -> str:
    if len(item) > 2 and item[-2].is_word("AS"):
        return item[-1].name or item[-1].text
    if len(item) == 1:
        return item[0].name or item[0].text
    return source_of(text, item)
