from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from sluice.errors import SettingError
from sluice_tools.shim.service import describe, serve
from sluice_tools.shim.settings import Address, ShimSettings

HERE = Address("127.0.0.1", 7688)
THERE = (Address("::1", 7687),)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("127.0.0.1:7687", Address("127.0.0.1", 7687), id="number"),
        pytest.param("memgraph.local:1", Address("memgraph.local", 1), id="name"),
        pytest.param("[::1]:7687", Address("::1", 7687), id="IPv6"),
        pytest.param("0.0.0.0:0", Address("0.0.0.0", 0), id="any"),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("", "is not an address", id="empty"),
        pytest.param("localhost", "is not an address", id="no port"),
        pytest.param(":7687", "is not an address", id="no host"),
        pytest.param("::1:7687", "is not an address", id="IPv6 without brackets"),
        pytest.param("[localhost]:7687", "is not an address", id="a name in brackets"),
        pytest.param("host:bolt", "is not an address", id="a port that is no number"),
        pytest.param("host:-1", "is not an address", id="negative"),
        pytest.param("host:\u0661", "is not an address", id="another script's digit"),
        pytest.param("host:65536", "port 65536 is above 65535", id="too big"),
    ],
)
def test_what_is_no_address_is_an_error(text: str, error: str) -> None:
    with pytest.raises(SettingError, match=error):
        Address.parse(text)


@pytest.mark.parametrize("name", ["max_connections", "connect_timeout", "sign_in_timeout", "grace"])
def test_limits_are_above_zero(name: str) -> None:
    zero: dict[str, Any] = {name: 0}
    with pytest.raises(SettingError, match=f"{name} is 0"):
        ShimSettings(HERE, THERE, **zero)


def test_it_says_what_it_does() -> None:
    plain = describe(ShimSettings(HERE, THERE), 1234)
    assert "listening on 127.0.0.1:1234 (plain), passing everything to [::1]:7687 (plain)" in plain
    context = ssl.create_default_context()
    both = describe(ShimSettings(HERE, THERE, listen_tls=context, upstream_tls=context), 1234)
    assert "127.0.0.1:1234 (with TLS), passing everything to [::1]:7687 (with TLS)" in both


def test_an_address_in_use_is_an_error_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(SettingError, match=f"cannot listen on {address}: .*in use"):
            serve(ShimSettings(address, THERE))


def test_more_connections_than_the_system_has_files_for_are_an_error() -> None:
    with pytest.raises(SettingError, match="open files are needed"):
        serve(ShimSettings(HERE, THERE, max_connections=2**40))
