"""
The shim's I/O: accepts clients, connects each to the server, and lets a `Session` say what passes.

asyncio protocols, on uvloop: of what Python offers, the way that adds least to a query
(`tests/bench/relay.py` measures it). One thread; nothing here waits but the event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable

from sluice_tools.shim.connection import Peer, ShimConnection
from sluice_tools.shim.session import Session
from sluice_tools.shim.settings import ShimSettings
from sluice_tools.shim.statistics import Statistics

log = logging.getLogger("sluice.shim")


class Proxy:
    """
    Listens, and has a link for every client.

    Threads: the event loop's.
    """

    def __init__(
        self, settings: ShimSettings, make_session: Callable[[str], Session], tally: Statistics | None = None
    ) -> None:
        """
        Args:
            make_session: makes the session of a connection of that name.
            tally: where connections and bytes are counted.
        """
        self.tally = tally or Statistics()
        self._settings = settings
        self._make_session = make_session
        self._links: set[ShimConnection] = set()
        self._numbers = itertools.count(1)
        self._listener: asyncio.AbstractServer | None = None
        self._empty = asyncio.Event()
        self._upstream_fault: str | None = None
        self._full = False

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return len(self._links)

    async def start(self) -> int:
        """
        Listen; the port, which is a free one if the settings say 0.

        Raises:
            OSError: the address cannot be listened on.
        """
        host, port = self._settings.listen
        loop = asyncio.get_running_loop()
        tls = self._settings.listen_tls
        limit = self._settings.handshake_timeout if tls else None
        self._listener = await loop.create_server(
            self._accept, host, port, ssl=tls, ssl_handshake_timeout=limit, backlog=1024
        )
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Accept no more, let what is under way be answered, `grace` seconds at most, and close everything."""
        if self._listener is not None:
            self._listener.close()
        for link in list(self._links):
            link.leave()
        try:
            await asyncio.wait_for(self._wait_until_empty(), self._settings.grace)
        except asyncio.TimeoutError:
            log.warning("shim: %d connections cut off", len(self._links))
            for link in list(self._links):
                link.abort()
            await self._wait_until_empty()

    def admit(self, link: ShimConnection) -> None:
        """A client is there."""
        full = len(self._links) >= self._settings.max_connections
        if full and not self._full:
            log.warning("shim: %d connections, no more are accepted", len(self._links))
        self._full = full
        self._links.add(link)
        self.tally.open = len(self._links)
        self.tally.accepted += 1
        if full:
            self.tally.refused_for_limit += 1
            link.refuse()
        else:
            link.connect(self._settings, asyncio.get_running_loop())

    def forget(self, link: ShimConnection) -> None:
        """A client is gone."""
        self._links.discard(link)
        self.tally.open = len(self._links)
        if not self._links:
            self._empty.set()

    def upstream_is(self, fault: str | None) -> None:
        """How connecting to the server went; None: well. Logged when it changes."""
        self.tally.refused_for_server += fault is not None
        if fault != self._upstream_fault:
            if fault is None:
                log.info("shim: %s can be reached again", self._settings.upstream)
            else:
                log.warning("shim: %s cannot be reached: %s", self._settings.upstream, fault)
        self._upstream_fault = fault

    def _accept(self) -> Peer:
        name = f"{next(self._numbers):04X}"
        return ShimConnection(self, name, self._make_session(name)).client

    async def _wait_until_empty(self) -> None:
        self._empty.clear()
        if self._links:
            await self._empty.wait()
