"""
Runs a fuzzer for some time.
"""

from __future__ import annotations

import ast
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz.mutator import Mutate, changed_bytes

SEEDS = Path(__file__).with_name("seeds")

SLOW = 2.0
"Seconds of processor time that a parser may take for an input, all of which are small."


@dataclass(frozen=True)
class Target:
    """A parser, and what it may raise."""

    name: str
    check: Callable[[bytes], None]
    "Gives it an input; raises AssertionError if what it made of it is not right."
    errors: tuple[type[Exception], ...] = ()
    "What says that an input is refused."
    mutate: Mutate = changed_bytes

    @property
    def seeds(self) -> list[bytes]:
        """What inputs are made of."""
        lines = (SEEDS / f"{self.name}.txt").read_text("ascii").splitlines()
        return [ast.literal_eval(line) for line in lines if line]


class Outcome(NamedTuple):
    """What a run came to."""

    inputs: int
    refused: int
    "... of these the parser refused, with an error of its own."
    finding: str = ""
    "The input that something else came of, and what; empty: none."


def run(target: Target, seconds: float, start: int = 0) -> Outcome:
    """
    Gives a target its seeds, then inputs made of them, until the time is over or something is found.

    Args:
        start: number of the first input; the same number is the same input.
    """
    seeds = target.seeds
    refused = number = 0
    for seed in seeds:
        finding = try_input(target, seed)
        if isinstance(finding, str):
            return Outcome(number, refused, f"{target.name}, a seed: {finding}")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        data = input_of(target, seeds, start + number)
        finding = try_input(target, data)
        number += 1
        if isinstance(finding, str):
            return Outcome(number, refused, f"{target.name} --input {start + number - 1}: {finding}")
        refused += finding
    return Outcome(number, refused)


def input_of(target: Target, seeds: list[bytes], number: int) -> bytes:
    """An input by its number."""
    return target.mutate(seeds, Random(number))


def try_input(target: Target, data: bytes) -> bool | str:
    """Whether the target refuses an input; or what is wrong, with the input."""
    begun = time.thread_time()
    try:
        target.check(data)
        refused = False
    except target.errors:
        refused = True
    except Exception:
        return f"{data!r}\n{traceback.format_exc()}"
    taken = time.thread_time() - begun
    return refused if taken < SLOW else f"{data!r}\ntook {taken:.1f} s"
