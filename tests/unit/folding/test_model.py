"""Folded or one by one, random batches do the same to Memgraph in miniature; and rules that are wrong show there."""

from __future__ import annotations

import copy
import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed

from sluice.folding import Folder
from tests.unit.folding.batches import Query, batches
from tests.unit.folding.graphs import form
from tests.unit.folding.model import Refused, State, execute
from tests.unit.folding.wrong_rules import WRONG_RULES

EXAMPLES = int(os.environ.get("FOLDING_EXAMPLES", "80"))

QUICK = ("nothing_conflicts", "rows_see_each_other", "edges_pass_their_vertices")
"Wrong rules that show soon."

Found = tuple[list[Query], list[Query], list[Query]]
"What was there before, a batch, and what it is folded into."


class Differs(Exception):
    """A batch does something else when it is folded."""


def after(state: State, queries: list[Query]) -> object:
    state = copy.deepcopy(state)
    for text, parameters in queries:
        execute(state, text, copy.deepcopy(parameters))
    return form(state.graph())


def difference(examples: int, seed: int) -> Found | None:
    """A batch that does something else when it is folded; None: none of so many does."""

    @hypothesis_seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(batches(most_queries=4), batches())
    def compare(setup: list[Query], batch: list[Query]) -> None:
        folder = Folder()
        folder.fold(batch)
        folded = [(item.text, dict(item.parameters)) for item in folder.fold(batch)]
        state = State()
        try:
            for text, parameters in setup:
                execute(state, text, copy.deepcopy(parameters))
            plain = after(state, batch)
        except Refused:
            return
        try:
            same = after(state, folded) == plain
        except Refused:
            same = False
        if not same:
            raise Differs(setup, batch, folded)

    try:
        compare()
    except Differs as found:
        return found.args
    return None


def test_folded_or_one_by_one_a_batch_does_the_same():
    assert difference(EXAMPLES, seed=int(os.environ.get("FOLDING_SEED", "0"))) is None


@pytest.mark.parametrize(
    "rule",
    [pytest.param(rule, marks=[] if rule.__name__ in QUICK else [pytest.mark.soak]) for rule in WRONG_RULES],
    ids=lambda rule: rule.__name__,
)
def test_a_wrong_rule_shows(rule, monkeypatch: pytest.MonkeyPatch):
    rule(monkeypatch)
    assert any(difference(2 * EXAMPLES, seed) for seed in range(1, 11))
