"""The loopback leads to this process and to no other."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.errors import ConnectionLost, QueryRefused
from sluice.host.instance import this_process
from sluice.persistence.own_server import check_process


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
