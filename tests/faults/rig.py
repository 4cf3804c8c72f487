"""One round's machinery: the host behind its proxy, the broker, and the stream, fed and looked after."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from tests.eventually import eventually
from tests.faults.content import Content, Place, Poison, key_of, riders_script, script
from tests.faults.feeder import Feeder
from tests.faults.plan import Look, Plan
from tests.faults.proxy import CuttingProxy, Trap
from tests.faults.side import SidePartition
from tests.hosts import ServerHost
from tests.integration.test_kit import transforms_running
from tests.kafka import KafkaBroker

PATIENCE = 90.0  # seconds without any progress after which a round has failed
LOOK = 0.02  # seconds between two looks at the stream
MAX_LOOK = 1.0  # seconds that one may count for
AHEAD = 0.05  # of all messages: how far the producer is ahead of the stream; no farther, so that transactions stay many
LOG_LINES = 15  # of the stream's, that a failed round shows

Row = dict[str, Any]

OtherHost = Callable[[], AbstractContextManager[ServerHost]]
"Gives another host, which runs."


class RoundFailed(Exception):
    """The stream does not go on, or has ended by something that nobody injected."""


class Rig:
    """
    A stream that is under way, and everything that faults are injected into.

    Threads: the round's, but for `statistics`, which any thread may count in while it holds `lock`.
    """

    stream = "faults"

    def __init__(
        self,
        host: ServerHost,
        broker: KafkaBroker,
        proxy: CuttingProxy,
        content: Content,
        plan: Plan,
        folder: Path,
    ) -> None:
        """
        Args:
            host: not started; its loopback goes through `proxy`.
            folder: for the transform and its gates.
        """
        self.host = host
        self.broker = broker
        self.proxy = proxy
        self.content = content
        self.topic = broker.topics.create(partitions=content.partitions + plan.has_side)
        self.side = SidePartition(broker, self.topic, content.partitions)
        "To be written to only if the round has one."
        self.broker_lock = threading.Lock()  # held by whoever makes the broker go away
        self.other_host: OtherHost | None = None
        self.feeder = Feeder(content, broker.bootstrap, self.topic)
        self.letters = broker.topics.create() if plan.config.get("on_error") == "dead_letter" else None
        self.lock = threading.Lock()  # guards tally
        self.tally: Counter[str] = Counter()
        "What was done to the stream, and how often."
        self.violations: list[str] = []
        "Promises that were seen broken on the way."
        self.healed: set[Place] = set()
        self._plan = plan
        self._folder = folder

    def prepare(self) -> None:
        """Starts the host, makes what the transform needs, and the stream."""
        self.host.start()
        self.proxy.target = self.host.port
        self.host.run("CREATE INDEX ON :Gate(key)")
        for suffix in ("", *range(self._plan.riders)):
            for partition in self.partitions:
                self.host.run(f"CREATE (c:Counter{suffix} {{partition: $p, n: 0}})-[:LAST]->(c)", p=partition)
            self.host.run(f"CREATE INDEX ON :Counter{suffix}(partition)")
        poisons = self.content.poisons
        keys = [key_of(place) for place, poison in poisons.items() if poison is not Poison.TRANSFORM]
        self.host.run("UNWIND $keys AS key CREATE (:Gate {key: key})", keys=keys)
        if Poison.COMMIT in poisons.values():
            self.host.run("CREATE CONSTRAINT ON (r:Required) ASSERT EXISTS (r.value)")
        gates = self._folder / "gates"
        gates.mkdir()
        transform = self._folder / "transform.py"
        chained, shares = self._plan.chained, self._plan.shares
        transform.write_text(script(gates, chained=chained, shares=shares), encoding="utf-8")
        passes = {"on_gap": "skip"} if self._plan.has_side else {}
        config = {**self._plan.config, **passes}
        if self.letters is not None:
            config["dead_letter_topic"] = self.letters
        self._create(self.stream, transform, config)
        for number, name in enumerate(self.riders):
            transform = self._folder / f"rider{number}.py"
            transform.write_text(riders_script(number, shares=shares), encoding="utf-8")
            self._create(name, transform, passes)
            self.insist("CALL streams.start($name)", name=name)
        self.start_stream()

    @property
    def partitions(self) -> range:
        """Those of the topic."""
        return range(self.content.partitions + self._plan.has_side)

    @property
    def riders(self) -> list[str]:
        """The names of the riders."""
        return [f"rider{number}" for number in range(self._plan.riders)]

    def _create(self, name: str, transform: Path, config: Mapping[str, Any]) -> None:
        self.host.run(
            "CALL streams.create($name, $uri, $topic, $transform, 50, $size, $config)",
            name=name,
            uri=self.broker.bootstrap,
            topic=self.topic,
            transform=str(transform),
            size=self._plan.batch_size,
            config=config,
        )

    def insist(self, query: str, /, **parameters: Any) -> list[Row]:
        """As `Host.run`, again and again while the server is on its way or another transaction is in it."""

        def attempt() -> list[list[Row]]:
            return [self.host.run(query, **parameters)]

        return eventually(attempt, timeout=PATIENCE, interval=0.05)[0]

    def start_stream(self, limit: int | None = None) -> None:
        """START, with a limit if there is one."""
        self.insist("CALL streams.start($name, $limit)", name=self.stream, limit=limit)

    def stop_stream(self) -> None:
        """STOP."""
        self.insist("CALL streams.`stop`($name)", name=self.stream)

    def look(self) -> Look:
        """How far the stream is. The producer goes on as the stream does."""
        (row,) = self.insist(
            "CALL streams.info($name) YIELD status, reason, positions RETURN status, reason, positions",
            name=self.stream,
        )
        positions = {int(partition): offset for partition, offset in row["positions"].items()}
        passed = sum(offset for partition, offset in positions.items() if partition < self.content.partitions)
        look = Look(row["status"], row["reason"], positions, passed)
        self.feeder.allow(look.passed + max(2 * self._plan.batch_size, int(self.content.size * AHEAD)))
        return look

    def await_sprung(self, trap: Trap, timeout: float) -> bool:
        """Whether a transaction runs into a trap, before the stream is at the end of the topic or the time over."""
        deadline = time.monotonic() + timeout
        while not trap.sprung.wait(LOOK) and time.monotonic() < deadline:
            if self.look().passed >= self.content.size:
                break
        return trap.sprung.is_set()

    def await_end_of_run(self) -> str:
        """Wait until the stream has ended by itself, or come to the end of the topic; what its status is then."""

        def ended() -> str:
            look = self.look()
            return look.status if look.status != "running" or look.passed >= self.content.size else ""

        return eventually(ended, timeout=PATIENCE)

    def count(self, what: str) -> None:
        """Note that something was done."""
        with self.lock:
            self.tally[what] += 1

    def await_passed(self, count: int) -> None:
        """
        Wait until so many messages are behind the stream, and open the gates that it comes to.

        Raises:
            RoundFailed: it has ended for another reason, or does not go on.
        """
        last, waited, looked_at = -1, 0.0, time.monotonic()
        while True:
            look = self.look()
            # A look that takes long is the machine's fault, which may have had no time for any of us.
            waited += min(time.monotonic() - looked_at, MAX_LOOK)
            looked_at = time.monotonic()
            if look.status == "error":
                self._heal(look)
            elif look.status == "stopped":
                raise RoundFailed("it is stopped, and nobody has stopped it")
            if look.passed >= count:
                return
            if look.passed != last:
                last, waited = look.passed, 0.0
            elif waited > PATIENCE:
                raise RoundFailed(f"stuck at {last} of {count}, reason {look.reason}\n{self._last_words()}")
            time.sleep(LOOK)

    def await_rest(self, timeout: float = 60.0) -> None:
        """STOP, once the riders are at the end as well, and wait until no worker is left that could write."""
        for name in self.riders:
            eventually(partial(self._positions, name), equals=self.ends(), timeout=PATIENCE)
        self.insist("CALL streams.stop_all()")
        eventually(lambda: transforms_running(self.host), equals=0, timeout=timeout)

    def await_side(self) -> None:
        """Wait until all streams are at the end of the side partition, if there is one."""
        for name in (self.stream, *self.riders) if self._plan.has_side else ():
            eventually(partial(self._at_side, name), timeout=PATIENCE)

    def _positions(self, name: str) -> dict[str, int]:
        self.look()  # has the producer continue
        return dict(self.told(name)["positions"])

    def _at_side(self, name: str) -> bool:
        return self._positions(name).get(str(self.side.number), 0) == self.side.end

    def stored(self) -> int:
        """
        How many messages the topic has, those of the side partition aside: more than were wanted, where one producer
        had to take over from another.
        """
        return sum(self.ends()[str(number)] for number in range(self.content.partitions))

    def ends(self) -> dict[str, int]:
        """Where the topic's partitions end, as `streams.info` has positions."""
        return {str(number): self.broker.topics.watermarks(self.topic, number)[1] for number in self.partitions}

    def told(self, name: str) -> Row:
        """What a stream says of itself: positions, messages, failed."""
        columns = "positions, messages, failed"
        return self.insist(f"CALL streams.info($name) YIELD {columns} RETURN {columns}", name=name)[0]

    def open_gate(self, place: Place) -> None:
        """Mend what is wrong with a poisoned message."""
        poison = self.content.poisons[place]
        if poison is Poison.TRANSFORM:
            (self._folder / "gates" / key_of(place)).touch()
        else:
            self.insist("MATCH (g:Gate {key: $key}) SET g.open = true", key=key_of(place))
        self.healed.add(place)

    def retry(self) -> int:
        """Ask for parked messages to be applied again; how many messages that is."""
        query = "CALL streams.retry($name) YIELD messages RETURN messages"
        return int(self.insist(query, name=self.stream)[0]["messages"])

    def _heal(self, look: Look) -> None:
        """Checks that the stream stopped at a message that is poisoned, just before it; repairs the graph; START."""
        found = re.search(r"partition (\d+), offset (\d+)", look.reason or "")
        place = (int(found[1]), int(found[2])) if found else (-1, -1)
        poison = self.content.poisons.get(place)
        if poison is None or place in self.healed:
            raise RoundFailed(f"it has ended by itself: {look.reason}\n{self._last_words()}")
        partition, sequence = place
        (row,) = self.insist("MATCH (c:Counter {partition: $p}) RETURN c.n AS n", p=partition)
        if row["n"] != sequence:
            self.violations.append(f"it stopped at {place} with {row['n']} messages before it in the graph")
        if look.positions.get(partition, 0) != sequence:
            self.violations.append(f"it stopped at {place} with the checkpoint at {look.positions}")
        self.open_gate(place)
        self.count("poison")
        self.start_stream()

    def _last_words(self) -> str:
        lines = [line for line in self.host.log_text().splitlines() if "sluice" in line or "critical" in line]
        return "\n".join(lines[-LOG_LINES:])
