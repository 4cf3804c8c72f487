"""
Which server clients are connected to: the only one, or, of several, the one that is MAIN.

Several are asked for their role over connections of the shim's own. A client's connection does not serve: the server
has to be chosen before the client signs in, and the shim keeps no credentials with which to sign it in elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from sluice.bolt.client import Connection
from sluice.errors import SluiceError
from sluice_tools.shim.settings import Address, ShimSettings

INTERVAL = 1.0
"Seconds between two questions for a server's role."

PATIENCE = 5.0
"Seconds that connecting, signing in and the answer may take each: more than a busy MAIN needs."

ASK = "SHOW REPLICATION ROLE"

MAIN, REPLICA = "main", "replica"

log = logging.getLogger("sluice.shim")


class Role(NamedTuple):
    """What a server is."""

    name: str
    "MAIN or REPLICA; empty if it did not say."
    fault: str = ""
    "Why it did not."

    def __str__(self) -> str:
        return self.name or self.fault


def choose(current: Address | None, roles: Mapping[Address, Role]) -> Address | None:
    """
    The server to connect clients to; None: it is not known.

    A MAIN that fails and comes back may believe that it still is MAIN. So the current one stays as long as it is MAIN,
    and of two that are found at the beginning neither is taken.
    """
    mains = [address for address, role in roles.items() if role.name == MAIN]
    if current in mains:
        return current
    return mains[0] if len(mains) == 1 else None


def abandoned(chosen: Address | None, roles: Mapping[Address, Role]) -> set[Address]:
    """The servers whose clients have to go: another one is MAIN, or it says that it is a replica."""
    return {
        address for address, role in roles.items() if address != chosen and (chosen is not None or role.name == REPLICA)
    }


class Upstreams:
    """
    Follows who is MAIN.

    Threads: the event loop's, and one for each of several servers that asks it for its role.
    """

    def __init__(self, settings: ShimSettings, changed: Callable[[Address | None, set[Address]], None]) -> None:
        """
        Args:
            changed: told, on the loop, when another server is chosen, or none, and which servers' clients have to go.
        """
        several = len(settings.upstreams) > 1
        self.current = None if several else settings.upstreams[0]
        "None: it is not known yet, or no longer."
        self._changed = changed
        self._addresses = settings.upstreams
        self._roles: dict[Address, Role] = {}
        self._known = asyncio.Event()
        if not several:
            self._known.set()
        self._readers = [_RoleReader(address, settings) for address in settings.upstreams] if several else []

    def start(self) -> None:
        """Begin to ask. On the loop."""
        loop = asyncio.get_running_loop()

        def report(address: Address, role: Role) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._heard, address, role)

        for reader in self._readers:
            reader.start(report)

    async def chosen(self) -> Address:
        """The server to connect to; waits until it is known."""
        while self.current is None:
            await self._known.wait()
        return self.current

    def ask_now(self) -> None:
        """A server could not be reached: ask all, before it is time."""
        for reader in self._readers:
            reader.wake()

    def stop(self) -> None:
        """Ask no more."""
        for reader in self._readers:
            reader.stop()

    def _heard(self, address: Address, role: Role) -> None:
        before, self._roles[address] = self._roles.get(address), role
        if role == before or len(self._roles) < len(self._readers):
            return  # nothing is decided before all were asked
        chosen = choose(self.current, self._roles)
        if chosen != self.current or not self._known.is_set():
            self._log(chosen)
        self.current = chosen
        if chosen is None:
            self._known.clear()
        else:
            self._known.set()
        self._changed(chosen, abandoned(chosen, self._roles))

    def _log(self, chosen: Address | None) -> None:
        roles = "; ".join(f"{address}: {self._roles[address]}" for address in self._addresses)
        if chosen is not None:
            log.info("shim: %s is MAIN, and clients are connected to it (%s)", chosen, roles)
        else:
            log.warning("shim: no server to connect clients to: exactly one has to be MAIN (%s)", roles)


class _RoleReader:
    """
    Asks one server for its role, over a connection that it keeps.

    Threads: its own. Any may wake and stop it.
    """

    def __init__(self, address: Address, settings: ShimSettings) -> None:
        self._address = address
        self._settings = settings
        self._connection: Connection | None = None
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread

    def start(self, report: Callable[[Address, Role], None]) -> None:
        self._thread = threading.Thread(target=self._run, args=(report,), name="sluice-role", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def _run(self, report: Callable[[Address, Role], None]) -> None:
        while not self._stopped:
            report(self._address, self._ask())
            self._wake.wait(INTERVAL)
            self._wake.clear()
        self._close()

    def _ask(self) -> Role:
        try:
            if self._connection is None:
                self._connection = self._open()
            rows = self._connection.fetch(ASK, timeout=PATIENCE)
            return Role(str(next(iter(rows[0].values()))).lower())
        except SluiceError as error:
            self._close()
            host, port = self._address
            return Role("", str(error).removeprefix(f"{host}:{port}: "))
        except Exception as error:
            log.exception("shim: a fault in asking %s for its role", self._address)
            self._close()
            return Role("", type(error).__name__)

    def _open(self) -> Connection:
        settings = self._settings
        return Connection.open(
            *self._address,
            username=settings.upstream_user,
            password=settings.upstream_password,
            tls=settings.upstream_tls,
            tls_name=settings.upstream_name,
            timeout=PATIENCE,
            user_agent="sluice-shim",
        )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
