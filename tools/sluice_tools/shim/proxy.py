"""
The shim's I/O: accepts clients, connects each to the server, and lets a `Session` say what passes.

asyncio protocols, on uvloop: of what Python offers, the way that adds least to a query
(`tests/bench/relay.py` measures it). One thread; nothing here waits but the event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable

from sluice_tools.shim.connection import ShimConnection
from sluice_tools.shim.lifecycle import Event
from sluice_tools.shim.peer import make_resetting
from sluice_tools.shim.session import Session
from sluice_tools.shim.settings import Address, ShimSettings
from sluice_tools.shim.statistics import Statistics
from sluice_tools.shim.upstreams import Upstreams

BACKLOG = 1024
"Clients that the system keeps until they are accepted."

ACCEPT_PAUSE = 0.1
"Seconds without accepting after it failed, which it may go on to do, with too many open files for one."

log = logging.getLogger("sluice.shim")


class Proxy:
    """Listens, and has a connection for every client. Threads: the event loop's."""

    def __init__(
        self, settings: ShimSettings, make_session: Callable[[str], Session], statistics: Statistics | None = None
    ) -> None:
        """
        Args:
            make_session: makes the session of a connection of that name.
            statistics: where connections and bytes are counted.
        """
        self.statistics = statistics or Statistics()
        self._settings = settings
        self._make_session = make_session
        self._connections: set[ShimConnection] = set()
        self._numbers = itertools.count(1)
        self._pending: dict[ShimConnection, None] = {}
        "Those that the server has not accepted, the oldest first."
        self._listeners: dict[socket.socket, asyncio.Task[None]] = {}
        self._empty = asyncio.Event()
        self._upstreams = Upstreams(settings, self._upstream_changed)
        self.statistics.upstream = self._upstreams.current
        self._upstream_fault: str | None = None
        self._full = False

    @property
    def connections(self) -> int:
        """How many clients there are."""
        return len(self._connections)

    async def start(self) -> int:
        """
        Listen; the port, which is a free one if the settings say 0. Raises OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        for listener in await _listeners(loop, self._settings.listen):
            self._listeners[listener] = loop.create_task(self._listen(listener, loop))
        self._upstreams.start()
        return int(next(iter(self._listeners)).getsockname()[1])

    async def stop(self) -> None:
        """Accept no more, let what is under way be answered, `grace` seconds at most, and close everything."""
        self._upstreams.stop()
        for listener, task in self._listeners.items():
            task.cancel()
            await asyncio.wait([task])
            listener.close()
        for connection in list(self._connections):
            connection.leave()
        try:
            await asyncio.wait_for(self._wait_until_empty(), self._settings.grace)
        except asyncio.TimeoutError:
            log.warning("shim: %d connections cut off", len(self._connections))
            for connection in list(self._connections):
                connection.feed(Event.ABORT)
            await self._wait_until_empty()

    def accepted(self, connection: ShimConnection) -> None:
        """The server has accepted a client."""
        self._pending.pop(connection, None)

    def forget(self, connection: ShimConnection) -> None:
        """A client is gone."""
        self._connections.discard(connection)
        self._pending.pop(connection, None)
        self.statistics.open = len(self._connections)
        if not self._connections:
            self._empty.set()

    async def upstream(self) -> Address:
        """The server to connect a client to, once it is known."""
        return await self._upstreams.chosen()

    def upstream_is(self, fault: str | None) -> None:
        """How connecting to the server went; None: well. Logged when it changes."""
        self.statistics.refused_for_server += fault is not None
        server = self.statistics.upstream
        if fault is not None:
            self._upstreams.ask_now()
        if server is None:
            return  # that none is MAIN has been logged
        if fault != self._upstream_fault:
            if fault is None:
                log.info("shim: %s can be reached again", server)
            else:
                log.warning("shim: %s cannot be reached: %s", server, fault)
        self._upstream_fault = fault

    def _upstream_changed(self, chosen: Address | None, abandoned: set[Address]) -> None:
        self.statistics.upstream = chosen
        for connection in list(self._connections):
            if connection.upstream in abandoned:
                log.debug("[#%s]  closed: %s is not MAIN", connection.name, connection.upstream)
                connection.retire(self._settings.grace)

    async def _listen(self, listener: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:  # of a client that is gone again, or too many open files
                log.warning("shim: a client could not be accepted: %s", error.strerror or error)
                await asyncio.sleep(ACCEPT_PAUSE)
            else:
                self._accept(client, loop)

    def _accept(self, client: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        full = len(self._connections) >= self._settings.max_connections
        if full and not self._full:
            log.warning("shim: %d connections, no more are accepted", len(self._connections))
        self._full = full
        self.statistics.accepted += 1
        if full:
            self.statistics.refused_for_limit += 1
            make_resetting(client)
            client.close()
            return
        if len(self._pending) >= self._settings.max_pending:
            oldest = next(iter(self._pending))
            self._pending.pop(oldest)
            log.debug("[#%s]  closed: too many clients have not signed in", oldest.name)
            oldest.feed(Event.ABORT)
        name = f"{next(self._numbers):04X}"
        connection = ShimConnection(self, name, self._make_session(name))
        self._connections.add(connection)
        self._pending[connection] = None
        self.statistics.open = len(self._connections)
        connection.accept(client, self._settings, loop)

    async def _wait_until_empty(self) -> None:
        self._empty.clear()
        if self._connections:
            await self._empty.wait()


async def _listeners(loop: asyncio.AbstractEventLoop, address: Address) -> list[socket.socket]:
    """
    A listening socket for each address that the host's name stands for.

    Accepted one by one rather than by `create_server`, so that a client counts from the moment it is accepted and not
    from the end of its TLS handshake. Raises OSError: the name is unknown, or an address cannot be listened on.
    """
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, (host, port, *_) in dict.fromkeys(found):
            # A free port that was asked for is the same on every address.
            taken = listeners[0].getsockname()[1] if listeners and not port else port
            listener = socket.create_server((host, taken), family=family, backlog=BACKLOG)
            listener.setblocking(False)
            listeners.append(listener)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners
