"""Folded or one by one, random batches do the same to Memgraph in miniature; and rules that are wrong show there."""

from __future__ import annotations

import copy
import os
from random import Random

import pytest

from sluice.folding.chain import ROOTLESS
from tests.unit.folding.batches import Query
from tests.unit.folding.forms import folded
from tests.unit.folding.graphs import form
from tests.unit.folding.model import Refused, State, execute
from tests.unit.folding.themes import Case, case, query
from tests.unit.folding.wrong_rules import WRONG_RULES

EXAMPLES = int(os.environ.get("FOLDING_EXAMPLES", "400"))

MOST = 600
"Examples within which a wrong rule has to show."


def after(state: State, queries: list[Query]) -> object:
    state = copy.deepcopy(state)
    for text, parameters in queries:
        execute(state, text, copy.deepcopy(parameters))
    return form(state.graph())


def differs(case: Case, *, by_columns: bool) -> bool:
    """Whether the batch does something else when it is folded. One that fails as it is says nothing."""
    setup, batch = case
    state = State()
    try:
        for text, parameters in setup:
            execute(state, text, copy.deepcopy(parameters))
        plain = after(state, batch)
    except Refused:
        return False
    try:
        return after(state, folded(batch, by_columns=by_columns)) != plain
    except Refused as refusal:
        return ROOTLESS not in str(refusal)


def difference(examples: int, seed: int) -> Case | None:
    """A batch that does something else when it is folded; None: none of so many does."""
    cases = ((case(Random(f"{seed} {number}")), number % 2 == 1) for number in range(examples))
    return next((found for found, by_columns in cases if differs(found, by_columns=by_columns)), None)


def test_folded_or_one_by_one_a_batch_does_the_same():
    assert difference(EXAMPLES, seed=int(os.environ.get("FOLDING_SEED", "0"))) is None


RENAMED = (
    "UNWIND $items AS x WITH x.k AS k, x.v AS v MERGE (n:A {k: k}) SET n.w = v",
    "UNWIND $items AS x WITH x AS y MATCH (n:A {k: y.k}) SET n += y",
    "WITH $event AS e WITH e AS f MERGE (n:A {k: f.k}) SET n.w = f.v",
    "WITH $event AS e WITH e AS f MATCH (n:A {k: f.k}) SET n += f",
    "UNWIND $numbers AS x WITH x.k AS k MERGE (n:A {k: k})",
    "MATCH (n:A {k: $key}) CREATE (:C {k: $key, v: n.w})",
)


def test_names_that_with_gives_to_values_are_those_values():
    for number in range(EXAMPLES // 2):
        random = Random(f"names {number}")
        texts = random.sample(RENAMED, random.randint(1, 3))
        batch = [query(random, random.choice(texts)) for _ in range(8)]
        found = Case([query(random, "CREATE (:A {k: $key, w: $value})") for _ in range(3)], batch)
        assert not differs(found, by_columns=number % 2 == 1), found


@pytest.mark.parametrize("rule", WRONG_RULES, ids=lambda rule: rule.__name__)
def test_a_wrong_rule_shows(rule, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        rule(patch)
        found = difference(MOST, seed=1)
    assert found is not None
    assert not any(differs(found, by_columns=by_columns) for by_columns in (False, True))
