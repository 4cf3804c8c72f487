"""ROUTE is answered with the shim's address, in the place where the server's answer would be."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.bolt.messages import Message, Tag
from sluice.bolt.values import Value
from sluice_tools.shim.settings import Address
from tests.unit.shim.test_session import CODE, OK, Talk, unframe

CONTEXT: dict[str, Value] = {"address": "shim.example:7688"}


def route(context: Value = CONTEXT, extra: Value = None) -> bytes:
    return messages.pack_message(Message(Tag.ROUTE, [context, [], extra]))


def table(address: str = "shim.example:7688", **more: str) -> dict[str, Any]:
    servers = [{"addresses": [address], "role": role} for role in ("WRITE", "READ", "ROUTE")]
    return {"rt": {"ttl": 300, "servers": servers, **more}}


@pytest.mark.parametrize(
    ("advertise", "extra", "told"),
    [
        pytest.param(None, {}, table(), id="the address that the client has used"),
        pytest.param(Address("::1", 1), {}, table("[::1]:1"), id="the address that is advertised"),
        pytest.param(None, {"db": "memgraph"}, table(db="memgraph"), id="of a database, in 4.4 and later"),
        pytest.param(None, "memgraph", table(db="memgraph"), id="of a database, in 4.3"),
    ],
)
def test_it_is_answered_with_the_shims_address(advertise: Address | None, extra: Value, told: dict[str, Any]) -> None:
    talk = Talk(advertise=advertise)
    query, discard = talk.client(route(extra=extra))
    assert (query.tag, query.fields) == (Tag.RUN, ["RETURN 1", {}, {"mode": "r"}])
    assert discard.tag == Tag.DISCARD
    assert not talk.session.idle
    assert talk.server(messages.success({"fields": ["1"]}), OK) == [Message(Tag.SUCCESS, [told])]
    assert talk.session.idle


def test_answers_stay_in_their_order() -> None:
    talk = Talk()
    assert len(talk.client(messages.run("RETURN 0"), messages.pull(), route(), messages.run("DROP STREAM s"))) == 5
    talk.answers_pass(OK, messages.record([0]), OK)
    assert talk.server(OK, OK, OK) == [Message(Tag.SUCCESS, [table()]), Message(Tag.SUCCESS, [{}])]
    assert talk.session.idle


REFUSED, IGNORED = messages.failure(CODE, "no"), messages.ignored()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param((REFUSED, IGNORED), REFUSED, id="the server refuses the query"),
        pytest.param((IGNORED, IGNORED), IGNORED, id="something was refused before it"),
        pytest.param((OK, REFUSED), REFUSED, id="the server fails in the end"),
    ],
)
def test_a_server_that_cannot_be_used_is_not_advertised(said: tuple[bytes, ...], told: bytes) -> None:
    for at_once in (True, False):
        talk = Talk()
        talk.client(route())
        parts = [said] if at_once else [(one,) for one in said]
        assert [message for part in parts for message in talk.server(*part)] == unframe(frame(told))
        talk.passes(messages.reset())
        talk.answers_pass(OK)
        assert talk.session.idle


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(route({}), id="no address"),
        pytest.param(route({"address": 7}), id="an address that is none"),
        pytest.param(route("x"), id="no context"),
        pytest.param(messages.pack_message(Message(Tag.ROUTE, [])), id="no fields"),
        pytest.param(route()[:-2], id="cut short"),
    ],
)
def test_the_server_judges_what_cannot_be_answered(packed: bytes) -> None:
    talk = Talk()
    talk.passes(packed)
    talk.answers_pass(REFUSED)
    assert talk.session.idle
