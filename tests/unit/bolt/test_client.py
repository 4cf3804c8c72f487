from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.client import PROPOSALS, Connection
from sluice.bolt.framing import frame
from sluice.bolt.messages import Tag, Version
from sluice.bolt.replies import Failure, Ignored, RawRecords, Success, error_of
from sluice.errors import (
    CommitUnknown,
    ConnectionLost,
    QueryRefused,
    RemoteProtocolError,
    TransientFailure,
)
from tests.unit.bolt.fake_server import FakeServer, Script, Session

CLIENT_ERROR = "Memgraph.ClientError.MemgraphError.MemgraphError"
TRANSIENT = "Memgraph.TransientError.MemgraphError.MemgraphError"

BATCH = b"".join(
    map(
        frame,
        (
            messages.begin(),
            messages.run("CREATE (:N {id: $id})", {"id": 1}),
            messages.discard(),
            messages.commit(),
        ),
    )
)
COMMIT_AT = 3


def open_to(server: FakeServer, **options: Any) -> Connection:
    return Connection.open("127.0.0.1", server.port, timeout=5, **options)


def read_batch(session: Session) -> None:
    session.expect_all(Tag.BEGIN, Tag.RUN, Tag.DISCARD, Tag.COMMIT)


def test_a_query_gives_one_dict_per_record() -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.answer_query(["name", "n"], [["a", 1], ["b", None]])
        session.expect(Tag.GOODBYE)

    with FakeServer(script) as server, open_to(server) as connection:
        assert connection.version == (5, 2)
        assert "Memgraph" in connection.server
        assert connection.fetch("RETURN $x", {"x": 1}) == [{"name": "a", "n": 1}, {"name": "b", "n": None}]


@pytest.mark.parametrize(
    ("version", "username", "hello", "logon"),
    [
        pytest.param(Version(5, 2), "me", {}, {"scheme": "basic", "principal": "me", "credentials": "pw"}, id="5.2"),
        pytest.param(Version(5, 2), "", {}, {"scheme": "none"}, id="5.2, nobody"),
        pytest.param(Version(4, 3), "me", {"scheme": "basic", "principal": "me", "credentials": "pw"}, None, id="4.3"),
        pytest.param(Version(4, 1), "", {"scheme": "none"}, None, id="4.1, nobody"),
        pytest.param(Version(4, 0), "", {"scheme": "none"}, None, id="4.0, nobody"),
    ],
)
def test_credentials_go_where_the_version_wants_them(
    version: Version, username: str, hello: dict[str, str], logon: dict[str, str] | None
) -> None:
    def script(session: Session) -> None:
        assert session.shake_hands(version) == list(PROPOSALS)
        assert session.expect(Tag.HELLO).fields == [{"user_agent": "sluice", **hello}]
        session.say(messages.success())
        if logon is not None:
            assert session.expect(Tag.LOGON).fields == [logon]
            session.say(messages.success())
        session.expect(Tag.GOODBYE)

    with FakeServer(script) as server:
        open_to(server, username=username, password="pw").close()


@pytest.mark.parametrize("version", [Version(5, 2), Version(4, 3)])
def test_wrong_credentials_are_a_refusal(version: Version) -> None:
    def script(session: Session) -> None:
        session.shake_hands(version)
        session.expect(Tag.HELLO)
        if version >= (5, 1):
            session.say(messages.success())
            session.expect(Tag.LOGON)
        session.say(messages.failure("Memgraph.ClientError.Security.Unauthenticated", "Authentication failure"))

    with FakeServer(script) as server, pytest.raises(QueryRefused, match="Authentication failure") as caught:
        open_to(server, username="me", password="wrong")
    assert caught.value.code == "Memgraph.ClientError.Security.Unauthenticated"
    assert not caught.value.retryable


def say_nothing(session: Session) -> None:
    session.shake_hands(None)


def speak_http(session: Session) -> None:
    session.socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    session.socket.recv(100)


def hang(session: Session) -> None:
    assert session.socket.recv(100)
    assert not session.socket.recv(100)


def hang_up(session: Session) -> None:
    session.socket.recv(100)
    session.vanish()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(say_nothing, "supports none of the Bolt versions that Sluice supports", id="no common version"),
        pytest.param(speak_http, "speaks HTTP, not Bolt", id="a web server"),
        pytest.param(hang, "no answer in time", id="a server that hangs"),
        pytest.param(hang_up, "reset by peer", id="a server that hangs up"),
    ],
)
def test_who_does_not_speak_bolt_is_a_lost_connection(script: Script, reason: str) -> None:
    with FakeServer(script) as server, pytest.raises(ConnectionLost, match=reason) as caught:
        Connection.open("127.0.0.1", server.port, timeout=0.3)
    assert str(caught.value).startswith(f"127.0.0.1:{server.port}: ")


def test_nobody_there_is_a_lost_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionLost, match=f"127.0.0.1:{port}: Connection refused"):
        Connection.open("127.0.0.1", port)


def test_a_refused_query_leaves_a_session_that_can_be_used() -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        session.say(messages.failure(CLIENT_ERROR, "no such function"), messages.ignored())
        session.expect(Tag.RESET)
        session.say(messages.success())
        session.answer_query(["x"], [[1]])
        session.expect(Tag.GOODBYE)

    with FakeServer(script) as server, open_to(server) as connection:
        with pytest.raises(QueryRefused, match="no such function") as caught:
            connection.fetch("RETURN f()")
        assert (caught.value.code, caught.value.index) == (CLIENT_ERROR, 0)
        assert connection.fetch("RETURN 1 AS x") == [{"x": 1}]


def test_every_request_of_a_pipeline_has_its_answer() -> None:
    def script(session: Session) -> None:
        session.log_in()
        read_batch(session)
        session.say(
            messages.success(),
            messages.success({"fields": ["x"]}),
            messages.record([7]),
            messages.failure(TRANSIENT, "try again"),
            messages.ignored(),
        )
        session.expect(Tag.RESET)
        session.say(messages.success())
        session.expect(Tag.GOODBYE)

    with FakeServer(script) as server, open_to(server) as connection:
        records = RawRecords()
        replies = connection.exchange(BATCH, 4, commit_at=COMMIT_AT, records=records)
        connection.reset()
    assert [type(reply) for reply in replies] == [Success, Success, Failure, Ignored]
    assert isinstance(replies[1], Success)
    assert replies[1].metadata == {"fields": ["x"]}
    assert records.rows() == [[7]]
    assert isinstance(replies[2], Failure)
    error = error_of(replies[2], 2)
    assert isinstance(error, TransientFailure)
    assert (error.index, error.code, str(error)) == (2, TRANSIENT, "try again")
    assert error.retryable


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        pytest.param(CLIENT_ERROR, QueryRefused, id="client error"),
        pytest.param(TRANSIENT, TransientFailure, id="transient error"),
        pytest.param("Memgraph.DatabaseError.X.Y", QueryRefused, id="database error"),
        pytest.param("", QueryRefused, id="no code"),
    ],
)
def test_the_code_decides_the_error(code: str, kind: type[QueryRefused]) -> None:
    assert type(error_of(Failure(code, "text"), 5)) is kind


ANSWERS = (messages.success(), messages.success({"fields": []}), messages.success(), messages.success())


@pytest.mark.parametrize("answered", range(4))
def test_a_connection_lost_before_commit_is_answered_leaves_the_outcome_unknown(answered: int) -> None:
    def script(session: Session) -> None:
        session.log_in()
        read_batch(session)
        session.say(*ANSWERS[:answered])

    with FakeServer(script) as server, open_to(server) as connection:
        with pytest.raises(CommitUnknown, match="closed by the server, while the answer to COMMIT was awaited"):
            connection.exchange(BATCH, 4, commit_at=COMMIT_AT)
        with pytest.raises(ConnectionLost, match="closed"):
            connection.fetch("RETURN 1")


def test_a_connection_lost_after_commit_was_answered_is_no_unknown_commit() -> None:
    def script(session: Session) -> None:
        session.log_in()
        read_batch(session)
        session.expect(Tag.RESET)
        session.say(*ANSWERS)

    with FakeServer(script) as server, open_to(server) as connection, pytest.raises(ConnectionLost):
        connection.exchange(BATCH + frame(messages.reset()), 5, commit_at=COMMIT_AT)


def test_a_connection_lost_after_a_refusal_cannot_have_committed() -> None:
    def script(session: Session) -> None:
        session.log_in()
        read_batch(session)
        session.say(messages.success(), messages.failure(CLIENT_ERROR, "no"))

    with FakeServer(script) as server, open_to(server) as connection, pytest.raises(ConnectionLost):
        connection.exchange(BATCH, 4, commit_at=COMMIT_AT)


def test_a_commit_that_was_not_sent_whole_cannot_have_happened() -> None:
    # More than all socket buffers hold, and the server reads nothing of it: COMMIT stays on our side.
    big = frame(messages.run("RETURN $x", {"x": "x" * 30_000_000}))

    def script(session: Session) -> None:
        session.log_in()
        session.socket.recv(1000)
        session.vanish()

    with FakeServer(script) as server, open_to(server) as connection, pytest.raises(ConnectionLost):
        connection.exchange(big + frame(messages.commit()), 2, commit_at=1)


def test_garbage_instead_of_the_answer_to_commit_leaves_the_outcome_unknown() -> None:
    def script(session: Session) -> None:
        session.log_in()
        read_batch(session)
        session.say(b"\x01")

    with FakeServer(script) as server, open_to(server) as connection, pytest.raises(CommitUnknown):
        connection.exchange(BATCH, 4, commit_at=COMMIT_AT)


def test_garbage_elsewhere_is_the_peers_fault() -> None:
    def script(session: Session) -> None:
        session.log_in()
        read_batch(session)
        session.say(b"\xb0\x55")

    with (
        FakeServer(script) as server,
        open_to(server) as connection,
        pytest.raises(RemoteProtocolError, match="55"),
    ):
        connection.exchange(BATCH, 4)


def test_a_big_pipeline_against_a_server_that_answers_at_once_does_not_lock_up() -> None:
    count, text = 3000, "x" * 10_000
    request = frame(messages.run("RETURN $x", {"x": text})) * count

    def script(session: Session) -> None:
        session.log_in()
        for _ in range(count):
            session.expect(Tag.RUN)
            session.say(messages.success({"fields": [text]}))
        session.expect(Tag.GOODBYE)

    with FakeServer(script) as server, open_to(server) as connection:
        replies = connection.exchange(request, count, timeout=60)
    assert len(replies) == count
    assert isinstance(replies[-1], Success)
    assert replies[-1].metadata == {"fields": [text]}


def test_batches_may_be_sent_before_the_answers_to_earlier_ones_are_read() -> None:
    sent = threading.Event()

    def script(session: Session) -> None:
        session.log_in()
        for _ in range(3):
            read_batch(session)
            session.say(*ANSWERS)
        read_batch(session)
        assert sent.wait(10)  # else it could be hung up on while it sends

    with FakeServer(script) as server, open_to(server) as connection:
        for _ in range(4):
            connection.send(BATCH)
        sent.set()
        for _ in range(3):
            assert not any(isinstance(reply, Failure) for reply in connection.receive(4, commit_at=COMMIT_AT))
        with pytest.raises(CommitUnknown):
            connection.receive(4, commit_at=COMMIT_AT)


def test_abort_wakes_a_thread_that_waits() -> None:
    waiting = threading.Event()

    def script(session: Session) -> None:
        session.log_in()
        session.expect(Tag.RUN)
        waiting.set()
        session.expect(Tag.PULL)
        with pytest.raises((EOFError, OSError)):
            session.next()

    with FakeServer(script) as server, open_to(server) as connection:

        def abort() -> None:
            waiting.wait(5)
            connection.abort()

        aborter = threading.Thread(target=abort)
        aborter.start()
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="aborted"):
            connection.fetch("RETURN 1")
        aborter.join()
    assert time.monotonic() - began < 5


def test_abort_before_a_call_ends_the_call() -> None:
    def script(session: Session) -> None:
        session.log_in()
        with pytest.raises((EOFError, OSError)):
            session.next()

    with FakeServer(script) as server, open_to(server) as connection:
        connection.abort()
        with pytest.raises(ConnectionLost):
            connection.fetch("RETURN 1")


def test_an_answer_that_does_not_come_in_time_closes_the_connection() -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        with pytest.raises((EOFError, OSError)):
            session.next()

    with FakeServer(script) as server, open_to(server) as connection:
        with pytest.raises(ConnectionLost, match="no answer in time"):
            connection.fetch("RETURN 1", timeout=0.05)
        with pytest.raises(ConnectionLost, match="the connection is closed"):
            connection.fetch("RETURN 1")


def test_close_never_raises() -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.vanish()

    with FakeServer(script) as server:
        connection = open_to(server)
        with pytest.raises(ConnectionLost):
            connection.fetch("RETURN 1")
        connection.close()
        connection.close()
        connection.abort()


def test_what_a_python_procedure_raised_is_told_by_its_last_line():
    frames = "".join(f'  File "/a/very/long/path/{number}.py", line {number}, in call\n' for number in range(100))
    message = f"streams.show: Traceback (most recent call last):\n{frames}sluice.errors.SettingError: SLUICE_X is wrong"
    assert str(error_of(Failure("Memgraph.ClientError", message))) == "sluice.errors.SettingError: SLUICE_X is wrong"


def test_a_refusal_whose_text_is_cut_in_the_middle_of_a_character_is_a_refusal() -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.expect_all(Tag.RUN, Tag.PULL)
        failure = messages.failure(CLIENT_ERROR, "mismatched input '’?'")
        session.say(failure.replace("’".encode(), "’".encode()[:2] + b"'"), messages.ignored())
        session.expect(Tag.RESET)
        session.say(messages.success())
        session.answer_query(["n"], [[1]])
        session.expect(Tag.GOODBYE)

    with FakeServer(script) as server, open_to(server) as connection:
        with pytest.raises(QueryRefused, match="mismatched input '\ufffd'[?]'") as caught:
            connection.fetch("RETURN ’")
        assert caught.value.code == CLIENT_ERROR
        assert connection.fetch("RETURN 1") == [{"n": 1}]
