"""
Random values, from a `Random` alone, each choice as likely as it says.

Queries of a batch have to meet to tell anything: what makes up its own mind about what is likely makes batches that are
alike, or in which nothing meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Domain = Callable[[Random], Any]


def one_of(values: Sequence[Any]) -> Domain:
    """One of the values, all equally likely."""
    return lambda random: random.choice(values)


def integer(least: int, most: int) -> Domain:
    """An integer, bounds included."""
    return lambda random: random.randint(least, most)


def either(*domains: Domain) -> Domain:
    """From one of the domains."""
    return lambda random: random.choice(domains)(random)


def several(domain: Domain, most: int) -> Domain:
    """A list."""
    return lambda random: [domain(random) for _ in range(random.randint(0, most))]


def mapping(entries: Mapping[str, Domain], optional: Mapping[str, Domain] | None = None) -> Domain:
    """A map with all of `entries`, and with each of the optional ones or without it."""

    def draw(random: Random) -> dict[str, Any]:
        others = [item for item in (optional or {}).items() if random.random() < 0.5]
        return {name: domain(random) for name, domain in (*entries.items(), *others)}

    return draw
