"""The shim's proxy on a thread of its own, for tests that speak to it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import uvloop

from sluice_tools.shim.proxy import Proxy
from sluice_tools.shim.session import Session
from sluice_tools.shim.settings import Address, ShimSettings

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


PATIENCE = 30.0  # seconds, on a machine that does other things too


class RunningShim:
    """A context manager: listens on a free port of 127.0.0.1 when entered, stops when left."""

    def __init__(self, upstream: int, loop: str = "uvloop", host: str = "127.0.0.1", **settings: Any) -> None:
        """
        Args:
            others: ports of further servers.
        """
        ports = [upstream, *settings.pop("others", ())]
        upstreams = tuple(Address(host, port) for port in ports)
        self.settings = ShimSettings(Address("127.0.0.1", 0), upstreams, **settings)
        self.port = 0
        self._loop = LOOPS[loop]()
        self._proxy: Proxy
        self._thread = threading.Thread(target=self._run, name="shim")
        self._listening = threading.Event()
        self._stop: asyncio.Event
        self._error: BaseException | None = None
        self.loop_errors: list[dict[str, Any]] = []
        "What the event loop had to complain of."

    @property
    def connections(self) -> int:
        return self._proxy.connections

    def stop(self) -> None:
        """As at SIGTERM; returns when the shim has stopped."""
        self.begin_to_stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the shim does not stop"
        assert self._error is None, self._error
        assert not self.loop_errors, self.loop_errors

    def begin_to_stop(self) -> None:
        """As at SIGTERM. One that has stopped by itself, or is about to have, has closed its loop."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)

    def __enter__(self) -> RunningShim:
        self._thread.start()
        assert self._listening.wait(PATIENCE), "the shim does not listen"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
            self._loop.run_until_complete(self._main())
            # What closing has put off, such as a transport's last callback.
            self._loop.run_until_complete(asyncio.sleep(0))
        except BaseException as error:
            self._error = error
        finally:
            self._listening.set()
            self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        self._proxy = Proxy(self.settings, lambda name: Session(name, advertise=self.settings.advertise))
        self.port = await self._proxy.start()
        self._listening.set()
        await self._stop.wait()
        await self._proxy.stop()
        await asyncio.sleep(0)  # in which what has been cancelled ends
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"the shim left tasks: {left}"
