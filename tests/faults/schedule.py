"""What is done in a round, and when: all of it follows from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.faults.content import Content, Place, Poison
from tests.faults.kinds import HOST_SIDE, ON_LANES, ON_MEMGRAPH, Kind, Strike, kill_host
from tests.faults.moments import Moment
from tests.faults.verdict import Order


@dataclass(frozen=True)
class Point:
    """When the stream is past so many messages, this is done to it."""

    passed: int
    strike: Strike
    seed: int
    cut: Moment | None = None
    "Where the next transactions come to grief, beside the strike."
    outage: bool = False
    "Whether the broker goes away beside the strike."


def schedule(order: Order, kind: Kind, content: Content, rng: random.Random, *, on_memgraph: bool) -> list[Point]:
    """What is done to a stream, in order."""
    strikes: list[Strike] = []
    everything = kind.everything
    if everything:
        strikes += [kill_host] * order.kills
        strikes += [strike for strike in HOST_SIDE for _ in range(-(-order.strikes // len(HOST_SIDE)))]
        rng.shuffle(strikes)
    elif kind.strike is kill_host:
        strikes += [kill_host] * order.kills
    elif kind.strike is not None and (on_memgraph or kind.strike not in ON_MEMGRAPH):
        strikes += [kind.strike] * order.strikes
    if kind.others:
        found = [strike for strike in kind.others if on_memgraph or strike not in ON_MEMGRAPH]
        strikes += [strike for strike in found for _ in range(-(-order.strikes // len(found)))]
        rng.shuffle(strikes)
    if order.lanes > 1:
        strikes += [strike for strike in ON_LANES for _ in range(max(1, order.strikes // 4))]
        rng.shuffle(strikes)
    places = sorted(rng.sample(range(content.size * 9 // 10), len(strikes)))
    outages = set(rng.sample(range(len(strikes)), min(len(strikes), -(-order.strikes // 3)))) if everything else set()
    return [
        Point(
            passed,
            strike,
            rng.getrandbits(32),
            rng.choice(list(Moment)) if everything and rng.random() < 0.5 else None,
            index in outages,
        )
        for index, (passed, strike) in enumerate(zip(places, strikes, strict=True))
    ]


def content_of(order: Order, kind: Kind, rng: random.Random, *, constraints: bool) -> Content:
    """
    The messages of a round.

    Args:
        constraints: whether the host has any, so that they can be violated.
    """
    partitions = (kind.partitions or order.partitions) * order.topics
    per_partition = order.messages // partitions
    poisons: dict[Place, Poison] = {}
    if kind.poisoned:
        choices = [poison for poison in Poison if constraints or poison is not Poison.COMMIT]
        at_edges = kind.partitions == 1
        places = _edges(order, per_partition, rng) if at_edges else _anywhere(order, partitions, per_partition, rng)
        poisons = {place: rng.choice(choices) for place in places}
    return Content(order.seed, partitions, per_partition, poisons)


def _anywhere(order: Order, partitions: int, per_partition: int, rng: random.Random) -> set[Place]:
    return {(rng.randrange(partitions), rng.randrange(per_partition)) for _ in range(order.strikes)}


def _edges(order: Order, per_partition: int, rng: random.Random) -> list[Place]:
    """
    First, middle and last messages of batches: a stream that goes on at a poisoned message begins a batch with it.
    """
    size, at = order.batch_size, 0
    longest = max(1, per_partition // size // (order.strikes + 1))
    places: list[Place] = []
    for number in range(order.strikes):
        at += size * rng.randint(1, longest) + (0, size // 2, size - 1)[number % 3]
        if at < per_partition:
            places.append((0, at))
    return places
