"""Faults of Kafka's logs and transactions, and of what else runs in the server."""

from __future__ import annotations

import random
import time
from contextlib import suppress

import neo4j

from tests.eventually import eventually
from tests.faults.moments import Moment
from tests.faults.rig import PATIENCE, Rig
from tests.faults.side import Ending
from tests.integration.test_kit import transforms_running

TOUCH = "UNWIND updatedVertices AS u WITH u.vertex AS v SET v.touched = coalesce(v.touched, 0) + 1"
FAIL = "UNWIND updatedVertices AS u WITH u.vertex AS v SET v.touched = 1 / size([])"
ANSWERS = (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError)

METADATA = ("Sluice", "STREAM", "CHECKPOINT", "PARKED")
"What the statements of a dump have in them that are about Sluice's own vertices."

MAX_LANES = 4  # that ALTER gives the stream
MAX_BACK = 300  # offsets that SEEK goes back by, in each partition

CLONES_TIME = 2.0  # seconds that a clone has to begin what it must not


def transactions(rig: Rig, rng: random.Random) -> None:
    """A producer commits, aborts, or leaves its transaction open for a while, with messages after it."""
    side, ending = rig.side, rng.choice(list(Ending))
    side.write_in_transaction(rng.randint(1, 20), ending)
    rig.count(f"transactions {ending.value}")
    side.write(rng.randint(0, 5))
    if ending is Ending.OPEN:
        time.sleep(rng.uniform(0.2, 2))
        side.close()


def retention(rig: Rig, rng: random.Random) -> None:
    """While the stream is stopped, a partition loses all that it has, the markers of transactions included."""
    rig.side.write_in_transaction(rng.randint(1, 20), rng.choice((Ending.COMMITTED, Ending.ABORTED)))
    rig.await_side()
    rig.stop_stream()
    eventually(lambda: transforms_running(rig.host) <= len(rig.riders), timeout=PATIENCE)
    rig.side.forget()
    rig.broker.topics.trim(rig.side.topic, rig.side.end, rig.side.partition)
    rig.start_stream()
    rig.count("logs trimmed")


def truncation(rig: Rig, rng: random.Random) -> None:
    """A partition loses its log, and its topic keeps the id; the new log is shorter, as long, or longer."""
    count = rng.randint(1, 20)
    rig.side.write(count)
    rig.await_side()
    with rig.broker_lock:
        rig.side.forget()
        end = rig.side.end
        rig.broker.kill()
        rig.broker.lose(rig.side.topic, rig.side.partition)
        rig.broker.start()
    rig.side.write(max(1, end + rng.randint(-5, 5)))
    rig.count("logs lost")


def hang(rig: Rig, rng: random.Random) -> None:
    """The broker says nothing for a while; or the server does, in the middle of a transaction, and may then cut it."""
    if rng.random() < 0.5:
        with rig.broker_lock:
            rig.broker.pause()
            time.sleep(rng.uniform(0.5, 4))
            rig.broker.resume()
        rig.count("broker hangs")
        return
    moment = rng.choice((Moment.BEFORE_BEGIN, Moment.AFTER_BEGIN, Moment.BEFORE_COMMIT))
    trap = rig.proxy.arm(moment, hold=True)
    if rig.await_sprung(trap, PATIENCE):
        time.sleep(rng.uniform(0.2, 2))
        if rng.random() < 0.5:
            trap.drop_worker()
            time.sleep(rng.uniform(0, 1))
        trap.release()
        rig.count("transactions held")
    rig.proxy.disarm()


def trigger(rig: Rig, rng: random.Random) -> None:
    """For a while a trigger runs on every update of a vertex; it may fail each time."""
    statement = rng.choice((TOUCH, TOUCH, FAIL))
    phase = "BEFORE COMMIT" if statement is FAIL else rng.choice(("BEFORE COMMIT", "AFTER COMMIT"))
    rig.insist(f"CREATE TRIGGER every ON () UPDATE {phase} EXECUTE {statement}")
    time.sleep(rng.uniform(0.2, 2))
    rig.insist("DROP TRIGGER every")
    rig.count("triggers that fail" if statement is FAIL else "triggers")


def terminate(rig: Rig, rng: random.Random) -> None:
    """Every transaction of others is terminated, again and again; calls of our procedures among them."""
    until = time.monotonic() + rng.uniform(0.2, 1)
    while time.monotonic() < until:
        with suppress(*ANSWERS):
            for row in rig.host.run("SHOW TRANSACTIONS"):
                if not any("SHOW TRANSACTIONS" in str(query) for query in row["query"]):
                    rig.host.run(f"TERMINATE TRANSACTIONS '{row['transaction_id']}'")
                    rig.count("transactions terminated")
        with suppress(*ANSWERS):
            rig.host.run("CALL streams.test($name) YIELD query", name=rig.stream)


def deal(rig: Rig, rng: random.Random) -> None:
    """The stopped stream gets another number of lanes, sometimes before its workers have ended."""
    stop(rig, rng)
    (row,) = rig.insist("CALL streams.info($name) YIELD config RETURN config", name=rig.stream)
    counts = range(1, min(MAX_LANES, rig.layout.count) + 1)
    lanes = rng.choice([count for count in counts if count != row["config"].get("lanes", 1)] or [1])
    rig.insist("CALL streams.alter($name, {config: {lanes: $lanes}})", name=rig.stream, lanes=lanes)
    rig.start_stream()
    rig.count("lanes altered")


def seek(rig: Rig, rng: random.Random) -> None:
    """
    The stopped stream is sent back, and applies some messages once more; or elsewhere, and back to where it was.

    Parked messages that are applied once more would be parked twice, in an order that depends on when they are retried.
    """
    stop(rig, rng)
    before, numbers = rig.look().positions, range(rig.layout.count)
    wanted = {number: max(0, before.get(number, 0) - rng.randint(0, MAX_BACK)) for number in numbers}
    if rig.plan.config.get("on_error") != "park" and rng.random() < 0.5:
        rig.seek(wanted)
        rig.count("seeks back")
    else:
        with rig.broker_lock:
            ends = rig.ends()
        moved = rig.seek({number: rng.choice((wanted[number], ends[number])) for number in numbers})
        if moved:
            rig.seek({number: move.before for number, move in moved.items()})
        rig.count("seeks to and fro")
    rig.start_stream()


def stop(rig: Rig, rng: random.Random) -> None:
    """STOP; half the time until no worker of the stream is left."""
    rig.stop_stream()
    if rng.random() < 0.5:
        eventually(lambda: transforms_running(rig.host) <= len(rig.riders), timeout=PATIENCE)


def clone(rig: Rig, _rng: random.Random) -> None:
    """Another server is filled with our vertices from a dump: it may not read a message before somebody says START."""
    assert rig.other_host is not None
    dump = [row["QUERY"] for row in rig.insist("DUMP DATABASE")]
    with rig.other_host() as other:
        for statement in dump:
            if any(part in statement for part in METADATA):
                other.run(statement)
        show = "CALL streams.show() YIELD name, status RETURN name, status"
        eventually(lambda: other.run(show), timeout=PATIENCE)
        until = time.monotonic() + CLONES_TIME
        while time.monotonic() < until:
            rows = other.run(show)
            if any(row["status"] == "running" for row in rows) or transforms_running(other):
                rig.violations.append(f"a clone's streams: {rows}")
                break
            time.sleep(0.1)
    rig.count("clones")
