from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Message, Proposal, Tag, Version
from sluice.clauses import Statement, parser, translate, translation
from sluice.errors import ClauseError
from sluice_tools.shim import readers, rewriting
from sluice_tools.shim.corrections import TRANSIENT
from sluice_tools.shim.handshake import MANIFEST, HandshakeKind
from sluice_tools.shim.native_streams import NativeStreams
from sluice_tools.shim.readers import MAX_HELD
from sluice_tools.shim.rewriting import MAX_CLAUSE, STAND_IN
from sluice_tools.shim.session import Session
from sluice_tools.shim.settings import Address
from tests.unit.clauses.strategies import statements_and_texts

CODE = "Memgraph.ClientError.MemgraphError.MemgraphError"
HANDSHAKE = messages.handshake([Proposal(5, 8, 8), Proposal(4, 4, 2), Proposal(4, 1), Proposal(3, 0)])
ANSWER = messages.answer(Version(5, 2))
OK = messages.success({})
SIGN_IN = (messages.hello({"user_agent": "x"}), messages.logon({"scheme": "none"}))


def failure_of(kind: str, text: str) -> bytes:
    """What the server says when one of our procedures raises."""
    traceback = f'streams.create: Traceback (most recent call last):\n  File "x.py", line 1, in f\n{kind}: {text}\n'
    return messages.failure(CODE, traceback)


class Talk:
    """Both sides of a session, message by message."""

    def __init__(self, natives: NativeStreams | None = None, advertise: Address | None = None) -> None:
        self.session = Session("T", natives=natives, advertise=advertise)
        assert self.session.from_client(HANDSHAKE) == HANDSHAKE
        assert self.session.from_server(ANSWER) == ANSWER
        assert self.session.opening.kind is HandshakeKind.BOLT
        self.passes(*SIGN_IN)
        self.answers_pass(OK, OK)
        assert self.session.release() == b""
        assert self.session.accepted

    def client(self, *packed: bytes) -> list[Message]:
        """What the server sees of what the client says."""
        return unframe(self.session.from_client(b"".join(map(frame, packed))))

    def server(self, *packed: bytes) -> list[Message]:
        return unframe(self.session.from_server(b"".join(map(frame, packed))))

    def passes(self, *packed: bytes) -> None:
        """These go to the server as they are."""
        wire = b"".join(map(frame, packed))
        assert self.session.from_client(wire) == wire

    def answers_pass(self, *packed: bytes) -> None:
        wire = b"".join(map(frame, packed))
        assert self.session.from_server(wire) == wire


def unframe(wire: bytes) -> list[Message]:
    return [messages.parse(message) for message in MessageBuffer(1 << 30).feed(wire)]


def test_a_clause_becomes_a_call_and_all_around_it_passes() -> None:
    talk = Talk()
    talk.passes(messages.run("MATCH (n) RETURN n", {}, {}), messages.pull())
    talk.answers_pass(messages.success({"fields": ["n"]}), messages.record([1]), OK)
    run, pull = talk.client(messages.run("DROP STREAM s", {"x": 1}, {"db": "memgraph"}), messages.pull())
    assert run.tag == Tag.RUN
    assert run.fields == ["CALL streams.drop($name)", {"x": 1, "name": "s"}, {"db": "memgraph"}]
    assert pull.fields == [{"n": -1}]
    talk.answers_pass(messages.success({"fields": []}), OK)
    assert talk.session.idle


def test_the_part_of_an_answer_that_had_arrived_comes_first_where_the_client_cannot_be_followed() -> None:
    session = Session("T")
    asks = messages.MAGIC + MANIFEST + bytes(12)
    assert session.from_client(asks) == asks
    assert session.from_server(MANIFEST + b"\x02\0") == b""
    assert session.from_client(b"on") == b"on"
    assert session.opening.kind is HandshakeKind.RAW
    assert session.from_server(b"more") == MANIFEST + b"\x02\0more"
    assert session.server_ended() == b""


def test_a_server_that_goes_on_before_the_client_has_chosen_is_not_followed() -> None:
    listed = MANIFEST + b"\x01\0\0\x08\x05\0"
    for parts in ([listed, b"more"], [listed + b"more"]):
        session = Session("T")
        asks = messages.MAGIC + MANIFEST + bytes(12)
        assert session.from_client(asks) == asks
        assert b"".join(map(session.from_server, parts[:-1])) + session.from_server(parts[-1]) == listed + b"more"
        assert session.opening.kind is HandshakeKind.RAW
        assert session.from_client(b"choice") == b"choice"


def test_bolt_1_has_no_settings_in_run() -> None:
    talk = Talk()
    packed = messages.pack_message(Message(Tag.RUN, ["STOP ALL STREAMS;", {}]))
    [run] = talk.client(packed)
    assert run.fields == ["CALL streams.stop_all()", {}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "RETURN 1",
        "CREATE (n:STREAM)",
        "CREATE KAFKA STREAM s TOPICS t TRANSFORM m.p",
        "create stream = (a)-[:R]->(b)",
        "DROP INDEX ON :STREAM",
        "SHOW STREAM INFO",
        "STARTS WITH",
        "EXPLAIN MATCH (n) RETURN n",
        "EXPLAIN EXPLAIN SHOW STREAMS",
        "PROFILE",
        "// SHOW STREAMS",
        "/* START STREAM s */ RETURN 1",
        "\u00a0MATCH (n) RETURN n",
        "CREATE (:N {text: 'SHOW STREAMS'})",
        "S",
        "CREATE " + " " * MAX_CLAUSE + "STREAM s",
    ],
)
def test_what_is_no_clause_passes(text: str) -> None:
    talk = Talk()
    talk.passes(messages.run(text, {"x": [1, {"y": None}]}), messages.pull())
    talk.answers_pass(failure_of("sluice.errors.StreamExists", "as it is"), messages.ignored())


FAILURES = [
    pytest.param(
        failure_of("sluice.errors.TopicNotFound", "Kafka stream mystream, topic not found"),
        messages.failure(CODE, "Kafka stream mystream, topic not found"),
        id="an error of ours",
    ),
    pytest.param(
        failure_of("sluice.errors.ConflictError", "Cannot resolve"),
        messages.failure(TRANSIENT, "Cannot resolve"),
        id="a conflict",
    ),
    pytest.param(
        failure_of("sluice.errors.CallAborted", "aborted by TERMINATE TRANSACTIONS"),
        messages.failure(TRANSIENT, "aborted by TERMINATE TRANSACTIONS"),
        id="a call that was ended",
    ),
    pytest.param(
        failure_of("mgp.SerializationError", "Operation cannot be serialized."),
        messages.failure(TRANSIENT, "Operation cannot be serialized."),
        id="a conflict that the server reports",
    ),
    pytest.param(
        messages.failure(CODE, "Accessor type READ and query type WRITE are misaligned!"),
        messages.failure(
            CODE,
            "Accessor type READ and query type WRITE are misaligned! (this clause writes: it needs a session, or a "
            "transaction, with access mode WRITE)",
        ),
        id="a client that said that it reads, on Memgraph 3",
    ),
    pytest.param(
        failure_of("sluice.errors.ScriptError", "a: b: c"), messages.failure(CODE, "a: b: c"), id="colons in the text"
    ),
    pytest.param(
        failure_of("KeyError", "1"),
        messages.failure(
            CODE,
            "KeyError: 1 (a fault of the module streams: please report it, with the traceback that the CALL gives on "
            "Memgraph's own port)",
        ),
        id="a fault of ours",
    ),
    pytest.param(
        messages.failure(CODE, "Transaction was aborted"),
        messages.failure(CODE, "Transaction was aborted"),
        id="the server's own",
    ),
    pytest.param(
        messages.failure(CODE, "see sluice.errors.StreamExists: x"),
        messages.failure(CODE, "see sluice.errors.StreamExists: x"),
        id="a text that mentions one",
    ),
]


@pytest.mark.parametrize(("said", "told"), FAILURES)
def test_the_failure_of_a_clause_is_put_right(said: bytes, told: bytes) -> None:
    talk = Talk()
    talk.client(messages.run("START STREAM s"), messages.pull())
    assert talk.session.from_server(frame(messages.success({"fields": []})) + frame(said)) == frame(
        messages.success({"fields": []})
    ) + frame(told)
    talk.passes(messages.reset(), messages.run("CALL streams.start('s')"), messages.pull())
    # The same refusal of a query that the client wrote itself.
    talk.answers_pass(OK, OK, said)


@pytest.mark.parametrize("step", [7, 1000], ids=["in pieces", "at once"])
@pytest.mark.parametrize("text", ["DROP STREAM s", " /* */ explain stop stream s", "START STREAM s LIMIT"])
def test_a_clause_is_recognised_once_and_parsed_once(step: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    talk, seen = Talk(), Counter[str]()

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            seen[name] += 1
            return original(*arguments)

        return call

    for module, name in ((rewriting, "recognise"), (parser, "Source"), (translation, "_arguments")):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    wire = frame(messages.run(text)) + frame(messages.pull())
    sent = b"".join(talk.session.from_client(wire[at : at + step]) for at in range(0, len(wire), step))
    assert sent != wire
    assert seen == {"recognise": 1, "Source": 1, **({} if "LIMIT" in text else {"_arguments": 1})}


@pytest.mark.parametrize("text", [
    "EXPLAIN MATCH (n) RETURN n", "profile  match (n) return n", "\n\n  EXPLAIN CREATE (n)", "SET n.x = 1", "P", "E",
    "SHOW STORAGE INFO", "create\nindex on :N(id)", "PERIODIC", "DROP INDEX ON :N(id)", "", " ", "START", "CREATE x",
])  # fmt: skip
def test_what_begins_with_a_letter_of_a_clause_is_not_decoded_for_that(text: str, monkeypatch) -> None:
    monkeypatch.setattr(readers, "clause_in", lambda payload: pytest.fail("looked at") if text else False)
    Talk().passes(messages.run(text, {"x": "STREAM"}), messages.pull())


@pytest.mark.parametrize(
    "plan", ["EXPLAIN ", "profile\t", "Explain/**/", "PROFILE\u00a0\u2003", "\u3000explain //\n", ""]
)
@pytest.mark.parametrize(
    "text", ["SHOW STREAMS", "\u205fstop/* */stream s", "Start All\u1680Streams", "//\nDROP STREAM s"]
)
def test_a_clause_is_found_after_any_blank_and_comment(plan: str, text: str) -> None:
    [message] = Talk().client(messages.run(plan + text))
    assert " CALL streams." in f" {message.fields[0]}"


def test_a_clause_is_explained_by_its_call() -> None:
    talk = Talk()
    [explain, profile] = talk.client(messages.run("EXPLAIN SHOW STREAMS"), messages.run("profile\nstop stream s;"))
    assert explain.fields[0] == "EXPLAIN CALL streams.show() YIELD name, uri, topic, transform, status"
    assert profile.fields == ["PROFILE CALL streams.`stop`($name)", {"name": "s"}, {}]


@pytest.mark.parametrize(
    ("text", "parameters", "complaint"),
    [
        ("START STREAM s LIMIT $n BATCHES", {"n": None}, "LIMIT must be an integer, got null"),
        ("TEST STREAM s LIMIT $n BATCHES", {"n": "x"}, "LIMIT must be an integer, got 'x'"),
        ("STOP STREAM $n", {"n": 5}, "the stream's name must be a string, got 5"),
    ],
)
def test_a_parameter_of_a_wrong_type_is_refused_in_the_clauses_words(
    text: str, parameters: dict[str, Any], complaint: str
) -> None:
    talk = Talk()
    [run] = talk.client(messages.run(text, parameters))
    assert run.fields[0] == STAND_IN
    [told] = talk.server(messages.failure(CODE, "syntax"))
    assert told.fields[0] == {"code": CODE, "message": complaint}


def test_the_summary_of_a_clause_does_not_count_our_nodes() -> None:
    talk = Talk()
    stats = {"type": "w", "stats": {"nodes-created": 2, "properties-set": 22}, "plan_execution_time": 0.1}
    for end in (messages.pull(), messages.discard()):
        talk.client(messages.run("DROP STREAM s"), end)
        [_, summary] = talk.server(messages.success({"fields": []}), messages.success(stats))
        assert summary.fields == [{"type": "w", "plan_execution_time": 0.1}]
    talk.passes(messages.run("CREATE (:A)"), messages.pull())
    talk.answers_pass(messages.success({"fields": []}), messages.success(stats))


NOT_FOUND = failure_of("sluice.errors.StreamNotFound", "Kafka stream mine, stream not found")
NATIVE = "create  kafka STREAM `mine` TOPICS t TRANSFORM m.p"


@pytest.mark.parametrize(
    ("create", "answer", "hint"),
    [
        (NATIVE, OK, " (CREATE KAFKA STREAM made a stream of that name that is Memgraph's own: "
         "manage it on Memgraph's own port)"),
        (NATIVE, messages.failure(CODE, "no"), ""),
        ("CREATE KAFKA STREAM other TOPICS t TRANSFORM m.p", OK, ""),
    ],
    ids=["made", "refused", "another"],
)  # fmt: skip
def test_whoever_looks_for_a_stream_of_memgraphs_own_is_told_so(create: str, answer: bytes, hint: str) -> None:
    natives = NativeStreams()
    maker, user = Talk(natives), Talk(natives)
    maker.passes(messages.run(create), messages.pull())
    maker.answers_pass(OK, answer)
    user.client(messages.run("START STREAM mine"), messages.pull())
    [_, told] = user.server(OK, NOT_FOUND)
    assert told.fields[0]["message"] == "Kafka stream mine, stream not found" + hint


def test_what_else_a_failure_tells_is_kept() -> None:
    talk = Talk()
    talk.client(messages.run("START STREAM s"), messages.pull())
    said = {"code": CODE, "message": "sluice.errors.StreamNotFound: no", "gql_status": "50N42", "neo4j_code": "x"}
    talk.answers_pass(OK)
    [told] = talk.server(messages.pack_message(Message(Tag.FAILURE, [said])))
    assert told.fields == [{**said, "message": "no"}]


def test_a_clause_that_cannot_be_read_fails_on_the_server_with_our_text() -> None:
    talk = Talk()
    run, pull = talk.client(
        messages.run("START STREAM s LIMIT x BATCHES", {"secret": 1}, {"mode": "r"}), messages.pull()
    )
    assert run.fields == [STAND_IN, {}, {"mode": "r"}]
    told, ignored = talk.server(messages.failure(CODE, "no viable alternative at input 'SLUICE'"), messages.ignored())
    assert ignored.tag == Tag.IGNORED
    [metadata] = told.fields
    assert metadata["code"] == CODE
    assert "line 1, column 22" in metadata["message"]


def test_a_server_that_parses_when_pulled_refuses_there() -> None:
    talk = Talk()
    talk.client(messages.run("START STREAM"), messages.pull())
    talk.answers_pass(OK)
    [told] = talk.server(messages.failure(CODE, "?"))
    assert told.fields[0]["message"].startswith("Syntax error")


def test_answers_are_matched_in_a_pipeline() -> None:
    talk = Talk()
    said, told = failure_of("sluice.errors.StreamExists", "taken"), messages.failure(CODE, "taken")
    talk.passes(messages.begin(), messages.run("UNWIND $x AS x RETURN x", {"x": [1]}), messages.pull())
    talk.client(messages.run("SHOW STREAMS"), messages.pull(), messages.run("RETURN 1"), messages.pull())
    talk.client(messages.run("DROP STREAM a"), messages.discard(), messages.commit())
    talk.answers_pass(OK, OK, *[messages.record([1])] * 100, OK, OK, messages.record([1]), OK, OK, OK, OK)
    assert talk.session.from_server(frame(said)) == frame(told)
    talk.answers_pass(messages.ignored())
    assert talk.session.idle


def test_results_are_told_apart_by_qid() -> None:
    talk = Talk()
    said, told = failure_of("sluice.errors.StreamExists", "taken"), messages.failure(CODE, "taken")
    talk.passes(messages.begin(), messages.run("RETURN 1"))
    talk.answers_pass(OK, messages.success({"fields": ["1"], "qid": 0}))
    talk.client(messages.run("TEST STREAM s"))
    talk.answers_pass(messages.success({"fields": ["query", "params"], "qid": 1}))
    talk.passes(messages.run("RETURN 2"))
    talk.answers_pass(messages.success({"fields": ["2"], "qid": 2}))
    talk.passes(messages.pull(1, 0), messages.pull(1, 1), messages.pull(1, 2), messages.pull(), messages.pull(1, 1))
    talk.answers_pass(said.replace(b"x", b"y"))
    talk.answers_pass(messages.success({"has_more": True}), said, said)
    assert talk.session.from_server(frame(said)) == frame(told)


def test_a_qid_means_nothing_in_the_next_transaction() -> None:
    talk = Talk()
    said = failure_of("sluice.errors.StreamExists", "taken")
    talk.passes(messages.begin())
    talk.client(messages.run("TEST STREAM s"))
    talk.passes(messages.rollback(), messages.begin(), messages.run("RETURN 1"), messages.pull(-1, 0))
    talk.answers_pass(OK, messages.success({"qid": 0}), OK, OK, messages.success({"qid": 0}), said)


def test_more_answers_than_requests_shift_nothing() -> None:
    talk = Talk()
    talk.answers_pass(messages.failure(CODE, "idle for too long"))
    talk.client(messages.run("DROP STREAM s"), messages.pull())
    talk.answers_pass(OK)
    said, told = failure_of("sluice.errors.StreamNotFound", "none"), messages.failure(CODE, "none")
    assert talk.session.from_server(frame(said)) == frame(told)


@pytest.mark.parametrize("step", [1000, 65536, 10**7])
@pytest.mark.parametrize("fields", [2, 3], ids=["Bolt 1", "Bolt 4"])
def test_a_clause_longer_than_the_limit_is_refused_and_not_kept(step: int, fields: int) -> None:
    talk = Talk()
    parameters = {"x": "x" * (MAX_HELD + 200_000)}
    run = messages.pack_message(Message(Tag.RUN, ["DROP STREAM s", parameters, {"db": "x"}][:fields]))
    wire = frame(run) + frame(messages.pull()) + frame(messages.reset())
    sent = unframe(b"".join(talk.session.from_client(wire[at : at + step]) for at in range(0, len(wire), step)))
    assert [message.tag for message in sent] == [Tag.RUN, Tag.PULL, Tag.RESET]
    if step < len(wire):
        assert sent[0].fields == [STAND_IN, {}, {}][:fields]
        [told, *_] = talk.server(messages.failure(CODE, "syntax"), messages.ignored(), OK)
        assert told.fields[0]["message"] == "a stream clause and its parameters have to be smaller than 1024 KiB"
    else:
        # Whatever comes in one read is there already, and read.
        assert sent[0].fields[0] == "CALL streams.drop($name)"
        talk.answers_pass(OK, OK, OK)
    assert talk.session.idle


def test_a_clause_whose_text_is_too_long_is_refused() -> None:
    talk = Talk()
    text = "START STREAM s /* é " + "é" * MAX_CLAUSE + " */"
    [run] = talk.client(messages.run(text, {}, {"db": "x"}))
    assert run.fields == [STAND_IN, {}, {"db": "x"}]
    [told] = talk.server(messages.failure(CODE, "syntax"))
    assert told.fields[0]["message"] == "a stream clause has to be shorter than 8 KiB"


def test_a_long_query_that_begins_like_a_clause_passes() -> None:
    Talk().passes(messages.run("CREATE stream = (:A)-[:R]->(:B)" + ", (:N {text: 'é'})" * 10_000))


def test_a_big_query_is_not_held_back() -> None:
    talk = Talk()
    wire = frame(messages.run("CREATE (:N $x)", {"x": {"y": "x" * 200_000}}))
    assert talk.session.from_client(wire[:100]) == wire[:100]
    assert talk.session.from_client(wire[100:200]) == wire[100:200]
    assert not talk.session.idle


# The way it is with real connections: both streams whole, and how they look on the other side.

MANIFEST_HANDSHAKE = messages.MAGIC + MANIFEST + bytes.fromhex("00080805 00020404 00000003".replace(" ", ""))
HELLO_AND_LOGON, ACCEPTED = b"".join(map(frame, SIGN_IN)), frame(OK) * 2
OPENINGS: list[tuple[list[bytes], list[bytes]]] = [
    ([HANDSHAKE, HELLO_AND_LOGON], [ANSWER, ACCEPTED]),
    ([MANIFEST_HANDSHAKE, HELLO_AND_LOGON], [ANSWER, ACCEPTED]),
    (
        [MANIFEST_HANDSHAKE, bytes.fromhex("00000805 8101".replace(" ", "")) + HELLO_AND_LOGON],
        [MANIFEST + bytes.fromhex("02 00080805 00020404 8101".replace(" ", "")), ACCEPTED],
    ),
]
"What each side sends by turns, the client first, until the server has accepted it."
NO_NAME = (
    "Syntax error at line 1, column 12: expected a stream name (plain or in backticks) or a $parameter, "
    "found the end of the text"
)
CONVERSATION: list[tuple[bytes, list[bytes], bytes | None, list[bytes] | None]] = [
    (messages.run("MATCH (n) RETURN n", {"x": "y" * 70_000}), [messages.success({"fields": ["n"]})], None, None),
    (messages.pull(), [messages.record(["z" * 66_000]), messages.record([2]), messages.success({})], None, None),
    (messages.run(" show /* all */ streams"), [messages.success({"fields": ["name"]})],
     messages.run("CALL streams.show() YIELD name, uri, topic, transform, status"), None),
    (messages.pull(10), [messages.record(["s"]), messages.success({"has_more": False})], None, None),
    (messages.begin(), [OK], None, None),
    (messages.run("STOP STREAM `my stream`"), [messages.success({"fields": [], "qid": 0})],
     messages.run("CALL streams.`stop`($name)", {"name": "my stream"}), None),
    (messages.pull(-1, 0), [failure_of("sluice.errors.StreamNotFound", "there is no stream my stream")], None,
     [messages.failure(CODE, "there is no stream my stream")]),
    (messages.commit(), [messages.ignored()], None, None),
    (messages.reset(), [OK], None, None),
    (messages.run("TEST STREAM"), [messages.failure(CODE, "syntax")], messages.run(STAND_IN),
     [messages.failure(CODE, NO_NAME)]),
    (messages.pull(), [messages.ignored()], None, None),
    (messages.goodbye(), [], None, None),
]  # fmt: skip


def wires(opening: tuple[list[bytes], list[bytes]]) -> tuple[bytes, bytes, bytes, bytes]:
    """What client and server send, and what the server and the client are to receive."""
    client, to_server = b"".join(opening[0]), b"".join(opening[0])
    server, to_client = b"".join(opening[1]), b"".join(opening[1])
    for request, answers, rewritten, told in CONVERSATION:
        client += frame(request)
        to_server += frame(rewritten or request)
        server += b"".join(map(frame, answers))
        to_client += b"".join(map(frame, told or answers))
    return client, server, to_server, to_client


def run_through(
    opening: tuple[list[bytes], list[bytes]], client: list[bytes], server: list[bytes]
) -> tuple[bytes, bytes]:
    """The opening, then the pieces of each side, one side after the other: as late as answers can come."""
    session = Session("T")
    to_server, to_client = b"", b""
    for said, answered in zip(*opening, strict=True):
        to_server += session.from_client(said)
        to_client += session.from_server(answered)
        assert not session.release()
    assert session.accepted
    to_server += b"".join(map(session.from_client, client))
    to_client += b"".join(map(session.from_server, server))
    return to_server + session.client_ended(), to_client + session.server_ended()


@pytest.mark.parametrize("opening", OPENINGS, ids=["version", "manifest refused", "manifest"])
def test_a_conversation_looks_as_it_should_to_both_sides(opening: tuple[list[bytes], list[bytes]]) -> None:
    client, server, to_server, to_client = wires(opening)
    head, answer = len(b"".join(opening[0])), len(b"".join(opening[1]))
    assert run_through(opening, [client[head:]], [server[answer:]]) == (to_server, to_client)


@settings(deadline=None, max_examples=300)
@given(opening=st.sampled_from(OPENINGS), data=st.data())
def test_however_the_bytes_are_cut_they_come_out_the_same(
    opening: tuple[list[bytes], list[bytes]], data: st.DataObject
) -> None:
    client, server, to_server, to_client = wires(opening)
    # Cuts near what matters, not in the 70,000 bytes of padding.
    near = sorted({min(at + by, len(client)) for at in boundaries(client) for by in range(-3, 30)})
    cuts = sorted(data.draw(st.lists(st.sampled_from(near), max_size=20)))
    near = sorted({min(at + by, len(server)) for at in boundaries(server) for by in range(-3, 30)})
    server_cuts = sorted(data.draw(st.lists(st.sampled_from(near), max_size=20)))
    head, answer = len(b"".join(opening[0])), len(b"".join(opening[1]))
    pieces = cut(client[head:], [at - head for at in cuts if at > head])
    server_pieces = cut(server[answer:], [at - answer for at in server_cuts if at > answer])
    assert run_through(opening, pieces, server_pieces) == (to_server, to_client)


def test_what_follows_the_sign_in_waits_for_the_answer() -> None:
    session = Session("T")
    run = frame(messages.run("DROP STREAM s"))
    # A client that does not even wait for the handshake's answer.
    assert session.from_client(HANDSHAKE + HELLO_AND_LOGON + run) == HANDSHAKE
    assert session.waiting
    assert session.from_server(ANSWER) == ANSWER
    assert session.release() == HELLO_AND_LOGON
    assert session.waiting
    assert session.from_client(run) == b""
    assert session.from_server(frame(OK)) == frame(OK)
    assert (session.waiting, session.accepted) == (True, False)
    assert session.from_server(frame(OK)) == frame(OK)
    call = frame(messages.run("CALL streams.drop($name)", {"name": "s"}))
    assert session.release() == call * 2
    assert (session.waiting, session.accepted) == (False, True)


def test_before_5_1_hello_signs_in() -> None:
    session = Session("T")
    session.from_client(HANDSHAKE)
    session.from_server(messages.answer(Version(4, 3)))
    assert session.from_client(frame(SIGN_IN[0])) == frame(SIGN_IN[0])
    session.from_server(frame(OK))
    session.release()
    assert session.accepted


def test_of_a_client_that_is_not_accepted_nothing_is_held_or_translated() -> None:
    session = Session("T")
    session.from_client(HANDSHAKE)
    session.from_server(ANSWER)
    # A clause before the sign-in, whole and in parts, passes byte for byte as it arrives.
    clause = frame(messages.run("DROP STREAM s", {"x": "y" * 100_000}))
    for wire in (clause, frame(messages.run("DROP STREAM s")), frame(SIGN_IN[0])):
        for at in range(0, len(wire), 1000):
            assert session.from_client(wire[at : at + 1000]) == wire[at : at + 1000]
    assert session.from_client(frame(SIGN_IN[1])) == frame(SIGN_IN[1])
    refused = frame(messages.failure(CODE, "Authentication failure")) + frame(messages.ignored()) * 3
    assert session.from_server(refused) == refused
    assert session.release() == b""
    assert (session.waiting, session.accepted) == (False, False)
    assert session.from_client(clause) == clause


def boundaries(wire: bytes) -> list[int]:
    """About where messages are: after every end of one."""
    found, at = [0, 20], 0
    while (at := wire.find(b"\0\0", at)) >= 0:
        at += 2
        found.append(at)
    return found


def cut(data: bytes, at: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


def test_byte_by_byte() -> None:
    for opening in OPENINGS:
        client, server, to_server, to_client = wires(opening)
        session = Session("T")
        asked, answered = 0, 0
        arrived, received = b"", b""
        for ask, reply in [*zip(map(len, opening[0]), map(len, opening[1]), strict=True), (len(client), len(server))]:
            arrived += b"".join(
                session.from_client(client[at : at + 1]) for at in range(asked, min(asked + ask, len(client)))
            )
            received += b"".join(
                session.from_server(server[at : at + 1]) for at in range(answered, min(answered + reply, len(server)))
            )
            assert not session.release()
            asked, answered = asked + ask, answered + reply
        assert (arrived, received) == (to_server, to_client)


@pytest.mark.parametrize("opening", [OPENINGS[0], OPENINGS[2]], ids=["version", "manifest"])
def test_cut_in_two_anywhere_they_come_out_the_same(opening: tuple[list[bytes], list[bytes]]) -> None:
    client, server, to_server, to_client = wires(opening)
    head, answer = len(b"".join(opening[0])), len(b"".join(opening[1]))
    for at in anywhere(client, head):
        pieces = cut(client[head:], [at])
        assert run_through(opening, pieces, [server[answer:]]) == (to_server, to_client), at
    for at in anywhere(server, answer):
        pieces = cut(server[answer:], [at])
        assert run_through(opening, [client[head:]], pieces) == (to_server, to_client), at


def anywhere(wire: bytes, start: int) -> list[int]:
    """Every position after `start`, but for those in the middle of the padding."""
    padding = {b"yyyyyyyy", b"zzzzzzzz"}
    return [at - start for at in range(start, len(wire)) if wire[at - 4 : at + 4] not in padding]


characters = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(statements_and_texts())
def test_every_clause_that_can_be_written_is_found(pair: tuple[Statement, str]) -> None:
    """What the session takes for harmless without a look must go with the grammar."""
    [run] = Talk().client(messages.run(pair[1]))
    assert run.fields[0].startswith("CALL streams.")


@settings(deadline=None)
@given(
    st.sampled_from(["", "CREATE ", "SHOW ", "start", "ALTER ", "SEEK", " DROP ", "/* */ ", "EXPLAIN ", "profile "]),
    characters,
)
def test_what_the_grammar_leaves_alone_passes(opening: str, rest: str) -> None:
    text = opening + rest
    try:
        ours = translate(text) is not None
    except ClauseError:
        ours = True
    if not ours:
        Talk().passes(messages.run(text, {"x": 1}))


@settings(deadline=None)
@given(chunks=st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_a_clause_may_come_in_any_chunks(chunks: list[int]) -> None:
    message = messages.run("CREATE STREAM s AS LOAD DATA KAFKA 'k:9' WITH TOPIC 't' WITH TRANSFORM 'http://x/y.py'")
    wire, at = b"", 0
    for size in [*chunks, len(message)]:
        part = message[at : at + size]
        if part:
            wire += len(part).to_bytes(2, "big") + part
        at += size
    talk = Talk()
    [run] = unframe(talk.session.from_client(wire + b"\0\0"))
    assert run.fields[0].startswith("CALL streams.create(")


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(bytes(1_000_000), id="NOOPs"),
        pytest.param(b"\0\1x\0\0" * 200_000, id="messages of a byte"),
        pytest.param(b"\0\1x" * 333_333, id="chunks of a byte"),
        pytest.param(frame(messages.reset()) * 166_666, id="the smallest requests"),
    ],
)
def test_a_flood_of_trifles_is_cheap(flood: bytes) -> None:
    """All connections share one thread: what one of them sends must not cost the others their time."""
    session = Talk().session
    began = time.thread_time()
    assert session.from_client(flood) + session.client_ended() == flood
    assert session.from_server(flood) + session.server_ended() == flood
    assert time.thread_time() - began < 1.5


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=20))
def test_any_bytes_pass_and_nothing_raises(pieces: list[tuple[bool, bytes]]) -> None:
    session = Session("T")
    sent: dict[bool, bytes] = {True: b"", False: b""}
    passed: dict[bool, bytes] = {True: b"", False: b""}
    for from_client, data in pieces:
        sent[from_client] += data
        passed[from_client] += session.from_client(data) if from_client else session.from_server(data)
    passed[True] += session.client_ended()
    passed[False] += session.server_ended()
    assert passed == sent


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=20))
def test_any_bytes_after_a_handshake_pass_and_nothing_raises(pieces: list[tuple[bool, bytes]]) -> None:
    session = Talk().session
    sent: dict[bool, bytes] = {True: b"", False: b""}
    passed: dict[bool, bytes] = {True: b"", False: b""}
    for from_client, data in pieces:
        sent[from_client] += data
        passed[from_client] += session.from_client(data) if from_client else session.from_server(data)
    passed[True] += session.client_ended()
    passed[False] += session.server_ended()
    assert passed == sent


junk = st.recursive(
    st.none() | st.integers(-100, 100) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Tag)), st.lists(junk, max_size=4)), max_size=10))
def test_messages_of_the_wrong_shape_pass_too(shapes: list[tuple[Tag, list[Any]]]) -> None:
    talk = Talk()
    talk.client(messages.begin(), messages.run("SHOW STREAMS"), messages.pull())
    wire = b"".join(frame(messages.pack_message(Message(tag, fields))) for tag, fields in shapes)
    assert talk.session.from_client(wire) == wire
    assert talk.session.from_server(wire) == wire


@pytest.mark.parametrize(
    ("client", "server"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x03", id="TLS"),
        pytest.param(HANDSHAKE, b"\0\0\0\0", id="no common version"),
        pytest.param(HANDSHAKE, frame(messages.failure(CODE, "no"))[:10], id="FAILURE instead of a version"),
        pytest.param(MANIFEST_HANDSHAKE + b"\0", b"", id="a client that cannot wait"),
        pytest.param(b"", b"SSH-2.0-OpenSSH", id="a server that speaks first"),
    ],
)
def test_what_is_no_bolt_passes_for_good(client: bytes, server: bytes) -> None:
    session = Session("T")
    assert session.from_client(client) == client
    assert session.from_server(server) == server
    assert session.opening.kind is HandshakeKind.RAW
    frames = frame(messages.run("SHOW STREAMS"))
    assert session.from_client(frames) == frames
    assert session.from_server(frames) == frames
