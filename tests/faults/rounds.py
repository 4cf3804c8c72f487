"""A round: one kind of fault, injected at random but seeded points into a stream that is under way."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults.compare import Comparison, broken_chain, compare, doubled
from tests.faults.content import SHARED_KEYS, Content, Place, Poison
from tests.faults.kinds import HOST_SIDE, KINDS, ON_MEMGRAPH, Kind, Strike, kill_host, restart_broker
from tests.faults.plan import Plan
from tests.faults.proxy import CuttingProxy, Moment
from tests.faults.rig import PATIENCE, Rig, RoundFailed
from tests.hosts import ServerHost
from tests.kafka import KafkaBroker

MakeHost = Callable[[int], ServerHost]
"A host of the round's own, not started, whose loopback goes to that port; 0: to itself."

SHAKE = 0.05  # seconds, at most, from the point in the stream to the fault


@dataclass(frozen=True)
class Order:
    """What is asked of a round."""

    kind: str
    seed: int
    messages: int
    strikes: int = 10
    "Faults of every sort but host kills."
    kills: int = 10
    "Host kills, for the kinds `kill` and `all`."
    partitions: int = 4
    batch_size: int = 100
    chained: bool = False
    fold: bool = True
    riders: int = 0
    "Further streams on the topic."


@dataclass
class Verdict:
    """How a round ended."""

    order: Order
    comparison: Comparison = field(default_factory=Comparison)
    tally: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    "Why it failed, beside what the comparison says."
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether the stream kept its promise."""
        return self.comparison.right and not self.violations

    @property
    def kills(self) -> int:
        """How often the host was killed."""
        return self.tally.get("host kills", 0)

    def __str__(self) -> str:
        """One line; what is wrong on lines of its own."""
        found = self.comparison
        counts = f"{found.messages} messages, {found.lost} lost, {found.twice} twice"
        if found.failed:
            counts += f", {found.failed} failed"
        if found.strange or found.disordered:
            counts += f", {found.strange} strange, {found.disordered} partitions out of order"
        done = ", ".join(f"{count} {what}" for what, count in sorted(self.tally.items())) or "nothing"
        line = f"{'ok  ' if self.right else 'FAIL'} {self.order.kind:<13} {counts}; {done}; {self.seconds:.0f} s"
        return "\n".join((line, *(f"     {text}" for text in (*self.violations, *found.examples))))


def run_round(order: Order, make_host: MakeHost, broker: KafkaBroker, folder: Path) -> Verdict:
    """
    Args:
        broker: running; it is killed and restarted, and running again in the end.
        folder: an empty one, for the transform.
    """
    kind = KINDS[order.kind]
    began = time.monotonic()
    verdict = Verdict(order)
    with ExitStack() as resources:
        proxy = resources.enter_context(CuttingProxy())
        host = make_host(proxy.port)
        resources.callback(host.close)
        rng = random.Random(f"{order.seed} {order.kind}")
        content = _content(order, kind, rng, constraints=host.is_memgraph)
        plan = Plan(
            order.batch_size,
            {**kind.config, "fold": order.fold},
            order.chained,
            order.riders or kind.riders,
            shares=kind.shares,
            has_side=kind.has_side,
        )
        rig = Rig(host, broker, proxy, content, plan, folder)
        rig.other_host = partial(_other_host, make_host)
        resources.enter_context(rig.feeder)
        try:
            rig.prepare()
            _run(rig, _schedule(order, kind, content, rng, on_memgraph=host.is_memgraph))
            if kind.keeps:
                _retry(rig, order.kills, rng)
            verdict.comparison = _compared(rig, kind)
            if order.chained:
                verdict.violations += broken_chain(host, content.partitions)
            if kind.shares:
                verdict.violations += doubled(host, SHARED_KEYS)
        except (RoundFailed, AssertionError) as error:
            verdict.violations.append(str(error))
        verdict.violations += rig.violations
        verdict.tally = dict(rig.tally) | ({"producers renewed": rig.feeder.renewed} if rig.feeder.renewed else {})
    verdict.seconds = time.monotonic() - began
    return verdict


@dataclass(frozen=True)
class Point:
    """When so many messages are behind the stream, this is done to it."""

    passed: int
    strike: Strike
    seed: int
    cut: Moment | None = None
    "Where the next transactions come to grief, beside the strike."
    outage: bool = False
    "Whether the broker goes away beside the strike."


def _schedule(order: Order, kind: Kind, content: Content, rng: random.Random, *, on_memgraph: bool) -> list[Point]:
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


def _content(order: Order, kind: Kind, rng: random.Random, *, constraints: bool) -> Content:
    partitions = kind.partitions or order.partitions
    per_partition = order.messages // partitions
    poisons: dict[Place, Poison] = {}
    if kind.poisoned:
        choices = [poison for poison in Poison if constraints or poison is not Poison.COMMIT]
        places = _edges(order, per_partition, rng) if partitions == 1 else _anywhere(order, per_partition, rng)
        poisons = {place: rng.choice(choices) for place in places}
    return Content(order.seed, partitions, per_partition, poisons)


def _anywhere(order: Order, per_partition: int, rng: random.Random) -> set[Place]:
    return {(rng.randrange(order.partitions), rng.randrange(per_partition)) for _ in range(order.strikes)}


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


def _run(rig: Rig, schedule: list[Point]) -> None:
    with _broker_lane(rig) as let_broker_go:
        traps = []
        for point in schedule:
            rng = random.Random(point.seed)
            rig.await_passed(point.passed)
            if point.cut is not None:
                traps.append(rig.proxy.arm(point.cut, countdown=rng.randint(1, 20)))
            if point.outage:
                let_broker_go(random.Random(rng.getrandbits(32)))
            time.sleep(rng.uniform(0, SHAKE))
            point.strike(rig, rng)
    for _ in range(sum(trap.sprung.is_set() for trap in traps)):
        rig.count("cuts beside")
    rig.proxy.disarm()
    rig.feeder.finish(PATIENCE)
    rig.await_passed(rig.stored())
    rig.await_side()


@contextmanager
def _broker_lane(rig: Rig) -> Iterator[Callable[[random.Random], None]]:
    """Gives what lets the broker go away, and come back, beside whatever comes next."""
    lane: list[threading.Thread] = []

    def go(rng: random.Random) -> None:
        if lane:
            lane.pop().join()
        lane.append(threading.Thread(target=restart_broker, args=(rig, rng), daemon=True))
        lane[0].start()

    try:
        yield go
    finally:
        if lane:
            lane.pop().join()
        if not rig.broker.running:
            rig.broker.start()


def _retry(rig: Rig, kills: int, rng: random.Random) -> None:
    """Mends all that is poisoned, and has it applied again, the host being killed meanwhile, until nothing is left."""
    for place in rig.content.poisons:
        rig.open_gate(place)
    deadline = time.monotonic() + PATIENCE
    for number in itertools.count():
        left = rig.retry()
        rig.count("retries")
        if number < kills:
            time.sleep(rng.uniform(0, SHAKE * 4))
            kill_host(rig, rng)
            deadline = time.monotonic() + PATIENCE
        elif not left:
            return
        elif time.monotonic() > deadline:
            raise RoundFailed(f"{left} messages stay parked")
        else:
            time.sleep(SHAKE)


def _compared(rig: Rig, kind: Kind) -> Comparison:
    rig.await_rest()
    stays = kind.config.get("on_error") in ("skip", "dead_letter")
    late = rig.healed if kind.keeps else ()
    gone = {rig.side.number: rig.side.gone}
    broker, topic = rig.broker, rig.topic
    found = compare(rig.host, broker.topics, broker.bootstrap, topic, poison_stays=stays, late=late, gone=gone)
    told = rig.told(rig.stream)
    if (told["messages"], told["failed"]) != (found.messages, found.failed):
        rig.violations.append(f"it counts {told['messages']} messages and {told['failed']} failed")
    ends = rig.ends()
    if told["positions"] != ends:
        rig.violations.append(f"it ends at {told['positions']}, the topic at {ends}")
    if not stays and len(rig.healed) != len(rig.content.poisons):
        rig.violations.append(f"it stopped at {len(rig.healed)} of {len(rig.content.poisons)} poisoned messages")
    if rig.letters is not None:
        _check_letters(rig, rig.letters)
    for number, name in enumerate(rig.riders):
        label = f"Message{number}"
        riders = compare(rig.host, broker.topics, broker.bootstrap, topic, label=label, poison_stays=False, gone=gone)
        if (told := rig.told(name)) != {"positions": ends, "messages": riders.messages, "failed": 0}:
            rig.violations.append(f"{name} tells of {told}")
        found += riders
    return found


@contextmanager
def _other_host(make_host: MakeHost) -> Iterator[ServerHost]:
    with closing(make_host(0)) as other:
        other.start()
        yield other


def _check_letters(rig: Rig, topic: str) -> None:
    """Each poisoned message is a dead letter, at least once, and nothing else is."""
    wanted = {rig.content.message(*place) for place in rig.content.poisons}
    found = [stored.value for stored in rig.broker.topics.read(topic)]
    if set(found) != wanted:
        rig.violations.append(f"{len(wanted)} messages should be dead letters, {len(wanted & set(found))} are")
    for _ in range(len(found) - len(wanted)):
        rig.count("dead letters repeated")
