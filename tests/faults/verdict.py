"""What is asked of a round, how it ended, and what several of them come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.compare import Comparison

TOPICS = 2
"That a stream of several lanes reads."


@dataclass(frozen=True)
class Order:
    """What is asked of a round."""

    kind: str
    seed: int
    messages: int
    strikes: int = 10
    "Faults of every sort but host kills."
    kills: int = 10
    "Host kills, for the kinds that have them."
    partitions: int = 4
    "Of each topic."
    batch_size: int = 100
    chained: bool = False
    fold: bool = True
    riders: int = 0
    "Further streams on the topics."
    lanes: int = 1
    "In the beginning. If there are several, the stream reads several topics, and is dealt to other lanes and sought."

    @property
    def topics(self) -> int:
        """How many there are."""
        return TOPICS if self.lanes > 1 else 1


@dataclass
class Verdict:
    """How a round ended."""

    order: Order
    comparison: Comparison = field(default_factory=Comparison)
    tally: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    "Why it failed, beside what the comparison says."
    seconds: float = 0.0
    standstill: float = 0.0
    "The longest time, in seconds, that a stream made no progress after its trouble had gone."
    ended_by_themselves: int = 0
    "Streams that ended for a reason that nobody injected."

    @property
    def right(self) -> bool:
        """Whether the streams kept their promise."""
        return self.comparison.right and not self.violations

    @property
    def kills(self) -> int:
        """How often the host was killed."""
        return self.tally.get("host kills", 0)

    @property
    def name(self) -> str:
        """Which round it was."""
        lanes = f", {self.order.lanes} lanes" if self.order.lanes > 1 else ""
        return f"{self.order.kind}{lanes}"

    def __str__(self) -> str:
        """One line; what is wrong on lines of its own."""
        found = self.comparison
        counts = f"{found.messages} messages, {found.lost} lost, {found.twice} twice"
        for count, what in (
            (found.failed, "failed"),
            (found.strange, "strange"),
            (found.misordered, "partitions out of order"),
            (found.doubled, "keys doubled"),
        ):
            counts += f", {count} {what}" if count else ""
        done = ", ".join(f"{count} {what}" for what, count in sorted(self.tally.items())) or "nothing"
        times = f"without progress {self.standstill:.1f} s at most; {self.seconds:.0f} s"
        line = f"{'ok  ' if self.right else 'FAIL'} {self.name:<22} {counts}; {done}; {times}"
        return "\n".join((line, *(f"     {text}" for text in (*self.violations, *found.examples))))


def summary(verdicts: Sequence[Verdict]) -> str:
    """What all rounds come to, in several lines; the last is for those who read no other."""
    lines = []
    several = [verdict for verdict in verdicts if verdict.order.lanes > 1]
    if 0 < len(several) < len(verdicts):
        lines.append(f"of these, streams of several lanes and topics: {_counts(several)}")
    if verdicts:
        longest = max(verdicts, key=lambda verdict: verdict.standstill)
        at = f"{longest.standstill:.1f} s ({longest.name}, seed {longest.order.seed})"
        lines.append(f"longest time without progress while nothing was in the way: {at}")
    poisoned = sum(verdict.tally.get("poison", 0) for verdict in verdicts)
    by_themselves = sum(verdict.ended_by_themselves for verdict in verdicts)
    lines.append(f"streams in error: {poisoned} at a poisoned message, {by_themselves} for another reason")
    failed = ", ".join(f"{verdict.name} (seed {verdict.order.seed})" for verdict in verdicts if not verdict.right)
    ending = f"FAILED: {failed}" if failed else "every promise kept"
    return "\n".join((*lines, f"total: {_counts(verdicts)}; {ending}"))


def _counts(verdicts: Sequence[Verdict]) -> str:
    found = Comparison()
    for verdict in verdicts:
        found += verdict.comparison
    kills = sum(verdict.kills for verdict in verdicts)
    wrong = f"{found.lost} lost, {found.twice} twice, {found.misordered} misordered, {found.doubled} keys doubled"
    return f"{found.messages} messages, {kills} host kills, {wrong}"
