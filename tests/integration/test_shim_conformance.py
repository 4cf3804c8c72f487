"""What is not ours looks to a client as if the shim were not there."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Message, Proposal, Tag, Version
from sluice.bolt.values import Structure
from tests.hosts import Host, ScriptServer
from tests.integration.shim_cases import (
    BAD,
    BOLT_1,
    GOOD,
    LATE,
    QUERIES,
    VERSIONS,
    Step,
    as_clauses,
    conversations,
    in_bolt_1,
    sequences,
)
from tests.integration.shim_clients import CLIENTS, Client, Refused
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import EXAMPLE, SHOW, OwnHost
from tests.kafka import KafkaBroker

VOLATILE = frozenset(
    ("parsing_time", "planning_time", "plan_execution_time", "cost_estimate", "connection_id", "bookmark", "run_id")
) | {"t_first", "t_last"}
"Metadata that differ from one run to the next."

Seen = list[Any]


@pytest.fixture
def ports(own_host: OwnHost, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """
    Of a host, and of the shim in front of another: what one path does to the graph, the other does not see.

    With no module of ours, whose own vertices would be counted in with the cases'.
    """
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "nothing.py").write_text("import mgp\n", "utf-8")
    direct, proxied = (own_host(query_modules=tmp_path / "modules") for _ in range(2))
    shim = ShimServer(tmp_path, proxied.port)
    shim.start()
    yield direct.port, shim.port
    shim.kill()


@pytest.fixture
def shim_on_host(host: Host, tmp_path: Path) -> Iterator[ShimServer]:
    shim = ShimServer(tmp_path, host.port)
    shim.start()
    yield shim
    shim.kill()


@pytest.fixture
def versions(pytestconfig: pytest.Config) -> tuple[Version, ...]:
    """Those that the host speaks."""
    return VERSIONS if pytestconfig.getoption("--host") == "sandbox" else (*VERSIONS, BOLT_1)


def test_messages_and_closed_connections_are_the_same(ports: tuple[int, int], versions: tuple[Version, ...]) -> None:
    different = []
    count = 0
    for name, version, steps in conversations(versions):
        direct, proxied = (play(port, version, steps) for port in ports)
        count += 1
        if direct != proxied:
            different.append(f"{name}\n{first_difference(direct, proxied)}")
    assert count > 200
    assert not different, "\n".join(different)


CALLS_AND_CLAUSES = {
    GOOD: (messages.run(SHOW), messages.run(" SHOW /* all */ STREAMS ;")),
    LATE: (messages.run("CALL streams.drop('none')"), messages.run("DROP STREAM none")),
    BAD: (BAD, messages.run("START STREAM none LIMIT x BATCHES")),
}
"A query of the sequences -> the CALL to ask the server for instead, and the clause that the shim makes it of."


def test_a_clause_is_answered_as_its_call(
    host: Host,
    shim_on_host: ShimServer,
    versions: tuple[Version, ...],
    kafka: KafkaBroker,
    script_server: ScriptServer,
    new_stream_name: Callable[[], str],
) -> None:
    """In every place of a session, in every version: only the text of a failure is another."""
    create = "CALL streams.create($name, $uri, $topic, $script)"
    words = {"uri": kafka.bootstrap, "topic": kafka.topics.create(), "script": script_server.serve("/t.py", EXAMPLE)}
    for _ in range(5):
        host.run(create, name=new_stream_name(), **words)
    calls, clauses = ({query: both[side] for query, both in CALLS_AND_CLAUSES.items()} for side in (0, 1))
    different = []
    for name, version, steps in sequences((versions[0], versions[-1])):
        if not calls.keys() & {message for step in steps for message in step}:
            continue
        direct = play(host.port, version, as_clauses(steps, calls), texts=False)
        proxied = play(shim_on_host.port, version, as_clauses(steps, clauses), texts=False)
        if direct != proxied:
            different.append(f"{name}, {version}\n{first_difference(direct, proxied)}")
    assert not different, "\n".join(different)


def test_drivers_show_the_same(ports: tuple[int, int]) -> None:
    different = []
    for name in ("neo4j, Python", "neo4j, JavaScript 6", "pymgclient"):
        with CLIENTS[name](ports[0]) as direct, CLIENTS[name](ports[1]) as proxied:
            for query in QUERIES:
                if not query.text or query.parameters.get("x") in (float("inf"), -(2**63)):
                    continue  # a driver takes no empty text; JSON, by which some of them are asked, has no such number
                seen = [outcome(client, query.text, dict(query.parameters)) for client in (direct, proxied)]
                if seen[0] != seen[1]:
                    different.append(f"{name}: {query.text!r:.60}\n  direct  {seen[0]:.300}\n  proxied {seen[1]:.300}")
            for client in (direct, proxied):
                client("MATCH (n) DETACH DELETE n")
    assert not different, "\n".join(different)


HANDSHAKES = {
    "a version that does not exist": [Proposal(9, 9)],
    "no version": [],
    "1": [Proposal(1, 0)],
    "ranges": [Proposal(5, 8, 8), Proposal(4, 4, 2), Proposal(4, 1), Proposal(3, 0)],
}


def test_the_handshake_is_the_same(host: Host, shim_on_host: ShimServer) -> None:
    def answer(port: int, proposals: list[Proposal]) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.settimeout(5)
            plain.sendall(messages.handshake(proposals))
            plain.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                return b"".join(iter(lambda: plain.recv(1000), b""))
            return b"reset"

    for name, proposals in HANDSHAKES.items():
        assert answer(host.port, proposals) == answer(shim_on_host.port, proposals), name


def outcome(client: Client, text: str, parameters: dict[str, Any]) -> str:
    try:
        return repr(client(text, parameters))
    except Refused as error:
        return f"refused: {error}"
    except UnicodeDecodeError as error:  # Memgraph 3 cuts texts of errors within a character, and some drivers stumble
        return f"unreadable: {error}"


def play(port: int, version: Version, steps: list[Step], *, texts: bool = True) -> Seen:
    """All that a client sees that says this, with or without the texts of failures."""
    seen: Seen = []
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.settimeout(20)
        plain.sendall(messages.handshake([Proposal(*version)]))
        assert messages.parse_answer(plain.recv(4)) == version
        buffer = MessageBuffer(1 << 30)
        auth = {"scheme": "none", "principal": "", "credentials": ""}
        login = [messages.hello({"user_agent": "conformance", **auth})]
        if version >= (5, 1):
            login = [messages.hello({"user_agent": "conformance"}), messages.logon(auth)]
        for step in [login, *steps]:
            expected = sum(len(message) > 1 and message[1] != Tag.GOODBYE for message in step)
            spoken = step if version > BOLT_1 else [in_bolt_1(message) for message in step]
            try:
                plain.sendall(b"".join(map(frame, spoken)))
                answers = receive(plain, buffer, expected, texts)
            except OSError:
                answers = ["lost"]
            seen.append(answers)
            if answers[-1:] in (["lost"], ["closed"]):
                # A reset may overtake the last answers, or not: only that it is over counts.
                seen[-1] = ["over"]
                break
    return seen


def receive(plain: socket.socket, buffer: MessageBuffer, expected: int, texts: bool) -> Seen:
    answers: Seen = []
    while expected:
        data = plain.recv(0x10000)
        if not data:
            answers.append("closed")
            break
        for packed in buffer.feed(data):
            # Memgraph 3 cuts texts of errors within a character.
            message = messages.parse(packed, lenient=True)
            answers.append(steady(message, VOLATILE if texts else VOLATILE | {"message"}))
            expected -= message.tag != Tag.RECORD
    return answers


def steady(message: Message, volatile: frozenset[str]) -> str:
    """A message without what differs from run to run."""
    fields = [
        {key: "?" if key in volatile else value for key, value in field.items()} if isinstance(field, dict) else field
        for field in message.fields
    ]
    # NaN is not equal to itself. The sandbox names its folder where there is no such database.
    seen = repr((message.name, fields if message.tag != Tag.RECORD else [ordered(field) for field in fields]))
    return re.sub(r"/host-\d/", "/host/", seen)


def ordered(value: Any) -> Any:
    """Maps and graph values have no order of their own keys."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, Structure):
        return Structure(value.tag, [ordered(field) for field in value.fields])
    return [ordered(item) for item in value] if isinstance(value, list) else value


def first_difference(direct: Seen, proxied: Seen) -> str:
    step = next(number for number, pair in enumerate(zip_longest(direct, proxied)) if pair[0] != pair[1])
    seen = [repr(side[step : step + 1])[:600] for side in (direct, proxied)]
    return f"  step {step}\n  direct  {seen[0]}\n  proxied {seen[1]}"
