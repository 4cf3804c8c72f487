"""One admin client for all streams that would make the same, until it is given up."""

from __future__ import annotations

from sluice.brokers import clients
from sluice.values.configuration import Configuration


def test_streams_share_an_admin_client_until_one_gives_it_up():
    shared = clients.admin("a", "localhost:1", Configuration())
    assert clients.admin("b", "localhost:1", Configuration()) is shared
    assert clients.admin("b", "localhost:2", Configuration()) is not shared
    clients.forget(shared)
    new = clients.admin("a", "localhost:1", Configuration())
    assert new is not shared
    clients.forget(shared)  # another stream gives it up a moment later
    assert clients.admin("b", "localhost:1", Configuration()) is new
