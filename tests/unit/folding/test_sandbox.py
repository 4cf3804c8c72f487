"""What is left of the grammar where the sandbox is asked: nearly all."""

from __future__ import annotations

import re
from random import Random

import pytest

from tests.unit.folding.batches import Query, named
from tests.unit.folding.forms import folded
from tests.unit.folding.sandbox import UNSEEN, graphs_grow, is_left_out, rows_meet_between_clauses
from tests.unit.folding.themes import THEMES, Case, case
from tests.unit.folding.wrong_rules import WRONG_RULES

ENDING = "_x"


def test_what_the_sandbox_is_asked_is_nearly_all():
    cases = [case(Random(f"0 {number}"), ENDING) for number in range(600)]
    kept = [one for one in cases if not is_left_out(one, folded(one.batch, by_columns=False), ENDING)]
    batches = [{text for text, _ in one.batch} for one in kept]
    themes = [{named(text, ENDING) for text in theme.texts} for theme in THEMES.values()]
    assert len(kept) > 0.8 * len(cases)
    assert all(any(batch <= theme for batch in batches) for theme in themes)
    assert len(set().union(*batches).difference(*themes)) > 10
    for kind in ("CREATE", "MATCH .*CREATE", "MERGE", "MATCH .*MERGE", "MATCH .*SET", "MATCH .*DELETE"):
        assert any(re.match(kind, text) for text in set().union(*batches)), kind


@pytest.mark.parametrize(
    ("text", "is_left_out"),
    [
        ("MATCH (n:A {k: $p0}) SET n.w = $p1 CREATE (:A {k: n.w})", True),
        ("FOREACH (each1 IN $p0 | CREATE (:A {k: each1})) MERGE (:A {k: 1})", True),
        ("MERGE (n:A {k: $p0}) ON CREATE SET n.v = 1 ON MATCH SET n.w = 1", False),
        ("MATCH (n:A {k: $p0}) FOREACH (each1 IN $p1 | SET n.k = each1)", False),
        (named(THEMES["a key changes"].texts[1], ""), False),
    ],
)
def test_texts_at_random_write_in_one_clause(text: str, is_left_out: bool):
    assert rows_meet_between_clauses(Case([], [(text, {})]), [], "") is is_left_out


def test_what_does_not_end_is_left_out():
    create: Query = ("CREATE (:A {k: 1})", {})
    doubled: Query = ("MATCH (n:A) CREATE (:A {k: 1})", {})
    assert not graphs_grow(Case([create], [doubled] * 3), [], "")
    assert graphs_grow(Case([create], [doubled] * 9), [], "")
    assert graphs_grow(Case([create], []), [doubled] * 9, "")


def test_wrong_rules_that_the_sandbox_does_not_show_are_few():
    assert set(UNSEEN) < {rule.__name__ for rule in WRONG_RULES}
    assert len(UNSEEN) == 3
