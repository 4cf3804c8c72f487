"""What is not ours looks to a client as if the shim were not there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.framing import MessageBuffer, frame
from sluice.bolt.messages import Message, Proposal, Tag, Version
from sluice.bolt.values import Structure
from tests.integration.shim_cases import QUERIES, Step, conversations
from tests.integration.shim_clients import CLIENTS, Client, Refused
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import OwnHost

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


def test_messages_and_closed_connections_are_the_same(ports: tuple[int, int]) -> None:
    different = []
    count = 0
    for name, version, steps in conversations():
        direct, proxied = (play(port, version, steps) for port in ports)
        count += 1
        if direct != proxied:
            different.append(f"{name}\n  direct  {shown(direct)}\n  proxied {shown(proxied)}")
    assert count > 200
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", ["neo4j, Python", "neo4j, JavaScript 6", "pymgclient"])
def test_drivers_show_the_same(name: str, ports: tuple[int, int]) -> None:
    with CLIENTS[name](ports[0]) as direct, CLIENTS[name](ports[1]) as proxied:
        different = []
        for query in QUERIES:
            if not query.text or query.parameters.get("x") in (float("inf"), -(2**63)):
                continue  # a driver takes no empty text; JSON, by which some of them are asked, has no such number
            seen = [outcome(client, query.text, dict(query.parameters)) for client in (direct, proxied)]
            if seen[0] != seen[1]:
                different.append(f"{query.text!r:.60}\n  direct  {seen[0]:.300}\n  proxied {seen[1]:.300}")
        assert not different, "\n".join(different)


HANDSHAKES = {
    "a version that does not exist": [Proposal(9, 9)],
    "no version": [],
    "1": [Proposal(1, 0)],
    "ranges": [Proposal(5, 8, 8), Proposal(4, 4, 2), Proposal(4, 1), Proposal(3, 0)],
}


def test_the_handshake_is_the_same(ports: tuple[int, int]) -> None:
    def answer(port: int, proposals: list[Proposal]) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.settimeout(5)
            plain.sendall(messages.handshake(proposals))
            plain.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                return b"".join(iter(lambda: plain.recv(1000), b""))
            return b"reset"

    for name, proposals in HANDSHAKES.items():
        direct, proxied = (answer(port, proposals) for port in ports)
        assert direct == proxied, name


def outcome(client: Client, text: str, parameters: dict[str, Any]) -> str:
    try:
        return repr(client(text, parameters))
    except Refused as error:
        return f"refused: {error}"


def play(port: int, version: Version, steps: list[Step]) -> Seen:
    """All that a client sees that says this."""
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
            expected = sum(message[1:2] != bytes((Tag.GOODBYE,)) for message in step)
            try:
                plain.sendall(b"".join(map(frame, step)))
                answers = receive(plain, buffer, expected)
            except OSError:
                answers = ["lost"]
            seen.append(answers)
            if answers[-1:] in (["lost"], ["closed"]):
                # A reset may overtake the last answers, or not: only that it is over counts.
                seen[-1] = ["over"]
                break
    return seen


def receive(plain: socket.socket, buffer: MessageBuffer, expected: int) -> Seen:
    answers: Seen = []
    while expected:
        data = plain.recv(0x10000)
        if not data:
            answers.append("closed")
            break
        for packed in buffer.feed(data):
            message = messages.parse(packed)
            answers.append(steady(message))
            expected -= message.tag != Tag.RECORD
    return answers


def steady(message: Message) -> Any:
    """A message without what differs from run to run."""
    fields = [
        {key: "?" if key in VOLATILE else value for key, value in field.items()} if isinstance(field, dict) else field
        for field in message.fields
    ]
    # NaN is not equal to itself.
    return repr((message.name, fields if message.tag != Tag.RECORD else [ordered(field) for field in fields]))


def ordered(value: Any) -> Any:
    """Maps and graph values have no order of their own keys."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, Structure):
        return Structure(value.tag, [ordered(field) for field in value.fields])
    return [ordered(item) for item in value] if isinstance(value, list) else value


def shown(seen: Seen) -> str:
    return repr(seen)[:600]
