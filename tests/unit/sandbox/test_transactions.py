"""Procedures and queries in clients' transactions."""

from __future__ import annotations

import neo4j
import pytest
from neo4j.exceptions import ClientError, TransientError

from sandbox.host import SandboxHost
from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Ignored, Success
from tests.unit.sandbox.conftest import Run

FENCE = """
OPTIONAL MATCH (k:Checkpoint) WHERE id(k) = $id
WITH k, assert(coalesce(k.positions = $from, false), 'fence lost') AS held
SET k += $to
"""


@pytest.mark.parametrize(("end", "expected"), [("commit", 2), ("rollback", 0)])
def test_a_procedure_shares_the_fate_of_its_transaction(
    driver: neo4j.Driver, run: Run, end: str, expected: int
) -> None:
    label = f"Fate{end}"
    with driver.session() as session:
        transaction = session.begin_transaction()
        transaction.run(f"CREATE (:{label})").consume()
        transaction.run("CALL fake.make($label, {}) YIELD id", label=label).consume()
        seen_inside = transaction.run(f"MATCH (n:{label}) RETURN count(n) AS n").single(strict=True)["n"]
        seen_outside = run(f"MATCH (n:{label}) RETURN count(n) AS n")[0]["n"]
        getattr(transaction, end)()

    assert (seen_inside, seen_outside) == (2, 0)
    assert run(f"MATCH (n:{label}) RETURN count(n) AS n") == [{"n": expected}]


def test_a_procedure_sees_what_its_transaction_has_written(driver: neo4j.Driver) -> None:
    with driver.session() as session, session.begin_transaction() as transaction:
        vertex_id = transaction.run("CREATE (n:Counter {value: 41}) RETURN id(n) AS id").single(strict=True)["id"]
        value = transaction.run("CALL fake.increment($id) YIELD value", id=vertex_id).single(strict=True)["value"]
        query = "MATCH (n) WHERE id(n) = $id RETURN n.value AS value"
        assert value == transaction.run(query, id=vertex_id).single(strict=True)["value"] == 42


def test_a_procedure_that_fails_leaves_nothing_behind(run: Run) -> None:
    with pytest.raises(ClientError):
        run("CALL fake.make_and_fail('Behind')")

    assert run("MATCH (n:Behind) RETURN count(n) AS n") == [{"n": 0}]


def test_a_procedure_that_fails_takes_its_transaction_along(driver: neo4j.Driver, run: Run) -> None:
    with driver.session() as session:
        transaction = session.begin_transaction()
        transaction.run("CREATE (:Along)").consume()
        with pytest.raises(ClientError):
            transaction.run("CALL fake.make_and_fail('Along')").consume()
        transaction.close()

    assert run("MATCH (n:Along) RETURN count(n) AS n") == [{"n": 0}]


@pytest.mark.parametrize("query", ["CALL fake.make_and_fail('Ignored')", "NONSENSE", "CALL nothing.here()"])
def test_after_a_failure_everything_is_ignored_until_reset(host: SandboxHost, run: Run, query: str) -> None:
    requests = [
        messages.begin(),
        messages.run("CREATE (:Ignored)"),
        messages.pull(),
        messages.run(query),
        messages.pull(),
        messages.run("CREATE (:Ignored)"),
        messages.pull(),
        messages.run("CALL fake.make('Ignored', {}) YIELD id"),
        messages.pull(),
        messages.commit(),
        messages.rollback(),
    ]
    with Connection.open("127.0.0.1", host.port) as connection:
        replies = connection.exchange(b"".join(map(frame, requests)), len(requests))
        connection.reset()
        rows = connection.fetch("MATCH (n:Ignored) RETURN count(n) AS n")

    kinds = [type(reply) for reply in replies]
    failed_at = kinds.index(Failure)
    assert failed_at in {3, 4}
    assert kinds == [Success] * failed_at + [Failure] + [Ignored] * (len(kinds) - failed_at - 1)
    assert rows == [{"n": 0}]


def test_transactions_that_are_sent_in_one_go_are_guarded_one_by_one(host: SandboxHost) -> None:
    with Connection.open("127.0.0.1", host.port) as connection:
        (row,) = connection.fetch("CREATE (k:Checkpoint {positions: '0'}) RETURN id(k) AS id")
        requests = []
        for at, to in [("0", "1"), ("1", "2"), ("7", "8"), ("2", "3")]:
            fence = {"id": row["id"], "from": at, "to": {"positions": to, "error": None}}
            requests += [messages.begin(), messages.run(FENCE, fence), messages.discard()]
            requests += [messages.run("CREATE (:Guarded {at: $at})", {"at": at}), messages.pull(), messages.commit()]
        replies = connection.exchange(b"".join(map(frame, requests)), len(requests))
        connection.reset()
        guarded = connection.fetch("MATCH (n:Guarded) RETURN n.at AS at ORDER BY at")
        positions = connection.fetch("MATCH (k) WHERE id(k) = $id RETURN k.positions AS p", row)

    failures = [reply for reply in replies if isinstance(reply, Failure)]
    assert [failure.message for failure in failures] == ["Assertion failed: fence lost."]
    assert isinstance(replies[-1], Ignored)
    assert guarded == [{"at": "0"}, {"at": "1"}]
    assert positions == [{"p": "2"}]


def test_a_guard_fails_where_its_vertex_is_gone(run: Run) -> None:
    with pytest.raises(ClientError, match="Assertion failed: fence lost"):
        run(FENCE, **{"id": 1, "from": "0", "to": {}})


def test_the_second_of_two_that_write_the_same_is_told_to_try_again(driver: neo4j.Driver, run: Run) -> None:
    query = "MATCH (n) WHERE id(n) = $id SET n.value = n.value + 1"
    (row,) = run("CREATE (n:Shared {value: 0}) RETURN id(n) AS id")
    with driver.session() as one, driver.session() as other:
        first, second = one.begin_transaction(), other.begin_transaction()
        second.run("MATCH (n) WHERE id(n) = $id RETURN n.value", row).consume()
        first.run(query, row).consume()
        first.commit()
        with pytest.raises(TransientError) as caught:  # noqa: PT012 - which of the two it is does not matter
            second.run(query, row).consume()
            second.commit()

    assert caught.value.code == "Memgraph.TransientError.MemgraphError.MemgraphError"


INCREMENT, ADD_EDGE = "CALL fake.increment($id) YIELD value", "CALL fake.add_edge($id)"


@pytest.mark.parametrize(
    ("query", "other_query"), [(INCREMENT, INCREMENT), (INCREMENT, ADD_EDGE), (ADD_EDGE, INCREMENT)]
)
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed yet"])
def test_the_second_procedure_of_two_that_change_the_same_vertex_is_refused_at_once(
    driver: neo4j.Driver, run: Run, query: str, other_query: str, committed: bool
) -> None:
    (row,) = run("CREATE (n:Shared {value: 0}) RETURN id(n) AS id")
    for _ in range(2):  # the second time with an edge there already
        with driver.session() as one, driver.session() as other:
            first, second = one.begin_transaction(), other.begin_transaction()
            first.run(query, row).consume()
            if committed:
                first.commit()
            with pytest.raises(ClientError) as caught:
                second.run(other_query, row).consume()

        assert caught.value.message is not None
        assert caught.value.message.splitlines()[-1] == "mgp.SerializationError: Operation cannot be serialized."
        run(other_query, **row)  # the loser may try again


def test_two_procedures_may_add_edges_to_one_vertex_as_on_memgraph_3(driver: neo4j.Driver, run: Run) -> None:
    (row,) = run("CREATE (n:Shared {value: 0}) RETURN id(n) AS id")
    with driver.session() as one, driver.session() as other:
        first, second = one.begin_transaction(), other.begin_transaction()
        first.run(ADD_EDGE, row).consume()
        second.run(ADD_EDGE, row).consume()
        first.close()
        second.commit()
    assert run("MATCH (n)--() WHERE id(n) = $id RETURN count(*) AS edges", **row) == [{"edges": 1}]


def test_a_driver_that_tries_again_gets_through(driver: neo4j.Driver, run: Run) -> None:
    (row,) = run("CREATE (n:Shared {value: 0}) RETURN id(n) AS id")
    attempts = 0

    def work(transaction: neo4j.ManagedTransaction) -> None:
        nonlocal attempts
        attempts += 1
        transaction.run("MATCH (n) WHERE id(n) = $id SET n.value = n.value + 1", row).consume()
        if attempts == 1:
            run("MATCH (n) WHERE id(n) = $id SET n.value = n.value + 1", **row)

    with driver.session() as session:
        session.execute_write(work)

    assert attempts == 2
    assert run("MATCH (n) WHERE id(n) = $id RETURN n.value AS value", **row) == [{"value": 2}]


def test_a_transaction_sees_one_state_of_a_vertex(driver: neo4j.Driver, run: Run) -> None:
    (row,) = run("CREATE (n:Seen {value: 0}) RETURN id(n) AS id")
    query = "MATCH (n) WHERE id(n) = $id RETURN n.value AS value"
    with driver.session() as session, session.begin_transaction() as transaction:
        before = transaction.run(query, row).single(strict=True)["value"]
        run("MATCH (n) WHERE id(n) = $id SET n.value = 1", **row)
        after = transaction.run(query, row).single(strict=True)["value"]

    assert (before, after) == (0, 0)


@pytest.mark.parametrize(("end", "expected"), [("COMMIT", 2), ("ROLLBACK", 0)])
def test_transactions_may_be_begun_and_ended_by_statements(
    host: SandboxHost, run: Run, end: str, expected: int
) -> None:
    label = f"Stated{end}"
    with Connection.open("127.0.0.1", host.port) as connection:
        connection.fetch("BEGIN")
        connection.fetch(f"CREATE (:{label})")
        connection.fetch("CALL fake.make($label, {}) YIELD id", {"label": label})
        assert run(f"MATCH (n:{label}) RETURN count(n) AS n") == [{"n": 0}]
        assert connection.fetch(f"{end};") == []

    assert run(f"MATCH (n:{label}) RETURN count(n) AS n") == [{"n": expected}]


def test_commit_as_a_statement_ends_the_transaction_of_the_driver(driver: neo4j.Driver, run: Run) -> None:
    with driver.session() as session:
        transaction = session.begin_transaction()
        transaction.run("CREATE (:StatedInside)").consume()
        transaction.run("COMMIT").consume()
        with pytest.raises(ClientError):
            transaction.commit()

    assert run("MATCH (n:StatedInside) RETURN count(n) AS n") == [{"n": 1}]


@pytest.mark.parametrize(
    "before",
    [
        "CREATE (:Before)",
        "MATCH (n:Changing) SET n.before = true",
        "MATCH (n:Before) DETACH DELETE n",
        "CALL fake.make('Before', {}) YIELD id",
        "CALL fake.repeat('a') YIELD *",
        "RETURN 1",
    ],
)
@pytest.mark.parametrize("explicit", [True, False], ids=["in a transaction", "in none"])
def test_a_connection_sees_what_others_committed_whatever_it_did_before(
    host: SandboxHost, run: Run, before: str, explicit: bool
) -> None:
    query = "MATCH (n) WHERE id(n) = $id OPTIONAL MATCH (n)-[:TO]->(m) RETURN n.value AS value, count(m) AS edges"
    with Connection.open("127.0.0.1", host.port) as connection:
        (row,) = connection.fetch("CREATE (n:Changing {value: 0}) RETURN id(n) AS id")
        connection.fetch(query, row)
        connection.fetch(before)
        for value in (1, 2):
            run("MATCH (n) WHERE id(n) = $id SET n.value = n.value + 1 CREATE (n)-[:TO]->(:End)", **row)
            if explicit:
                connection.exchange(frame(messages.begin()), 1)
            assert connection.fetch(query, row) == [{"value": value, "edges": value}]
            if explicit:
                connection.exchange(frame(messages.commit()), 1)


def test_a_pipeline_that_is_bigger_than_all_buffers_gets_through(host: SandboxHost) -> None:
    count = 20_000
    requests = [messages.begin()]
    for number in range(count):
        requests += [
            messages.run("CREATE (:Many {number: $n, text: $t})", {"n": number, "t": "x" * 200}),
            messages.pull(),
        ]
    requests.append(messages.commit())
    with Connection.open("127.0.0.1", host.port) as connection:
        replies = connection.exchange(b"".join(map(frame, requests)), len(requests))
        rows = connection.fetch("MATCH (n:Many) RETURN count(n) AS n, sum(n.number) AS sum")

    assert all(isinstance(reply, Success) for reply in replies)
    assert rows == [{"n": count, "sum": count * (count - 1) // 2}]


def test_big_texts_are_kept(run: Run) -> None:
    text = "x" * 200_000
    (row,) = run("CALL fake.make('Big', {text: $text}) YIELD id", text=text)

    assert run("MATCH (n) WHERE id(n) = $id RETURN n.text AS text", **row) == [{"text": text}]
