"""
Keeps transactions of different streams from creating the same vertex or relationship twice, and those of a stream's
lanes from seeing less of each other than they would one after the other.

Memgraph lets two transactions MERGE the same new vertex, and commits both. And neither sees what the other writes. So
transactions of this process whose keys meet (`merge_keys`) run one after the other, and all others at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from itertools import count
from typing import Any

from sluice.values.merge_keys import Constraint, MergeKeys, decode, encode

ACTIVE = 5.0
"Seconds after its last transaction for which a stream counts as running beside others."

YIELDING = 0.2
"""
Seconds that a transaction waits before others, which it would have to wait for, are kept from overtaking it: a stream
sends several transactions in its turn.
"""

LOST_GRACE = 30.0
"""
Seconds for which a transaction whose connection was lost counts as running: the server may still be at work on what it
had received. It is known to have ended as soon as its stream's next session has fenced it off
(`Loopback.fence_off`).
"""

Owner = tuple[int, int]
"A lane of a stream: the vertex ids of the stream, and of the lane's checkpoint."

Ticket = int
"A transaction. Later ones have larger numbers."


class MergeGuard:
    """
    Which transactions run, which wait, and in which order they get their turn.

    A transaction may run unless its keys meet those of another stream's that runs, or of one that has waited for longer
    than `YIELDING` before it. Those of one lane never wait for each other: one connection takes them in order.

    There is no deadlock, since nobody who waits holds anything: a stream that has to wait settles what it has in flight
    first (`turns`). So whoever holds something waits for nothing but the server, and lets go when that answers, or
    `LOST_GRACE` after the connection is lost. Nobody is overtaken for ever: the transaction that has waited longest
    waits for those that run, and for no other that begins once it has waited for `YIELDING`.

    Threads: any. The lock is held for comparisons of keys only; waiting releases the interpreter lock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()  # guards all below
        self._tickets = count(1)
        self._running: dict[Ticket, tuple[Owner, MergeKeys]] = {}
        self._waiting: dict[Ticket, tuple[Owner, MergeKeys, float]] = {}
        "... and since when; the first to wait first."
        self._lost: list[tuple[Owner, MergeKeys, float]] = []
        "... and until when they count."
        self._seen: dict[Owner, float] = {}
        "When each lane last asked for its turn."
        self._constraints: frozenset[Constraint] = frozenset()
        self._relies_on_constraints = False

    @property
    def constraints(self) -> frozenset[Constraint]:
        """The graph's uniqueness constraints, as far as they are known."""
        return self._constraints

    def learn(self, constraints: Iterable[Constraint], *, relied_on: bool) -> None:
        """
        Which uniqueness constraints the graph has.

        Args:
            relied_on: whether nothing has to wait for what they protect. On a server that is harmed by a COMMIT that
                they refuse, it is better to wait.
        """
        self._constraints, self._relies_on_constraints = frozenset(constraints), relied_on

    def wants_keys(self, owner: Owner) -> bool:
        """Whether other streams, or other lanes, run, so that it matters what this one merges."""
        now = self._clock()
        with self._changed:
            self._forget(now)
            others = (other for other, *_ in (*self._running.values(), *self._waiting.values(), *self._lost))
            return any(other != owner for other in (*self._seen, *others))

    def _met(self, owner: Owner, keys: MergeKeys, other: Owner, theirs: MergeKeys) -> str | None:
        """What two transactions may not do at the same time; None: they may."""
        if owner == other:
            return None
        if owner[0] == other[0]:
            return keys.meets(theirs, in_stream=True)
        known = self._constraints if self._relies_on_constraints else ()
        return keys.without(known).meets(theirs.without(known))

    def try_acquire(self, owner: Owner, keys: MergeKeys) -> Ticket | str:
        """The turn of a transaction, all of it or nothing; or what it has to wait for. Does not wait."""
        now = self._clock()
        with self._changed:
            ticket = next(self._tickets)
            obstacle = self._obstacle(owner, keys, ticket, now)
            if obstacle is None:
                self._running[ticket] = (owner, keys)
            return ticket if obstacle is None else obstacle

    def queue(self, owner: Owner, keys: MergeKeys) -> Ticket:
        """Waits in line, holding nothing. `await_turn` tells when it may run; `leave` gives up."""
        with self._changed:
            ticket = next(self._tickets)
            self._waiting[ticket] = (owner, keys, self._clock())
            return ticket

    def await_turn(self, ticket: Ticket, timeout: float) -> str | None:
        """Waits for its turn, at most `timeout` seconds. None: it has it; otherwise what it waits for."""
        deadline = time.monotonic() + timeout
        with self._changed:
            owner, keys, _ = self._waiting[ticket]
            while True:
                obstacle = self._obstacle(owner, keys, ticket, self._clock())
                if obstacle is None:
                    del self._waiting[ticket]
                    self._running[ticket] = (owner, keys)
                    return None
                left = deadline - time.monotonic()
                if left <= 0:
                    return obstacle
                self._changed.wait(left)

    def leave(self, ticket: Ticket) -> None:
        """The transaction has ended, or does not wait for its turn any more."""
        with self._changed:
            self._running.pop(ticket, None)
            self._waiting.pop(ticket, None)
            self._changed.notify_all()

    def lose(self, owner: Owner) -> None:
        """The stream's connection is gone: what became of the transactions that it had in flight is not known."""
        until = self._clock() + LOST_GRACE
        with self._changed:
            gone = {ticket: keys for ticket, (other, keys) in self._running.items() if other == owner}
            for ticket, keys in gone.items():
                del self._running[ticket]
                if not keys.is_empty:
                    self._lost.append((owner, keys, until))
            self._changed.notify_all()

    def has_lost(self, owner: Owner) -> bool:
        """Whether transactions of the stream that it lost still count."""
        with self._changed:
            self._forget(self._clock())
            return any(lost == owner for lost, *_ in self._lost)

    def settle(self, owner: Owner) -> None:
        """No transaction that the stream lost can be committed any more."""
        if self._lost:
            with self._changed:
                self._lost = [lost for lost in self._lost if lost[0] != owner]
                self._changed.notify_all()

    def handed_over(self) -> list[tuple[Owner, bytes, float]]:
        """What a successor has to know, in plain types: transactions that may still run, for how many seconds."""
        now = self._clock()
        with self._changed:
            self._forget(now)
            return [(owner, encode(keys), until - now) for owner, keys, until in self._lost]

    def take_over(self, given: Collection[tuple[Any, ...]]) -> None:
        """Goes on from what `handed_over` gave."""
        now = self._clock()
        with self._changed:
            self._lost += [(owner, decode(keys), now + seconds) for owner, keys, seconds in given]

    def _obstacle(self, owner: Owner, keys: MergeKeys, ticket: Ticket, now: float) -> str | None:
        """What keeps the transaction from running."""
        self._seen[owner] = now
        if keys.is_empty:
            return None
        self._forget(now)
        ahead = (
            (other, theirs)
            for earlier, (other, theirs, since) in self._waiting.items()
            if earlier < ticket and now - since >= YIELDING
        )
        lost = ((other, theirs) for other, theirs, _ in self._lost)
        for other, theirs in (*self._running.values(), *lost, *ahead):
            if (met := self._met(owner, keys, other, theirs)) is not None:
                return met
        return None

    def _forget(self, now: float) -> None:
        if self._lost:
            self._lost = [lost for lost in self._lost if lost[2] > now]
        if any(now - seen > ACTIVE for seen in self._seen.values()):
            self._seen = {owner: seen for owner, seen in self._seen.items() if now - seen <= ACTIVE}
