"""The loopback leads to this process and to no other."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from sluice.errors import ConnectionLost, QueryRefused
from sluice.host import server_process
from sluice.host.server_process import this_process
from sluice.host.settings import Settings
from sluice.persistence import own_server
from sluice.persistence.own_server import check_process, open_loopback


class Server:
    """Answers which process it is."""

    def __init__(self, process: str | QueryRefused) -> None:
        self.process = process

    def fetch(self, query: str) -> list[dict[str, Any]]:
        if isinstance(self.process, QueryRefused):
            raise self.process
        return [{"process": self.process}]


def check(process: str | QueryRefused) -> None:
    server: Any = Server(process)
    check_process(server, "127.0.0.1:7687")


def test_this_process_is_known_and_stays_the_same():
    check(this_process())
    assert this_process() == this_process()


@pytest.mark.parametrize(
    ("process", "why"),
    [
        ("0123456789abcdef", "another server answers at 127.0.0.1:7687; SLUICE_LOOPBACK_PORT"),
        (
            QueryRefused("There is no procedure named 'streams.instance'.", code="Memgraph.ClientError.MemgraphError"),
            "cannot say which process it is: There is",
        ),
    ],
    ids=["another", "without the module"],
)
def test_another_server_is_not_ours_for_now(process, why):
    with pytest.raises(ConnectionLost, match=why) as raised:
        check(process)
    assert raised.value.retryable


def test_a_place_that_is_ours_is_asked_once_and_another_each_time(monkeypatch):
    """A server that is asked cannot reload its modules meanwhile, so each reload and each worker asking is too much."""
    asked: list[str] = []
    answers = {"127.0.0.1:1": this_process(), "127.0.0.1:2": "another"}

    class Loopback:
        def __init__(self, settings: Settings) -> None:
            self.place = f"{settings.loopback_host}:{settings.loopback_port}"
            self.connection = SimpleNamespace(close=lambda: None)

        def fetch(self, _query: str) -> list[dict[str, Any]]:
            asked.append(self.place)
            return [{"process": answers[self.place]}]

    monkeypatch.setattr(own_server, "Loopback", Loopback)
    monkeypatch.setattr(sys, server_process.PLACES, set(), raising=False)
    for _ in range(3):
        open_loopback(Settings(loopback_port=1))
        with pytest.raises(ConnectionLost, match="another server"):
            open_loopback(Settings(loopback_port=2))
    assert asked == ["127.0.0.1:1", *["127.0.0.1:2"] * 3]
