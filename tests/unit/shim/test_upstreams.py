"""Several servers: clients are connected to the one that is MAIN, and to the next one after a fail-over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import neo4j
import pytest

from sluice.bolt.client import Connection
from sluice.errors import ConnectionLost, QueryRefused
from sluice_tools.shim.settings import Address
from sluice_tools.shim.upstreams import MAIN, REPLICA, Role, abandoned, choose
from tests.eventually import eventually
from tests.unit.shim.member import Member
from tests.unit.shim.running_shim import RunningShim

A, B, C = (Address("127.0.0.1", port) for port in (1, 2, 3))
GONE = Role("", "Connection refused")


@pytest.mark.parametrize(
    ("current", "roles", "chosen", "leaving"),
    [
        pytest.param(None, {A: Role(MAIN), B: Role(REPLICA)}, A, {B}, id="the one that is MAIN"),
        pytest.param(A, {A: Role(REPLICA), B: Role(MAIN)}, B, {A}, id="they have changed roles"),
        pytest.param(A, {A: GONE, B: Role(REPLICA)}, None, {B}, id="the MAIN is lost, and no replica promoted yet"),
        pytest.param(A, {A: GONE, B: Role(MAIN)}, B, {A}, id="a replica is promoted"),
        pytest.param(B, {A: Role(MAIN), B: Role(MAIN)}, B, {A}, id="the old MAIN is back, and believes it still is"),
        pytest.param(None, {A: Role(MAIN), B: Role(MAIN)}, None, set(), id="two say so, and none of them is known"),
        pytest.param(A, {A: Role(REPLICA), B: GONE}, None, {A}, id="demoted, and no other is there"),
        pytest.param(A, {A: GONE, B: Role(MAIN), C: Role(MAIN)}, None, set(), id="two are promoted"),
    ],
)
def test_the_server_that_is_chosen(
    current: Address | None, roles: dict[Address, Role], chosen: Address | None, leaving: set[Address]
) -> None:
    assert choose(current, roles) == chosen
    assert abandoned(chosen, roles) == leaving


@pytest.fixture
def members() -> Iterator[tuple[Member, Member]]:
    with Member("one", MAIN) as one, Member("two", REPLICA) as two:
        yield one, two


def shim_of(*members: Member, **settings: Any) -> RunningShim:
    first, *others = (member.port for member in members)
    return RunningShim(first, others=others, **settings)


def name_of(connection: Connection) -> Any:
    return connection.fetch("RETURN 1")[0]["server"]


def fail_over(old: Member, new: Member) -> None:
    new.role, old.role = MAIN, REPLICA


def test_clients_get_to_the_main_wherever_it_is_in_the_list(members: tuple[Member, Member]) -> None:
    one, two = members
    for order in (members, reversed(members)):
        with shim_of(*order) as shim, Connection.open("127.0.0.1", shim.port) as connection:
            assert name_of(connection) == "one"


def test_after_a_fail_over_old_connections_are_closed_and_new_ones_follow(members: tuple[Member, Member]) -> None:
    one, two = members
    with shim_of(one, two) as shim, closing(Connection.open("127.0.0.1", shim.port)) as old:
        assert name_of(old) == "one"
        fail_over(one, two)
        eventually(lambda: shim.connections, equals=0)
        with pytest.raises(ConnectionLost):
            name_of(old)
        with Connection.open("127.0.0.1", shim.port) as connection:
            assert name_of(connection) == "two"


def test_what_is_under_way_at_a_server_that_was_demoted_is_answered_or_cut_off(members: tuple[Member, Member]) -> None:
    one, two = members
    with shim_of(one, two, grace=0.3) as shim, closing(Connection.open("127.0.0.1", shim.port)) as old:
        asked = one.asked
        eventually(lambda: one.asked > asked)
        fail_over(one, two)
        one.held.clear()  # and it does not answer any more, not even for its role

        def ask() -> None:
            with pytest.raises(ConnectionLost):
                name_of(old)

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(20)
        assert not asking.is_alive()


def test_while_no_server_is_main_clients_wait_and_then_are_reset(
    members: tuple[Member, Member], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = members
    one.role = REPLICA
    with caplog.at_level(logging.INFO), shim_of(one, two, connect_timeout=3.0) as shim:
        with pytest.raises(ConnectionLost, match="reset by peer"):
            Connection.open("127.0.0.1", shim.port)
        promoting = threading.Timer(0.1, lambda: setattr(two, "role", MAIN))
        promoting.start()
        with Connection.open("127.0.0.1", shim.port) as connection:
            assert name_of(connection) == "two"
        promoting.join()
    said = [record.getMessage() for record in caplog.records if record.name == "sluice.shim"]
    roles = f"(127.0.0.1:{one.port}: replica; 127.0.0.1:{two.port}: {{}})"
    assert said[0] == "shim: no server to connect clients to: exactly one has to be MAIN " + roles.format("replica")
    assert said[-1] == f"shim: 127.0.0.1:{two.port} is MAIN, and clients are connected to it {roles.format('main')}"


def test_the_shim_signs_in_to_ask_and_says_why_it_cannot(caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as ending:
        one, two = (ending.enter_context(Member(name, MAIN, "s3cret")) for name in ("one", "two"))
        two.role = REPLICA
        settings: dict[str, Any] = {"upstream_user": "shim", "upstream_password": "wrong", "connect_timeout": 1.0}
        with caplog.at_level(logging.WARNING), shim_of(one, two, **settings) as shim, pytest.raises(ConnectionLost):
            Connection.open("127.0.0.1", shim.port, username="me", password="s3cret")
        assert f"127.0.0.1:{one.port}: Authentication failure" in caplog.text
        assert "s3cret" not in caplog.text
        with shim_of(one, two, **{**settings, "upstream_password": "s3cret"}) as shim:
            with Connection.open("127.0.0.1", shim.port, username="me", password="s3cret") as connection:
                assert name_of(connection) == "one"
            # A client's own credentials count for the client.
            with pytest.raises(QueryRefused, match="Authentication failure"):
                Connection.open("127.0.0.1", shim.port, username="me", password="wrong")


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_drivers_managed_transactions_survive_a_fail_over(members: tuple[Member, Member], scheme: str) -> None:
    one, two = members
    uri = "{}://127.0.0.1:{}"
    with shim_of(one, two) as shim:
        driver = neo4j.GraphDatabase.driver(uri.format(scheme, shim.port), telemetry_disabled=True)

        def write(transaction: neo4j.ManagedTransaction, number: int) -> str:
            return str(transaction.run(f"CREATE ({number})").single(strict=True)["server"])

        with driver, driver.session() as session:
            assert session.execute_write(write, 1) == "one"
            one.kill()
            two.role = MAIN
            assert session.execute_write(write, 2) == "two"
            one.role = REPLICA
            one.start()
            # Back again, planned: the driver has an idle connection, which is closed.
            fail_over(two, one)
            eventually(lambda: shim.connections, equals=0)
            assert session.execute_write(write, 3) == "one"
        assert (one.written, two.written) == (["CREATE (1)", "CREATE (3)"], ["CREATE (2)"])


def test_a_driver_with_neo4j_is_led_to_the_advertised_address(members: tuple[Member, Member]) -> None:
    one, two = members
    with shim_of(one) as inner, shim_of(two, advertise=Address("127.0.0.1", inner.port)) as outer:
        # The outer shim leads to the inner one, which has another server.
        driver = neo4j.GraphDatabase.driver(f"neo4j://127.0.0.1:{outer.port}", telemetry_disabled=True)
        with driver, driver.session() as session:
            assert session.run("RETURN 1").single(strict=True)["server"] == "one"
