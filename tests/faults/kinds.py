"""The faults: what is done to a stream that is under way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import neo4j

from tests.faults import strikes
from tests.faults.moments import Moment
from tests.faults.rig import PATIENCE, Rig
from tests.server import ServerFailed

Strike = Callable[[Rig, random.Random], None]
"Injects a fault once. When it returns the server is there, and the stream is under way or will be."

MAX_TRIES = 400  # of a conflicting writer, to get between two transactions of the stream


@dataclass(frozen=True)
class Kind:
    """A round: which fault, and what the stream is like."""

    strike: Strike | None = None
    "None: the fault is in the messages."
    poisoned: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    partitions: int | None = None
    "Of each topic; None: whatever was asked for."
    everything: bool = False
    "All faults at once; `strike` is none."
    others: tuple[Strike, ...] = ()
    "What is done beside that, as often together as `strikes` says."
    riders: int = 0
    "Further streams, if none are asked for."
    shares: bool = False
    "Whether all streams merge the same vertices and relationships."
    constrained: bool = False
    "Whether a uniqueness constraint keeps these vertices single, beside the turns that the streams take."

    @property
    def has_side(self) -> bool:
        """Whether something is done to Kafka's logs, for which there is a partition."""
        return any(strike in ON_LOGS for strike in (*self.others, self.strike))

    @property
    def keeps(self) -> bool:
        """Whether poisoned messages are parked, and retried in the end."""
        return self.config.get("on_error") == "park"


def kill_host(rig: Rig, rng: random.Random) -> None:
    """SIGKILL, sometimes again while it starts."""
    rig.host.kill()
    rig.count("host kills")
    rig.host.start()
    if rng.random() < 0.1:
        time.sleep(rng.uniform(0, 0.5))
        rig.host.kill()
        rig.count("host kills")
        rig.host.start()


def stop_host(rig: Rig, _rng: random.Random) -> None:
    """A clean stop and a start."""
    began = time.monotonic()
    rig.host.stop()
    took = round((time.monotonic() - began) * 1000)
    rig.count("host stops")
    with rig.lock:
        rig.tally["slowest stop, ms"] = max(rig.tally["slowest stop, ms"], took)
    rig.host.start()


def restart_broker(rig: Rig, rng: random.Random) -> None:
    """The broker is killed or stopped, is away for a while, and comes back."""
    with rig.broker_lock:
        if rng.random() < 0.5:
            rig.broker.kill()
            rig.count("broker kills")
        else:
            with suppress(ServerFailed):  # it took too long, and was killed
                rig.broker.stop()
            rig.count("broker stops")
        time.sleep(rng.uniform(0, 1))
        rig.broker.start()


def cut_before_commit(rig: Rig, rng: random.Random) -> None:
    """The server never sees the end of the transaction."""
    _cut(rig, rng, rng.choice((Moment.BEFORE_BEGIN, Moment.AFTER_BEGIN, Moment.BEFORE_COMMIT, Moment.BEFORE_COMMIT)))


def cut_in_commit(rig: Rig, rng: random.Random) -> None:
    """The server gets a part of COMMIT, or all of it and nobody to answer to."""
    _cut(rig, rng, rng.choice((Moment.INSIDE_COMMIT, Moment.AFTER_COMMIT)))


def cut_after_commit(rig: Rig, rng: random.Random) -> None:
    """The transaction is committed, and the worker does not hear of it."""
    _cut(rig, rng, Moment.AFTER_ANSWER)


def cut_anywhere(rig: Rig, _rng: random.Random) -> None:
    """Every loopback connection, the supervisor's included."""
    rig.proxy.cut_all()
    rig.count("cuts anywhere")


def conflict(rig: Rig, rng: random.Random) -> None:
    """Another client holds the counters, or the checkpoint, for a while; then commits or not."""
    query = rng.choice(
        (
            "UNWIND range(0, $last) AS p MATCH (c:Counter {partition: p}) SET c.touched = coalesce(c.touched, 0) + 1",
            "MATCH (c:Counter {partition: 0}) SET c.touched = coalesce(c.touched, 0) + 1",
            "MATCH (k:SluiceCheckpoint) SET k.touched = coalesce(k.touched, 0) + 1",
        )
    )
    commits = rng.random() < 0.5
    seconds = rng.uniform(0.02, 0.3)
    for _ in range(MAX_TRIES):
        with (
            suppress(neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError),
            rig.host.driver().session() as session,
            session.begin_transaction() as transaction,
        ):
            transaction.run(query, last=rig.content.partitions - 1).consume()
            time.sleep(seconds)
            if commits:
                transaction.commit()
            rig.count("vertices held")
            return
        time.sleep(rng.uniform(0, 0.01))
    rig.count("vertices not held")


def reload(rig: Rig, rng: random.Random) -> None:
    """The server loads its modules anew."""
    rig.insist(rng.choice(("CALL mg.load_all()", "CALL mg.load('streams')")))
    rig.count("reloads")


def stop_and_start(rig: Rig, rng: random.Random) -> None:
    """STOP, and START at once, or when no worker is left."""
    strikes.stop(rig, rng)
    rig.start_stream()
    rig.count("restarts")


def run_limited(rig: Rig, rng: random.Random) -> None:
    """STOP, START with a limit, and START without one when it is reached."""
    rig.stop_stream()
    limit = rng.randint(1, 5)
    rig.start_stream(limit)
    # The stream may have come to a poisoned message, and stay in error: START then is what it needs as well.
    status = rig.await_end_of_run()
    query = "MATCH (s:SluiceStream {name: $name})-->(k:SluiceCheckpoint) WHERE k.generation = s.generation "
    (row,) = rig.insist(query + "RETURN sum(k.generation_batches) AS batches", name=rig.stream)
    if status == "stopped" and row["batches"] != limit:
        rig.violations.append(f"a run limited to {limit} batches did {row['batches']}")
    if status == "stopped":
        rig.start_stream()
    rig.count("limited runs")


def _cut(rig: Rig, rng: random.Random, moment: Moment) -> None:
    """Cuts a transaction, and every other time the first one of the next connection too."""
    traps = [rig.proxy.arm(moment, countdown=rng.randint(1, 8))]
    if rng.random() < 0.5:
        traps.append(rig.proxy.arm(moment))
    for trap in traps:
        if rig.await_sprung(trap, PATIENCE):
            rig.count(f"cuts {moment.value}")
    rig.proxy.disarm()


ON_LANES = (strikes.deal, strikes.seek)
"What is done beside everything else to a stream of several lanes."

HOST_SIDE = (stop_host, conflict, reload, stop_and_start, run_limited, cut_anywhere)
"What the round of all faults does beside killing the host, letting the broker go away and cutting transactions."

ON_LOGS = (strikes.transactions, strikes.retention, strikes.truncation)
"What needs a partition of its own."

ON_MEMGRAPH = (strikes.trigger, strikes.terminate, strikes.clone)
"What the sandbox does not have."

BESIDE_KILLS = (conflict, reload, stop_and_start, cut_anywhere)
"What is done to streams that merge the same keys."

NEW = (*ON_LOGS, strikes.hang, *ON_MEMGRAPH)

KINDS: Mapping[str, Kind] = {
    "kill": Kind(kill_host),
    "stop": Kind(stop_host),
    "broker": Kind(restart_broker),
    "cut-before": Kind(cut_before_commit),
    "cut-in": Kind(cut_in_commit),
    "cut-after": Kind(cut_after_commit),
    "cut-anywhere": Kind(cut_anywhere),
    "conflict": Kind(conflict),
    "reload": Kind(reload),
    "restart": Kind(stop_and_start),
    "lanes": Kind(strikes.deal, shares=True),
    "seek": Kind(strikes.seek),
    "limit": Kind(run_limited),
    "poison": Kind(poisoned=True, partitions=1),
    "poison-skip": Kind(poisoned=True, config={"on_error": "skip"}),
    "poison-letter": Kind(poisoned=True, config={"on_error": "dead_letter"}),
    "kill-letter": Kind(kill_host, poisoned=True, config={"on_error": "dead_letter"}),
    "kill-retry": Kind(kill_host, poisoned=True, config={"on_error": "park"}),
    "transactions": Kind(strikes.transactions),
    "retention": Kind(strikes.retention),
    "truncation": Kind(strikes.truncation),
    "hang": Kind(strikes.hang),
    "trigger": Kind(strikes.trigger),
    "terminate": Kind(strikes.terminate),
    "clone": Kind(strikes.clone),
    "shared": Kind(kill_host, others=BESIDE_KILLS, riders=3, shares=True),
    "constrained": Kind(kill_host, others=BESIDE_KILLS, riders=3, shares=True, constrained=True),
    "logs": Kind(kill_host, others=(*NEW, reload, conflict, cut_in_commit), shares=True, riders=1),
    "all": Kind(poisoned=True, everything=True),
    "all-skip": Kind(poisoned=True, config={"on_error": "skip"}, everything=True),
}
