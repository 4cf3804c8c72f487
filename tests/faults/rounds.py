"""A round: one kind of fault, injected at random but seeded points into a stream that is under way."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaException

from tests.faults.compare import Comparison, broken_chain, compare, doubled
from tests.faults.kinds import KINDS, Kind, kill_host, restart_broker
from tests.faults.plan import Plan
from tests.faults.prepare import prepare
from tests.faults.proxy import CuttingProxy
from tests.faults.rig import PATIENCE, Rig, RoundFailed
from tests.faults.schedule import Point, content_of, schedule
from tests.faults.standstill import MAX_STANDSTILL
from tests.faults.verdict import Order, Verdict
from tests.hosts import ServerHost
from tests.kafka import KafkaBroker

MakeHost = Callable[[int], ServerHost]
"A host of the round's own, not started, whose loopback goes to that port; 0: to itself."

SHAKE = 0.05  # seconds, at most, from the point in the stream to the fault


def run_round(order: Order, make_host: MakeHost, broker: KafkaBroker, folder: Path) -> Verdict:
    """
    Args:
        broker: running; it is killed and restarted, and running again in the end.
        folder: an empty one, for the transforms.
    """
    kind = KINDS[order.kind]
    began = time.monotonic()
    verdict = Verdict(order)
    with ExitStack() as resources:
        proxy = resources.enter_context(CuttingProxy())
        host = make_host(proxy.port)
        resources.callback(host.close)
        rng = random.Random(f"{order.seed} {order.kind}")
        content = content_of(order, kind, rng, constraints=host.is_memgraph)
        plan = Plan(
            order.batch_size,
            {**kind.config, "fold": order.fold},
            order.chained,
            order.riders or kind.riders,
            shares=kind.shares or order.lanes > 1,
            constrained=kind.constrained,
            has_side=kind.has_side,
            topics=order.topics,
            lanes=min(order.lanes, content.partitions),
        )
        rig = Rig(host, broker, proxy, content, plan, folder)
        rig.other_host = partial(_other_host, make_host)
        resources.enter_context(rig.feeder)
        try:
            prepare(rig)
            _run(rig, schedule(order, kind, content, rng, on_memgraph=host.is_memgraph))
            if kind.keeps:
                _retry(rig, order.kills, rng)
            verdict.comparison = _compared(rig, kind)
            if order.chained:
                verdict.violations += broken_chain(host, content.partitions)
        except (RoundFailed, AssertionError) as error:
            verdict.violations.append(str(error))
        _report(rig, verdict)
    with suppress(KafkaException):  # a broker with few is quicker
        for topic in filter(None, (*rig.layout.topics, rig.letters)):
            broker.topics.delete(topic)
    verdict.seconds = time.monotonic() - began
    return verdict


def _report(rig: Rig, verdict: Verdict) -> None:
    """What there was to see on the way."""
    verdict.violations += rig.violations
    verdict.standstill, verdict.ended_by_themselves = rig.standstills.longest, rig.ended_by_themselves
    if verdict.standstill > MAX_STANDSTILL:
        verdict.violations.append(f"{rig.standstills.longest_of} made no progress for {verdict.standstill:.0f} s")
    more = {"producers renewed": rig.feeder.renewed, "messages sought back": rig.sought_back}
    verdict.tally = dict(rig.tally) | {what: count for what, count in more.items() if count}


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
    here = partial(compare, rig.host, rig.broker.bootstrap, rig.layout, gone=gone)
    found = here(poison_stays=stays, late=late, moves=rig.moves)
    told = rig.told(rig.stream)
    if (told["messages"], told["failed"]) != (found.messages, found.failed):
        rig.violations.append(f"it counts {told['messages']} messages and {told['failed']} failed")
    ends = rig.ends()
    if told["positions"] != ends:
        rig.violations.append(f"it ends at {told['positions']}, the topics at {ends}")
    if not stays and len(rig.healed) != len(rig.content.poisons):
        rig.violations.append(f"it stopped at {len(rig.healed)} of {len(rig.content.poisons)} poisoned messages")
    if rig.letters is not None:
        _check_letters(rig, rig.letters)
    for number, name in enumerate(rig.riders):
        label = f"Message{number}"
        riders = here(label=label, poison_stays=False)
        if (told := rig.told(name)) != {"positions": ends, "messages": riders.messages, "failed": 0}:
            rig.violations.append(f"{name} tells of {told}")
        found += riders
    if rig.plan.shares:
        found += doubled(rig.host)
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
