"""
An executed test: queries run in a transaction that is rolled back, and what they would have changed.

A procedure cannot run Cypher, and must not wait for anybody who does: with one Bolt worker that would be a deadlock. So
`streams.test` hands the queries over, and `streams.test_report` tells what became of them.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Success, error_of
from sluice.errors import ConnectionLost, QueryRefused, SluiceError
from sluice.folding import Need, subscripted
from sluice.folding.merges import merges_of
from sluice.host.settings import Settings
from sluice.persistence.loopback import Loopback
from sluice.persistence.own_server import open_loopback
from sluice.persistence.server_facts import ServerFacts
from sluice.values.merge_keys import Constraint, unprotected

log = logging.getLogger("sluice.test_execution")

Queries = Sequence[tuple[str, Mapping[str, Any]]]

LOOKING = 5.0
"Seconds that the server has to explain a text, or to say which constraints there are."

MAX_EXPLAINED = 100
"Different texts that are looked into for missing indexes."

STATISTICS = (
    *("nodes-created", "nodes-deleted", "relationships-created", "relationships-deleted"),
    *("properties-set", "labels-added", "labels-removed"),
)
"What the server counts, in the `stats` of a query's last answer."

# As EXPLAIN prints them, Memgraph 2.14: `ScanAll (n)`, `ScanAllByLabel (n :Node)`, `Filter (n :Node), {n.id}`.
_SCAN = re.compile(r"\* ScanAll(?:ByLabel)? \((?P<name>.+?)(?: :(?P<label>[^{}]+))?\)$")
_LABEL = r"\({name} :([^):]+)"
_PROPERTY = r"\{{{name}\.([^}}]+)\}}"


@dataclass(frozen=True)
class Report:
    """What the queries of one text did, all of them together."""

    query: str
    queries: int
    "How many there are."
    runs: int = 0
    "How many were run, one that failed included."
    seconds: float = 0.0
    slowest: float = 0.0
    "Seconds that the slowest of them took."
    statistics: Mapping[str, int] | None = None
    "By `STATISTICS`."
    warning: str | None = None
    "What looks at more of the graph than it should, and which index would help."
    error: str | None = None
    "What the server said to the one that failed; nothing was run after it."

    def ran(self, seconds: float, statistics: Mapping[str, Any]) -> Report:
        """With one more of them."""
        before = self.statistics or {}
        return replace(
            self,
            runs=self.runs + 1,
            seconds=self.seconds + seconds,
            slowest=max(self.slowest, seconds),
            statistics={name: before.get(name, 0) + int(statistics.get(name, 0)) for name in STATISTICS},
        )

    def as_row(self) -> dict[str, Any]:
        """A record of `streams.test_report`."""
        counts = self.statistics or {}
        return {
            "query": self.query,
            "queries": self.queries,
            "runs": self.runs,
            "ms": round(self.seconds * 1000, 3),
            "slowest_ms": round(self.slowest * 1000, 3),
            **{name.replace("-", "_"): counts.get(name, 0) for name in STATISTICS},
            "warning": self.warning,
            "error": self.error,
        }


class TestExecution:
    """One executed test. Threads: `start` and `end` are for the supervisor, the rest may be called from any."""

    def __init__(self, stream: str, queries: Queries, lacks: frozenset[Need] = frozenset()) -> None:
        """
        Args:
            lacks: what queries need and the server does not do.
        """
        self._stream = stream
        self._queries: Queries = list(subscripted(queries)) if Need.FIELDS in lacks else queries
        self._lock = threading.Lock()  # guards _loopback
        self._loopback: Loopback | None = None
        self._thread: threading.Thread | None = None
        self.reports: tuple[Report, ...] | None = None
        "By text, those that took longest first; None: not done. Set once, by its own thread."
        self.failure: str | None = None
        "Why there will be no report; set once, by its own thread."

    @property
    def started(self) -> bool:
        """Whether it has begun."""
        return self._thread is not None

    def start(self, settings: Settings) -> None:
        """Begins; once."""
        self._thread = threading.Thread(target=self._run, args=(settings,), name="sluice-test", daemon=True)
        self._thread.start()

    def end(self, timeout: float) -> None:
        """Gives up what is under way, which the server rolls back; waits for that at most `timeout` seconds."""
        with self._lock:
            loopback = self._loopback
        if loopback is not None:
            loopback.abort()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, settings: Settings) -> None:
        try:
            with open_loopback(settings) as loopback:
                with self._lock:
                    self._loopback = loopback
                if not loopback.server.is_transactional():
                    self.failure = "in the storage mode IN_MEMORY_ANALYTICAL nothing could be rolled back"
                    return
                reports = rehearse(loopback.connection, self._queries, settings.test_timeout)
            self.reports = tuple(sorted(reports, key=lambda report: report.seconds, reverse=True))
        except SluiceError as error:
            self.failure = str(error)
        except Exception as error:
            log.exception("stream %s: its executed test failed by an error of its own", self._stream)
            self.failure = f"{type(error).__name__}: {error}"
        self._queries = ()


def rehearse(connection: Connection, queries: Queries, timeout: float) -> list[Report]:
    """
    Runs queries in one transaction, up to the first that fails, and rolls it back.

    Args:
        timeout: seconds that all of them may take.

    Raises:
        GraphError: the connection was lost; nothing took effect.
    """
    reports: dict[str, Report] = {}
    examples: dict[str, Mapping[str, Any]] = {}
    for text, parameters in queries:
        before = reports.get(text, Report(text, 0))
        reports[text] = replace(before, queries=before.queries + 1)
        examples.setdefault(text, parameters)
    constraints = ServerFacts(connection, LOOKING).uniqueness_constraints()
    for text, parameters in list(examples.items())[:MAX_EXPLAINED]:
        warning = "; ".join([*_warnings(connection, text, parameters), *doubles_of(text, constraints)])
        reports[text] = replace(reports[text], warning=warning or None)
    _run_all(connection, queries, timeout, reports)
    return list(reports.values())


def _run_all(connection: Connection, queries: Queries, timeout: float, reports: dict[str, Report]) -> None:
    deadline = time.monotonic() + timeout
    connection.exchange(frame(messages.begin()), 1, timeout=timeout)
    for text, parameters in queries:
        began = time.monotonic()
        request = frame(messages.run(text, parameters)) + frame(messages.pull(-1))
        try:
            replies = connection.exchange(request, 2, timeout=max(deadline - began, 0.001))
        except ConnectionLost:
            if time.monotonic() < deadline:
                raise
            error = f"not finished after {timeout:g} s, the test's time limit (SLUICE_TEST_TIMEOUT)"
            reports[text] = replace(reports[text].ran(time.monotonic() - began, {}), error=error)
            return  # the connection is closed, and the transaction with it
        took = time.monotonic() - began
        refused = next((reply for reply in replies if isinstance(reply, Failure)), None)
        if refused is not None:
            reports[text] = replace(reports[text].ran(took, {}), error=str(error_of(refused)))
            break
        *_, answer = replies
        metadata = answer.metadata if isinstance(answer, Success) else {}
        reports[text] = reports[text].ran(took, metadata.get("stats") or {})
    connection.reset()


def _warnings(connection: Connection, text: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    try:
        rows = connection.fetch(f"EXPLAIN {text}", parameters, timeout=LOOKING)
    except QueryRefused:
        return  # running it will tell
    yield from warnings_of([str(row.get("QUERY PLAN", "")) for row in rows])


def doubles_of(text: str, constraints: Collection[Constraint]) -> Iterator[str]:
    """What a text merges that clients beside the streams could create a second time."""
    shapes = [merged.shape for merged in merges_of(text).merged]
    for statement in unprotected(shapes, constraints):
        yield (
            "another client that merges the same vertex at the same time can create a duplicate; "
            f"{statement} prevents that"
        )


def warnings_of(plan: Sequence[str]) -> Iterator[str]:
    """What a plan, line by line, says of vertices that are looked for without an index."""
    whole = "\n".join(plan)
    for line in plan:
        scan = _SCAN.search(line.rstrip())
        if scan is None:
            continue
        name = re.escape(scan["name"])
        label = scan["label"] or _first(_LABEL.format(name=name), whole)
        key = _first(_PROPERTY.format(name=name), whole)
        where = "of the graph" if scan["label"] is None else f"with the label {label}"
        if label and key:
            yield f"{scan['name']}: scans every vertex {where}; CREATE INDEX ON :{label}({key}) would help"
        elif scan["label"] is None:
            yield f"{scan['name']}: scans every vertex {where}" + (
                f"; CREATE INDEX ON :{label} would help" if label else ""
            )


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None
