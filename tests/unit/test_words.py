"""Words that docs/glossary.md has done away with do not come back in what users read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CODE = ("query_modules", "tools")

NOT_READ = {"CHANGELOG.md"}
"It tells of the past in the words of the past."

GLOSSARY = "docs/glossary.md"
"The one page that names what it does away with."

OF_A_STREAM = r"(?:position|offset|checkpoint|message|batch|query|group|tombstone|WITH|UNWIND|MATCH|CREATE)"

GONE = re.compile(
    "|".join(
        [
            r"\bjail(?:s|ed)?\b",
            r"\blookout\b",
            r"\brehears(?:al|e|ed)\b",
            r"\brous(?:e|es|ed|ing)\b",
            r"\bsieve\b",
            r"\bset(?:s|ting)? aside\b",
            # "behind" where "after" is meant: a place in an order. A stream may be behind, and a server behind a proxy.
            rf"\bbehind (?:(?:the|its|an?|each|every|that|this|all) )?(?:\w+'s )?(?:\w+ )?{OF_A_STREAM}",
            r"\b(?:go|goes|going|went|continue[sd]?|comes?|came|stands?|nothing) (?:on )?behind\b",
            r"\bone behind the other\b",
            r"\bmessages? behind\b",
            r"\b(?:letters?|word|path|variable|reads?|writes?) (?:\w+ )?behind\b",
            r"(?:^|\b)behind (?:\w+[:@]|$)",
        ]
    )
)

STILTED = re.compile(r"\banew\b|\bfor ever\b|\bmend(?:s|ed|ing)?\b|\bwho(?:m|ever)\b|\b(?:he|his|him)\b", re.IGNORECASE)
"Of pages alone, outside of code."

SPAN = re.compile(r"`[^`]*`")


def _pages() -> list[Path]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docker").rglob("*.md")]
    return [page for page in pages if page.name not in NOT_READ and page != ROOT / GLOSSARY]


def _literals(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string that is a value: no docstring, and no text that explains an assignment."""
    tree = ast.parse(source)
    explanations = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in explanations:
            yield node.lineno, node.value


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a page outside of code: no block that is fenced or indented, no span in backticks."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, SPAN.sub("``", line)


def _spanning(text: str) -> Iterator[tuple[int, str]]:
    """Each line of a page with the beginning of the next, since sentences are broken anywhere."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        after = " ".join(lines[number + 1].split()[:4]) if number + 1 < len(lines) else ""
        yield number + 1, SPAN.sub("``", f"{line} {after}" if line.strip() else "")


def test_no_page_has_a_word_that_is_gone() -> None:
    found = [
        f"{page.relative_to(ROOT)}:{line}: {match[0]!r}"
        for page in _pages()
        for line, text in _spanning(page.read_text("utf-8"))
        if (match := GONE.search(text))
    ]
    assert not found, "\n".join(found)


def test_pages_are_in_plain_english() -> None:
    found = [
        f"{page.relative_to(ROOT)}:{line}: {match[0]!r}"
        for page in _pages()
        for line, text in _prose(page.read_text("utf-8"))
        if (match := STILTED.search(text))
    ]
    assert not found, "\n".join(found)


def test_no_text_of_the_code_has_a_word_that_is_gone() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {match[0]!r}"
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
        for line, text in _literals(path.read_text("utf-8"))
        if (match := GONE.search(text))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "topic t has no message behind the stream's position",
        "'skip' goes on behind it",
        "it writes nothing behind its last WITH",
        "in series, one behind the other",
        "must name a variable behind env:, of letters, digits and _",
        "behind A@ there must be host:port",
        "behind ",
        "the offset behind its last message",
        "the jail of the script",
    ],
)
def test_the_patterns_find_what_is_gone(text: str) -> None:
    assert GONE.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "the stream is behind by 100 messages",
        "how far the stream is behind",
        "a Memgraph behind a proxy, or behind a load balancer",
        "and the server behind it has no module streams",
        "leaves nothing of its own",
        "what a killed run left behind",
        "behind the fetch in progress",
        "the shim stands between",
    ],
)
def test_the_patterns_leave_right_english_alone(text: str) -> None:
    assert not GONE.search(text)
