"""A second of each fuzzer, and the fuzzers themselves: they find what there is to find, and the same again."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.mutator import MAX_SIZE, changed_bytes, changed_json
from tests.fuzz.runner import SEEDS, Target, input_of, run, try_input
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_errors_of_ours_comes_of_what_is_made_up(name: str):
    outcome = run(TARGETS[name], seconds=1.0)
    assert outcome.inputs > 1
    assert outcome.finding == ""


def test_every_target_has_seeds_and_the_other_way_round():
    assert {path.stem for path in SEEDS.iterdir()} == set(TARGETS)
    for target in TARGETS.values():
        assert target.seeds
        assert all(len(seed) <= MAX_SIZE + 8 for seed in target.seeds)


def fails(data: bytes) -> None:
    if b"\xff" in data:
        raise KeyError("a fault")
    if b"\x00" in data:
        raise ValueError("refused")


def test_a_fault_is_found_and_found_again_by_its_number(monkeypatch):
    target = Target("uris", fails, (ValueError,))
    outcome = run(target, seconds=60.0, start=1000)
    assert "KeyError: 'a fault'" in outcome.finding
    number = int(outcome.finding.split("--input ")[1].split(":")[0])
    assert number == 1000 + outcome.inputs - 1
    assert isinstance(try_input(target, input_of(target, target.seeds, number)), str)
    assert try_input(target, b"\x00") is True
    assert try_input(target, b"") is False
    monkeypatch.setattr("tests.fuzz.runner.SLOW", -1.0)
    assert "took" in str(try_input(target, b""))


@pytest.mark.parametrize("mutate", [changed_bytes, changed_json])
def test_an_input_depends_on_its_number_alone(mutate):
    seeds = [b'{"a": 1, "b": ["x", {"c": null}]}', b'["y"]']
    made = [mutate(seeds, Random(number)) for number in range(200)]
    assert made == [mutate(seeds, Random(number)) for number in range(200)]
    assert len(set(made)) > 100
