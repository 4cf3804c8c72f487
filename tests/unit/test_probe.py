"""What a server does otherwise than Memgraph turns off the rewrites that rest on it, or, for the fence, all streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import Tag
from sluice.bolt.replies import Failure, Ignored, RawRecords, Reply, Success
from sluice.engine.host_state import HostState
from sluice.errors import QueryRefused
from sluice.folding import REASONS, UNFOLDED, Folder, Need
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
from sluice.persistence.probe import FIELD, QUESTIONS, Findings, probe
from sluice.persistence.sink import FENCE, FENCE_TEXT

ROOT = 42

CODE = "Memgraph.ClientError.MemgraphError.MemgraphError"

TEXTS = {
    Need.ROWS: "CREATE (:N {id: $id})",
    Need.SET: "MATCH (n:N {id: $id}) SET n.v = $v",
    Need.MERGE: "MERGE (n:N {id: $id})",
    Need.CLAUSES: "CREATE (n:N {id: $id}) CREATE (m:M {id: $id})",
    Need.DELETE: "MATCH (n:N {id: $id}) DELETE n",
    Need.FOREACH: "FOREACH (x IN $list | CREATE (:N {id: x}))",
    Need.RELATIONSHIPS: "MATCH (n:N {id: $id})-[r:R]-(m:N) SET r.v = $v",
}
"What each need keeps from being folded at all; the parameters are those of VALUES."

VALUES = {"id": 1, "v": 2, "list": [1, 2]}


class Server:
    """Answers the probe as Memgraph does, but for what is broken."""

    def __init__(self, *, wrong: Need | None = None, failing: Need | None = None, fence: str = "") -> None:
        self.wrong = wrong
        self.failing = failing
        self.fence = fence
        self.reason = "no such thing"
        "What the server says to what fails."
        self.open = False
        self.has_left_something = False
        self.requests = 0

    def exchange(
        self, frames: bytes, replies: int, *, records: RawRecords | None = None, timeout: float | None = None
    ) -> list[Reply]:
        assert timeout
        found = [messages.parse(bytes(message)) for message in MessageBuffer(1 << 20).feed(frames)]
        assert len(found) == replies
        self.requests += replies
        answers = [self._answer(message.tag, message.fields, records) for message in found]
        return self._after_fence(found, answers) if any(FENCE in message.fields[:1] for message in found) else answers

    def reset(self, timeout: float | None = None) -> None:
        assert timeout
        self.open = False

    def fetch(self, query: str, parameters: dict[str, Any], timeout: float) -> list[dict[str, Any]]:
        assert parameters == {"id": ROOT}
        if "DELETE" in query:
            self.has_left_something = False
        return [{"positions": "b", "v": 6}] if self.has_left_something else []

    def _answer(self, tag: int, fields: Sequence[Any], records: RawRecords | None) -> Reply:
        if tag == Tag.BEGIN:
            assert not self.open
            self.open = True
        elif tag in (Tag.COMMIT, Tag.ROLLBACK):
            self.open = False
        elif tag == Tag.RUN:
            query, parameters, *_ = fields
            return self._run(query, parameters, records)
        return Success(messages.success())

    def _run(self, query: str, parameters: dict[str, Any], records: RawRecords | None) -> Reply:
        rows: list[list[Any]] = []
        if query.startswith("CREATE (r:"):
            rows = [[ROOT]]
        elif "k.positions AS positions" in query:
            rows = [["b", 0 if self.fence == "discard" else 6]]
        else:
            question = next((item for item in QUESTIONS if query == item.query), None)
            if question is not None:
                self._asked = question
                if question.need is self.failing:
                    self.open = False
                    return Failure(CODE, self.reason)
            elif query == FIELD[0]:
                if self.failing is Need.FIELDS:
                    self.open = False
                    return Failure(CODE, self.reason)
                rows = [[f" * {'HashJoin' if self.wrong is Need.FIELDS else 'Cartesian'} {{a : b}}"], [" * Once"]]
            elif "RETURN" in query and "$root" in query:
                rows = [["otherwise"]] if self._asked.need is self.wrong else self._asked.expected
        assert records is not None
        records.messages += [messages.record(row) for row in rows]
        return Success(messages.success())

    def _after_fence(self, found: Sequence[messages.Message], answers: list[Reply]) -> list[Reply]:
        second = [number for number, message in enumerate(found) if message.fields[:1] == [FENCE]][1]
        if self.fence == "refused":
            return [
                Failure(CODE, "no id()" if self.reason == "no such thing" else self.reason),
                *[Ignored()] * (len(found) - 1),
            ]
        if self.fence == "assert":
            return answers
        failed: list[Reply] = [Success(messages.success()), Failure(CODE, f"Assertion failed: {FENCE_TEXT}.")]
        rest: list[Reply] = [Ignored()] * (len(found) - second - 2)
        if self.fence == "ignored":
            self.has_left_something = True
            rest[-1] = Success(messages.success())
        return [*answers[:second], *failed, *rest]


def found_on(server: Server) -> Findings:
    return probe(cast(Connection, server))


def host_with(findings: Findings) -> HostState:
    host = HostState(Attempts(None), Installation(None))
    host.findings = findings
    return host


def queries_sent(text: str, lacks: frozenset[Need], count: int = 8) -> int:
    """How many queries some of one text become, once the folder knows the text."""
    folder = Folder(lacks)
    for _ in range(2):
        queries = folder.fold([(text, {**VALUES, "id": number}) for number in range(count)])
    return len(queries)


def test_a_server_that_does_all_of_it_lacks_nothing() -> None:
    server = Server()
    findings = found_on(server)
    assert (findings.lacks, findings.refusal) == ({}, None)
    assert host_with(findings).lacks() == frozenset()
    assert host_with(findings).summary().startswith("as expected, asked in ")
    assert not server.open
    assert server.requests < 110


@pytest.mark.parametrize("need", [*(question.need for question in QUESTIONS), Need.FIELDS])
@pytest.mark.parametrize("how", ["wrong", "failing"])
def test_what_a_server_does_otherwise_is_found_out(need: Need, how: str) -> None:
    server = Server(**{how: need})
    findings = found_on(server)
    assert findings.lacks.keys() == {need}
    assert findings.refusal is None
    seen = "* HashJoin {a : b}" if need is Need.FIELDS else "otherwise"
    assert (seen if how == "wrong" else "no such thing") in findings.lacks[need]
    limited = "as expected" if need in UNFOLDED else REASONS[need]
    assert limited in host_with(findings).summary()


def test_every_need_is_asked_for_or_looked_up() -> None:
    assert {question.need for question in QUESTIONS} | {Need.FIELDS, Need.RELATIONSHIPS} == set(Need) == REASONS.keys()


@pytest.mark.parametrize("need", TEXTS)
def test_a_text_that_needs_what_the_server_lacks_is_sent_as_it_is(need: Need) -> None:
    text = TEXTS[need]
    assert queries_sent(text, frozenset()) == 1
    assert queries_sent(text, frozenset(Need) - {need, *needed_besides(need)}) == 1
    assert queries_sent(text, frozenset([need])) == 8
    folder = Folder(frozenset([need]))
    folder.fold([(text, VALUES)] * 2)
    assert folder.news() == [(text, f"sent as it is: {REASONS[need]}")]


def needed_besides(need: Need) -> set[Need]:
    return {Need.ROWS, Need.SET} if need is Need.RELATIONSHIPS else {Need.ROWS}


def test_without_series_queries_that_wait_for_each_other_are_sent_one_by_one() -> None:
    text = "MATCH (n:N {id: $v}) WHERE n.v < $id SET n.v = $id"
    assert queries_sent(text, frozenset()) == 2
    assert queries_sent(text, frozenset([Need.SERIES])) == 8


def test_without_chains_they_become_series() -> None:
    text = "MATCH (n:N {id: $id}) CREATE (n)-[:R]->(:N {id: $next})"
    links = [(text, {"id": number, "next": number + 1}) for number in range(8)]
    sent = []
    for lacks in ((), (Need.CHAIN,), (Need.CHAIN, Need.SERIES)):
        folder = Folder(frozenset(lacks))
        folder.fold(links)
        sent.append(len(folder.fold(links)))
    assert sent == [1, 2, 8]


def test_without_columns_values_go_as_rows() -> None:
    queries = [("CREATE (:N {id: $id, name: $name})", {"id": number, "name": f"n{number}"}) for number in range(200)]
    texts = []
    for lacks in ((), (Need.COLUMNS,)):
        folder = Folder(frozenset(lacks))
        folder.fold(queries)
        [query] = folder.fold(queries)
        texts.append(query.text)
    assert "split" in texts[0]
    assert "split" not in texts[1]


@pytest.mark.parametrize(
    ("fence", "text"),
    [
        ("refused", "a checkpoint cannot be moved on: no id()"),
        ("discard", "DISCARD does not run a query to its end"),
        ("assert", "assert() does not fail a query"),
        ("ignored", "is not ignored, COMMIT included"),
    ],
)
def test_a_server_that_the_fence_does_not_hold_on_runs_no_stream(fence: str, text: str) -> None:
    server = Server(fence=fence)
    findings = found_on(server)
    assert findings.refusal is not None
    assert findings.refusal.startswith("the streams cannot run on this server: ")
    assert text in findings.refusal
    assert host_with(findings).summary() == findings.refusal
    assert not server.has_left_something


def test_as_long_as_nobody_has_asked_nothing_is_folded() -> None:
    host = HostState(Attempts(None), Installation(None))
    assert host.lacks() == frozenset(Need)
    assert host.limits() == []
    assert host.summary() == "not asked yet"


def test_who_may_not_ask_learns_it() -> None:
    class Refusing(Server):
        def _run(self, query: str, parameters: dict[str, Any], records: RawRecords | None) -> Reply:
            return Failure(CODE, "You are not authorized to execute this query!")

    with pytest.raises(QueryRefused, match="not authorized"):
        found_on(Refusing())


@pytest.mark.parametrize("server", [Server(fence="refused"), Server(failing=Need.MERGE)], ids=["fence", "folding"])
def test_an_instance_that_becomes_a_replica_meanwhile_has_said_nothing_of_itself(server: Server) -> None:
    server.reason = "Write queries are forbidden on the replica instance."
    with pytest.raises(QueryRefused, match="on the replica"):
        found_on(server)


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (n:N {id: $id})-[r]->(m:N) SET r.v = $v",
        "MATCH (n:N {id: $id})-[r:R]->(m) SET r.v = $v",
        "MATCH (n:N {id: $id})-[r:R|S]->(m:N) SET r.v = $v",
        "MATCH (n:N {id: $id})-[r:R]->(n) SET r.v = $v",
        "MERGE (n:N {id: $id})-[:R]->(m {id: $v})",
        "MATCH (n:N {id: $id}) OPTIONAL MATCH (n)-[r:R]->() SET r.v = $v",
    ],
)
def test_beside_an_index_on_relationships_only_plain_shapes_are_folded(text: str) -> None:
    assert queries_sent(text, frozenset([Need.RELATIONSHIPS])) == 8


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (n:N {id: $id})-[r:R]->(m:N) SET r.v = $v",
        "MATCH (n:N {id: $id}), (m:N {id: $v}) MERGE (n)-[:R]->(m)",
        "MERGE (n:N {id: $id}) MERGE (m:M {id: $v}) MERGE (m)<-[:R]-(n)",
        "MATCH (n:N {id: $id}) CREATE (n)-[:R]->(m {id: $v})",
    ],
)
def test_plain_shapes_are_folded_beside_an_index_on_relationships(text: str) -> None:
    assert queries_sent(text, frozenset([Need.RELATIONSHIPS])) == queries_sent(text, frozenset()) < 8
