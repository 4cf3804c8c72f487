"""One round's machinery: the host behind its proxy, the broker, and the stream, fed and looked after."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.eventually import eventually
from tests.faults.compare import Move
from tests.faults.content import Content, Place, Poison, key_of
from tests.faults.feeder import Feeder
from tests.faults.plan import Look, Plan, lay_out
from tests.faults.proxy import CuttingProxy, Trap
from tests.faults.side import SidePartition
from tests.faults.standstill import Standstills
from tests.hosts import ServerHost
from tests.integration.test_kit import transforms_running
from tests.kafka import KafkaBroker

PATIENCE = 90.0  # seconds without any progress after which a round has failed
LOOK = 0.02  # seconds between two looks at the streams
SLOW_LOOK = 0.1  # ... where each asks Kafka as well
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
        self.layout = lay_out(broker.topics, content.partitions, plan)
        self.side = SidePartition(broker, self.layout)
        "To be written to only if the round has one."
        self.broker_lock = threading.Lock()  # held by whoever makes the broker go away
        self.other_host: OtherHost | None = None
        self.feeder = Feeder(content, broker.bootstrap, self.layout)
        self.letters = broker.topics.create() if plan.config.get("on_error") == "dead_letter" else None
        self.lock = threading.Lock()  # guards tally
        self.tally: Counter[str] = Counter()
        "What was done to the stream, and how often."
        self.violations: list[str] = []
        "Promises that were seen broken on the way."
        self.healed: set[Place] = set()
        self.moves: defaultdict[int, list[Move]] = defaultdict(list)
        "Partition -> what SEEK did to the stream there, in order."
        self.standstills = Standstills()
        self.ended_by_themselves = 0
        "Streams that ended for a reason that nobody injected."
        self.plan = plan
        self.folder = folder

    @property
    def riders(self) -> list[str]:
        """The names of the riders."""
        return [f"rider{number}" for number in range(self.plan.riders)]

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
        return self._looks()[self.stream]

    def _looks(self) -> dict[str, Look]:
        """As `look`, of the riders as well."""
        rows = self.insist(
            "CALL streams.info() YIELD name, status, reason, positions RETURN name, status, reason, positions"
        )
        looks = {}
        for row in rows:
            positions = self.layout.numbered(row["positions"])
            passed = sum(offset for number, offset in positions.items() if number < self.layout.count)
            looks[row["name"]] = Look(row["status"], row["reason"], positions, passed)
        ahead = max(2 * self.plan.batch_size, int(self.content.size * AHEAD))
        self.feeder.allow(looks[self.stream].passed + ahead)
        return looks

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
        Wait until the stream is past so many messages, and open the gates that it comes to.

        Raises:
            RoundFailed: it has ended for another reason, or does not go on.
        """
        self._await(lambda looks: looks[self.stream].passed >= count, f"{count} messages")

    def await_side(self) -> None:
        """Wait until all streams are at the end of the side partition, if there is one. Raises as `await_passed`."""
        if self.plan.has_side:
            self._await(self._at_side, "the end of the side partition", behind=True, interval=SLOW_LOOK)

    def await_rest(self, timeout: float = 60.0) -> None:
        """STOP, once the riders are at the end as well, and wait until no worker is left that could write."""
        ends = self.ends()
        self._await(lambda looks: all(looks[name].positions == ends for name in self.riders), f"the ends {ends}")
        self.insist("CALL streams.stop_all()")
        eventually(lambda: transforms_running(self.host), equals=0, timeout=timeout)

    def _await(
        self, arrived: Callable[[dict[str, Look]], bool], where: str, *, behind: bool = False, interval: float = LOOK
    ) -> None:
        """
        Args:
            where: names what is waited for.
            behind: whether all streams have messages to read until then; otherwise it is counted what was delivered.
            interval: seconds between two looks.
        """
        self.standstills.begin()
        looked_at = time.monotonic()
        while True:
            looks = self._looks()
            # A look that takes long is the machine's fault, which may have had no time for any of us.
            seconds = min(time.monotonic() - looked_at, MAX_LOOK)
            looked_at = time.monotonic()
            if looks[self.stream].status == "error":
                self._heal(looks[self.stream])
            for name, look in looks.items():
                if look.status != "running" and (name != self.stream or look.status == "stopped"):
                    self.ended_by_themselves += 1
                    raise RoundFailed(f"{name} is in status {look.status}, reason {look.reason}\n{self._last_words()}")
            if arrived(looks):
                return
            if self.broker_lock.locked():
                self.standstills.begin()  # the broker is on its way
            delivered = self.feeder.delivered
            for name, look in looks.items():
                is_behind = behind or look.passed < delivered
                if self.standstills.saw(name, look.positions, behind=is_behind, seconds=seconds) > PATIENCE:
                    at = f"{look.passed} messages, on the way to {where}"
                    raise RoundFailed(f"{name} is stuck at {at}, reason {look.reason}\n{self._last_words()}")
            time.sleep(interval)

    def _at_side(self, looks: dict[str, Look]) -> bool:
        end, number = self.side.end, self.side.number
        if any(look.positions.get(number, 0) != end for look in looks.values()):
            return False
        # A new log may end where the one that was read has ended.
        wanted = self.side.messages
        suffixes = ("", *range(self.plan.riders))
        query = "MATCH (c:Counter{} {{partition: $p}}) RETURN c.n AS n"
        return all(self.insist(query.format(suffix), p=number) == [{"n": wanted}] for suffix in suffixes)

    def stored(self) -> int:
        """
        How many messages the topics have, those of the side partition aside: more than were wanted, where one producer
        had to take over from another.
        """
        ends = self.ends()
        return sum(ends[number] for number in range(self.layout.count))

    def ends(self) -> dict[int, int]:
        """Where the partitions end."""
        return {number: self.broker.topics.watermarks(*self.layout.place(number))[1] for number in self.layout.numbers}

    def seek(self, offsets: Mapping[int, int]) -> dict[int, Move]:
        """
        Moves the stopped stream: partition -> the offset to be read next.

        Returns:
            what that did to each partition that is not where it was.
        """
        query = "CALL streams.seek($name, $to) YIELD topic, partition, from, to RETURN *"
        by_topic = self.layout.as_map(offsets)
        to: Mapping[str, Any] = by_topic if len(self.layout.topics) > 1 else next(iter(by_topic.values()))
        moved = {
            self.layout.number(row["topic"], row["partition"]): Move(row["from"], row["to"])
            for row in self.insist(query, name=self.stream, to=to)
            if row["from"] != row["to"]
        }
        for number, move in moved.items():
            self.moves[number].append(move)
        return moved

    @property
    def sought_back(self) -> int:
        """How many messages are applied once more, because of SEEKs."""
        return sum(map(self._sought_back, self.layout.numbers))

    def _sought_back(self, partition: int) -> int:
        return sum(move.before - move.after for move in self.moves[partition])

    def told(self, name: str) -> Row:
        """What a stream says of itself: positions, messages, failed."""
        columns = "positions, messages, failed"
        (row,) = self.insist(f"CALL streams.info($name) YIELD {columns} RETURN {columns}", name=name)
        return row | {"positions": self.layout.numbered(row["positions"])}

    def open_gate(self, place: Place) -> None:
        """Mend what is wrong with a poisoned message."""
        poison = self.content.poisons[place]
        if poison is Poison.TRANSFORM:
            (self.folder / "gates" / key_of(place)).touch()
        else:
            self.insist("MATCH (g:Gate {key: $key}) SET g.open = true", key=key_of(place))
        self.healed.add(place)

    def retry(self) -> int:
        """Ask for parked messages to be applied again; how many messages that is."""
        query = "CALL streams.retry($name) YIELD messages RETURN messages"
        return int(self.insist(query, name=self.stream)[0]["messages"])

    def _heal(self, look: Look) -> None:
        """Checks that the stream stopped at a message that is poisoned, just before it; repairs the graph; START."""
        found = re.search(r"topic ([\w-]+), partition (\d+), offset (\d+)", look.reason or "")
        place = (self.layout.number(found[1], int(found[2])), int(found[3])) if found else (-1, -1)
        poison = self.content.poisons.get(place)
        if poison is None or place in self.healed:
            self.ended_by_themselves += 1
            raise RoundFailed(f"it has ended by itself: {look.reason}\n{self._last_words()}")
        partition, sequence = place
        (row,) = self.insist("MATCH (c:Counter {partition: $p}) RETURN c.n AS n", p=partition)
        if row["n"] != sequence + self._sought_back(partition):
            self.violations.append(f"it stopped at {place} with {row['n']} messages before it in the graph")
        if look.positions.get(partition, 0) != sequence:
            self.violations.append(f"it stopped at {place} with the checkpoint at {look.positions}")
        self.open_gate(place)
        self.count("poison")
        self.start_stream()

    def _last_words(self) -> str:
        lines = [line for line in self.host.log_text().splitlines() if "sluice" in line or "critical" in line]
        return "\n".join(lines[-LOG_LINES:])
