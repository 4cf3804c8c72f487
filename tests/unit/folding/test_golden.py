"""Batches and what they become, as written in `golden/`."""

from __future__ import annotations

import os

import pytest

from tests.unit.folding.golden import FOLDER, Pair, pairs, written

FILES = sorted(FOLDER.glob("*.txt"))

if os.environ.get("GOLDEN") == "write":
    for path in FILES:
        path.write_text(written(list(pairs(path.read_text("utf-8")))), "utf-8")

PAIRS = [
    pytest.param(pair, id=f"{path.stem}: {pair.title}") for path in FILES for pair in pairs(path.read_text("utf-8"))
]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_batch_becomes_what_is_written(pair: Pair) -> None:
    assert pair.queries, "a pair has a batch"
    assert pair.now() == pair.result


def test_titles_are_unique() -> None:
    titles = [param.id for param in PAIRS]
    assert len(set(titles)) == len(titles) > 0
