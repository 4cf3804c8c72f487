"""Tests that pages name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NAMED = re.compile(r"`(\w+)::(\w+)`")


def _tests() -> set[tuple[str, str]]:
    """(`policies`, `a_bad_message_...`) for each test of a `test_policies.py`."""
    return {
        (path.stem.removeprefix("test_"), name)
        for folder in ("unit", "integration")
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
        for name in re.findall(r"^def test_(\w+)\(", path.read_text("utf-8"), re.MULTILINE)
    }


def table_of(page: str, heading: str) -> list[str]:
    """The rows of the table below a heading of a page, whose name is from the root."""
    section = (ROOT / page).read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def tables_of(page: str, heading: str) -> list[list[str]]:
    """All tables below a heading of a page, each with its head."""
    section = (ROOT / page).read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    found: list[list[str]] = [[]]
    for line in section.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_all_that_is_done_for_security_is_shown_by_tests_that_there_are() -> None:
    there = _tests()
    tables = tables_of("SECURITY.md", "What is done about it")
    assert len(tables) > 8
    for head, _, *rows in tables:
        assert head.endswith("| tests |"), head
        for row in rows:
            named = NAMED.findall(row)
            assert named, f"no test is named: {row}"
            assert set(named) <= there, f"not there: {set(named) - there}"


def test_the_rights_are_told_for_community_and_for_enterprise() -> None:
    head, _, *rows = tables_of("SECURITY.md", "Who can do what")[0]
    assert "Enterprise" in head
    assert "Community" in head
    held = {row.split("|")[5].strip() for row in rows}
    assert held == {"holds", "against mistakes only", "for the process, not for its queries"}


@pytest.mark.parametrize(
    ("page", "heading", "least"),
    [
        ("docs/failures.md", "Case by case, beside Memgraph's own streams", 30),
        ("docs/failures.md", "Limits", 5),
        ("SECURITY.md", "Who can do what", 10),
    ],
    ids=["cases", "limits", "rights"],
)
def test_every_row_is_shown_by_tests_that_there_are(page: str, heading: str, least: int) -> None:
    there = _tests()
    rows = table_of(page, heading)
    assert len(rows) > least
    for row in rows:
        named = NAMED.findall(row)
        assert named, f"no test is named: {row}"
        assert set(named) <= there, f"not there: {set(named) - there}"
