"""
Which answer belongs to which request, as far as the shim has to know. No I/O.

Every request but GOODBYE has one answer, in the same order, whatever happens: a server that has refused one answers
IGNORED to those after it. So counting is enough, and only the requests that concern a clause of ours are written down.

Source: Bolt documentation, "Server state specification"; measured with Memgraph 2.14.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sluice.bolt.messages import Tag
from sluice_tools.shim.native_streams import NativeStream

_RUN, _UNANSWERED = int(Tag.RUN), int(Tag.GOODBYE)
_BEGINS_ANEW = frozenset((Tag.BEGIN, Tag.COMMIT, Tag.ROLLBACK, Tag.RESET, Tag.HELLO, Tag.LOGON, Tag.LOGOFF))
"After these, no result of before can be pulled."

NEVER = -1
"The index of no request."

LATEST = -1
"The `qid` of the latest result, also when there is none in the message."


@dataclass(frozen=True)
class Clause:
    """A RUN whose answers matter: with a clause of ours, or one that makes a stream of Memgraph's own."""

    kind: str
    "Its keywords, such as START STREAM; `rewriting.REFUSED` where it cannot be read."
    complaint: str | None = None
    "What is wrong with the clause. The server was given a text that it refuses, and the client is told this."
    native: NativeStream | None = None
    "What the server makes, if it agrees; None: it is a clause of ours."


@dataclass(frozen=True)
class PendingClause:
    """A request whose answer has to be looked at."""

    index: int
    "Among all requests of the session, counted from 0."
    clause: Clause | None
    "None: known when the answer comes, by `qid`."
    scope: int
    qid: int = LATEST
    is_run: bool = False
    routing: bytes | None = None
    "What a ROUTE is answered with, framed, if the two requests that stand in its place succeed."


class Exchanges:
    """
    Requests and answers of one session, counted.

    A `scope` is what a `qid` is valid in: a transaction, or a query outside of one.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self.quiet = True
        "Whether no clause is about, so that a RUN or PULL that is none changes nothing but the count."
        self.pulls_matter = False
        "Whether the next PULL or DISCARD may be for a clause of ours: there was one in this scope."
        self.next_watched = NEVER
        "The index of the next answer that has to be looked at."
        self._watched: deque[PendingClause] = deque()
        "Ordered by index."
        self._scope = 0
        self._in_transaction = False
        self._latest: Clause | None = None
        "What the latest RUN was, if the next PULL is for it."
        self._results: dict[tuple[int, int], Clause] = {}
        "(scope, qid) -> the clause whose open result it is."

    @property
    def idle(self) -> bool:
        """Whether every request has been answered."""
        return self.asked <= self.answered

    def ask(self, tag: int) -> None:
        """A request passed that needs no watching."""
        if tag == _RUN:
            self._run(None)
        elif tag in _BEGINS_ANEW:
            self._begin_scope()
            self._in_transaction = tag == Tag.BEGIN
        elif tag == _UNANSWERED:
            return
        self.asked += 1

    def ask_clause(self, clause: Clause) -> None:
        """A RUN passed that holds a clause of ours."""
        self._run(clause)
        self._watch(PendingClause(self.asked, clause, self._scope, is_run=True))
        self.asked += 1

    def ask_route(self, routing: bytes) -> None:
        """A ROUTE came, in whose place a RUN and a DISCARD passed."""
        self._begin_scope()
        for is_run in (True, False):
            self._watch(PendingClause(self.asked, None, self._scope, is_run=is_run, routing=routing))
            self.asked += 1

    def ask_for_records(self, qid: int) -> None:
        """A PULL or DISCARD passed."""
        if qid != LATEST or self._latest is not None:
            clause = self._latest if qid == LATEST else None
            self._watch(PendingClause(self.asked, clause, self._scope, qid))
        self.asked += 1

    def answer(self) -> PendingClause | None:
        """An answer came; what was watched for with it, if anything, with its clause filled in."""
        index = self.answered
        # A server that says more than it was asked for, in its last words, must not shift what comes after.
        self.answered = min(index + 1, self.asked)
        if self.next_watched != index:
            return None
        watched = self._watched.popleft()
        self.next_watched = self._watched[0].index if self._watched else NEVER
        if watched.clause is None and watched.routing is None:
            clause = self._results.get((watched.scope, watched.qid))
            watched = PendingClause(watched.index, clause, watched.scope, watched.qid)
        return watched

    def open_result(self, watched: PendingClause, qid: int) -> None:
        """The server told the `qid` of a clause's result."""
        if watched.clause is not None:
            self._results[watched.scope, qid] = watched.clause

    def _run(self, clause: Clause | None) -> None:
        if not (self._in_transaction or self.quiet):
            self._begin_scope()
        self._latest = clause
        if clause is not None:
            self.pulls_matter, self.quiet = True, False

    def _watch(self, watched: PendingClause) -> None:
        self._watched.append(watched)
        self.next_watched = self._watched[0].index

    def _begin_scope(self) -> None:
        self._scope += 1
        self._latest = None
        self.pulls_matter = False
        oldest = self._watched[0].scope if self._watched else self._scope
        self._results = {key: clause for key, clause in self._results.items() if key[0] >= oldest}
        self.quiet = not (self._watched or self._results)
