"""The shim as a process: `serve` runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import uvloop

from sluice.errors import SettingError
from sluice_tools.shim.native_streams import NativeStreams
from sluice_tools.shim.proxy import Proxy
from sluice_tools.shim.session import Session
from sluice_tools.shim.settings import ShimSettings
from sluice_tools.shim.statistics import Statistics

log = logging.getLogger("sluice.shim")

_DESCRIPTORS = 64
"Files that are open beside the two sockets of every connection."


Watch = Callable[[Statistics], AbstractContextManager[None]]
"Lets somebody look at the shim's counts, for as long as the context lasts."


def serve(
    settings: ShimSettings, ready: Callable[[int], None] | None = None, watch: Watch = lambda _: nullcontext()
) -> None:
    """
    Run the shim until SIGTERM or SIGINT; then stop as `Proxy.stop` does, or at once at the second signal.

    Args:
        ready: called with the port once clients are accepted.
        watch: entered before clients are accepted; what it raises is raised.

    Raises:
        SettingError: the address cannot be listened on, or the system allows too few open files.

    Threads: the main thread only, for the signals.
    """
    _allow_files(2 * settings.max_connections + _DESCRIPTORS)
    loop = uvloop.new_event_loop()
    try:
        statistics = Statistics()
        with watch(statistics):
            loop.run_until_complete(_serve(settings, ready, statistics))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())  # which looks up the server's name
        loop.close()


async def _serve(settings: ShimSettings, ready: Callable[[int], None] | None, statistics: Statistics) -> None:
    natives = NativeStreams()
    proxy = Proxy(settings, lambda name: Session(name, statistics, natives, settings.advertise), statistics)
    loop = asyncio.get_running_loop()
    told, at_once = asyncio.Event(), asyncio.Event()

    def tell() -> None:
        (at_once if told.is_set() else told).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    try:
        port = await proxy.start()
    except OSError as error:
        raise SettingError(f"cannot listen on {settings.listen}: {error.strerror or error}") from error
    # What is there by now stays: the collector need not walk it while queries wait.
    gc.collect()
    gc.freeze()
    log.info("%s", describe(settings, port))
    if ready is not None:
        ready(port)
    await told.wait()
    log.info("shim: stopping, %d connections", proxy.connections)
    stopping = asyncio.ensure_future(proxy.stop())
    hurry = asyncio.ensure_future(at_once.wait())
    await asyncio.wait((stopping, hurry), return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, hurry):
        task.cancel()
    log.info("shim: stopped")


def describe(settings: ShimSettings, port: int) -> str:
    """What the shim does, in a line."""
    listen = settings.listen._replace(port=port)
    towards_clients = "with TLS" if settings.listen_tls else "plain"
    towards_server = "with TLS" if settings.upstream_tls else "plain"
    return (
        f"shim: listening on {listen} ({towards_clients}), passing everything to {settings.upstream}"
        f"{', whichever is MAIN' if len(settings.upstreams) > 1 else ''} ({towards_server}) as it is, but for stream "
        f"clauses, which become CALL streams.*; "
        f"at most {settings.max_connections} connections"
    )


def _allow_files(needed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise SettingError(f"{needed} open files are needed for that many connections, the system allows {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
