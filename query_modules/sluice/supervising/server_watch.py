"""Asks now and then what the server is like: whether streams can run on it, and what they may rely on."""

from __future__ import annotations

import logging
import time

from sluice.host.settings import Settings
from sluice.persistence.loopback import Loopback
from sluice.persistence.probe import Findings
from sluice.persistence.server_facts import ANALYTICAL, ON_DISK
from sluice.supervising.shared_state import SharedState

log = logging.getLogger("sluice.supervisor")

INDEX_INTERVAL = 5.0
"Seconds between two looks at whether there is an index on relationships, while there are streams."

MODE_INTERVAL = 2.0
"Seconds between two looks at the storage mode, which may change at any time and costs more than a look at nodes."

PROBE_INTERVAL = 5.0
"Seconds until a server that streams cannot run on is asked again what it does."

CONSTRAINT_INTERVAL = 2.0
"Seconds between two looks at the graph's uniqueness constraints, while streams run."

ON_REPLICA = "this instance is a replica: the main instance runs the streams"

NO_TRANSACTIONS = (
    "the storage mode is IN_MEMORY_ANALYTICAL, which has no rollback, so batches cannot be applied exactly once: "
    "STORAGE MODE IN_MEMORY_TRANSACTIONAL"
)

NO_EDGES = (
    "the storage mode is ON_DISK_TRANSACTIONAL, where Memgraph 2 loses the relationships of a node that is changed, a "
    "stream's own node among them: streams run in IN_MEMORY_TRANSACTIONAL"
)
"Measured with Memgraph 2.14.1: `MATCH (b:B) SET b.y = 1` takes the relationships of `b` away."

WRONG_MODES = {ANALYTICAL: NO_TRANSACTIONS, ON_DISK: NO_EDGES}


class Every:
    """Lets something be done once in so many seconds, the first time at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def is_due(self) -> bool:
        """Whether it is time; if so, the next time is that much later."""
        if time.monotonic() < self._next:
            return False
        self.restart()
        return True

    def reset(self) -> None:
        """Makes it due."""
        self._next = 0.0

    def restart(self) -> None:
        """It was done: the next time is that much later."""
        self._next = time.monotonic() + self._seconds


class ServerWatch:
    """
    Asks the server, and leaves the answers where procedures and workers read them. Threads: the supervisor's alone.
    """

    def __init__(self, settings: Settings, shared: SharedState) -> None:
        self._settings = settings
        self._shared = shared
        self._storage_mode = ""
        self._mode, self._probe = Every(MODE_INTERVAL), Every(PROBE_INTERVAL)
        self._indexes, self._constraints = Every(INDEX_INTERVAL), Every(CONSTRAINT_INTERVAL)

    def connected(self) -> None:
        """To be called for each new connection: the server may be another one."""
        self._mode.reset()

    def obstacle(self, loopback: Loopback) -> str | None:
        """What keeps every stream from running, for as long as it is so."""
        if not loopback.server.is_main():
            self._shared.host.installation.note_replica()
            return ON_REPLICA
        if self._mode.is_due():
            self._storage_mode = loopback.server.storage_mode()
        if self._storage_mode in WRONG_MODES:
            return WRONG_MODES[self._storage_mode]
        return self._probed(loopback).refusal

    def look_for_indexes(self, loopback: Loopback) -> None:
        """Whether there may be an index on relationships, which limits what is folded."""
        if self._settings.fold and self._indexes.is_due():
            self._shared.host.may_index_relationships = loopback.server.may_index_relationships()

    def learn_constraints(self, loopback: Loopback) -> bool:
        """
        Now and then, tells the merge guard which uniqueness constraints there are: streams need not wait for each other
        where one covers what they merge. Whether it has found some, beside which checkpoints go without a label.
        """
        if not self._constraints.is_due():
            return False
        constraints = loopback.server.uniqueness_constraints()
        self._shared.guard.learn(constraints, relied_on=loopback.server.survives_violations())
        return bool(constraints)

    def _probed(self, loopback: Loopback) -> Findings:
        """What the server was found to do, asked once for each start of it; again where streams cannot run on it."""
        host = self._shared.host
        if host.findings is None or (host.findings.refusal is not None and self._probe.is_due()):
            host.findings = loopback.probe()
            self._probe.restart()
            log.debug("the server was asked what folding rests on, in %.1f ms", host.findings.seconds * 1000)
            for limit in host.limits():
                log.info("not everything is folded: %s", limit)
        return host.findings
