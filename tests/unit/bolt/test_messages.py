from __future__ import annotations

import pytest

from sluice.bolt import messages
from sluice.bolt.messages import Message, Proposal, Tag, Version
from sluice.errors import LocalProtocolError, RemoteProtocolError


@pytest.mark.parametrize(
    ("packed", "wire"),
    [
        pytest.param(messages.hello({"user_agent": "x"}), "B101A18A757365725F6167656E748178", id="HELLO"),
        pytest.param(messages.logon({"scheme": "none"}), "B16AA186736368656D65846E6F6E65", id="LOGON"),
        pytest.param(messages.goodbye(), "B002", id="GOODBYE"),
        pytest.param(messages.reset(), "B00F", id="RESET"),
        pytest.param(messages.begin(), "B111A0", id="BEGIN"),
        pytest.param(messages.commit(), "B012", id="COMMIT"),
        pytest.param(messages.rollback(), "B013", id="ROLLBACK"),
        pytest.param(messages.run("Q"), "B3108151A0A0", id="RUN"),
        pytest.param(messages.run("Q", {"x": 1}, {"db": "m"}), "B3108151A1817801A182646281" + "6D", id="RUN with all"),
        pytest.param(messages.pull(), "B13FA1816EFF", id="PULL"),
        pytest.param(messages.pull(10, 2), "B13FA2816E0A8371696402", id="PULL with qid"),
        pytest.param(messages.discard(), "B12FA1816EFF", id="DISCARD"),
        pytest.param(messages.success({"x": 1}), "B170A1817801", id="SUCCESS"),
        pytest.param(messages.failure("C", "M"), "B17FA284636F64658143876D6573736167658" + "14D", id="FAILURE"),
        pytest.param(messages.ignored(), "B07E", id="IGNORED"),
        pytest.param(messages.record([1, None]), "B1719201C0", id="RECORD"),
    ],
)
def test_messages_have_the_bytes_of_the_protocol(packed: bytes, wire: str) -> None:
    assert packed.hex().upper() == wire
    message = messages.parse(packed)
    assert messages.pack_message(message) == packed
    assert message.tag == packed[1]


def test_an_error_in_a_parameter_names_the_parameter() -> None:
    with pytest.raises(LocalProtocolError, match=r"^rows\[3\]\.x: Bolt cannot represent"):
        messages.run("RETURN $rows", {"rows": [0, 0, 0, {"x": (1, 2)}]})


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xb1", b"\xb0"])
def test_what_is_no_structure_is_no_message(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        messages.parse(data)


def test_messages_have_names() -> None:
    assert Message(0x10, []).name == "RUN"
    assert Message(0x66, []).tag == Tag.ROUTE
    assert Message(0x33, []).name == "33"


def test_the_handshake_states_up_to_four_versions() -> None:
    proposals = [Proposal(5, 2), Proposal(4, 3, 1), Proposal(3, 0)]
    data = messages.handshake(proposals)
    assert data.hex().upper() == "6060B017" + "00000205" + "00010304" + "00000003" + "00000000"
    assert messages.parse_handshake(data) == proposals
    with pytest.raises(LocalProtocolError, match="6 versions proposed"):
        messages.handshake(proposals * 2)


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost", bytes(20), messages.MAGIC])
def test_what_is_no_handshake_is_the_clients_fault(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        messages.parse_handshake(data)


@pytest.mark.parametrize(
    ("wire", "version"),
    [
        pytest.param("00000205", Version(5, 2), id="5.2"),
        pytest.param("00000001", Version(1, 0), id="1"),
        pytest.param("00000000", None, id="none"),
    ],
)
def test_the_server_answers_a_version(wire: str, version: Version | None) -> None:
    assert messages.parse_answer(bytes.fromhex(wire)) == version
    assert messages.answer(version).hex() == wire


@pytest.mark.parametrize(("data", "text"), [(b"HTTP", "speaks HTTP"), (b"\1\0\0\5", "01000005"), (b"\0", "00")])
def test_another_answer_is_the_servers_fault(data: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        messages.parse_answer(data)


@pytest.mark.parametrize(
    ("version", "included"),
    [((4, 3), True), ((4, 2), True), ((4, 1), False), ((4, 4), False), ((5, 3), False)],
)
def test_a_range_includes_the_versions_below(version: tuple[int, int], included: bool) -> None:
    assert Proposal(4, 3, 1).includes(Version(*version)) is included
