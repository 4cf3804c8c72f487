"""
The ways from a client to the server that `relay.py` compares, each a process of its own but the direct one.

Run as a program, it is one of the relays in Python:

    python -m tests.bench.relay_paths shim-uvloop LISTEN_PORT UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import uvloop

from sluice_tools.shim import service
from sluice_tools.shim.settings import Address, ShimSettings

HOST = "127.0.0.1"
REPOSITORY = Path(__file__).resolve().parent.parent.parent
READ_SIZE = 0x40000


class BareEnd(asyncio.Protocol):
    """Passes what it receives, and does nothing else: what protocols cost at the least."""

    def __init__(self, upstream: int | None, other: BareEnd | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.upstream = upstream
        self.other = other
        self.early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.upstream is None:
            assert self.other is not None
            self.other.other = self
            self.transport.write(self.other.early)
        else:
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(loop.create_connection(lambda: BareEnd(None, self), HOST, self.upstream))

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early += data
        else:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


def run_protocols(loop: asyncio.AbstractEventLoop, listen: int, upstream: int) -> None:
    loop.run_until_complete(loop.create_server(lambda: BareEnd(upstream), HOST, listen))
    loop.run_forever()


def run_streams(loop: asyncio.AbstractEventLoop, listen: int, upstream: int) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_SIZE):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(HOST, upstream)
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    loop.run_until_complete(asyncio.start_server(accept, HOST, listen))
    loop.run_forever()


def run_threads(listen: int, upstream: int) -> None:
    """Two threads a connection."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(READ_SIZE):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    listener = socket.create_server((HOST, listen))
    while True:
        client, _ = listener.accept()
        server = socket.create_connection((HOST, upstream))
        for plain in (client, server):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        threading.Thread(target=pump, args=(server, client), daemon=True).start()


def run_shim(listen: int, upstream: int) -> None:
    service.serve(ShimSettings(Address(HOST, listen), (Address(HOST, upstream),)))


def run_shim_without_uvloop(listen: int, upstream: int) -> None:
    vars(service)["uvloop"] = None  # as if it were not installed
    run_shim(listen, upstream)


RELAYS: Mapping[str, Callable[[int, int], None]] = {
    "shim": run_shim,
    "shim-asyncio": run_shim_without_uvloop,
    "bare-uvloop-protocols": lambda listen, upstream: run_protocols(uvloop.new_event_loop(), listen, upstream),
    "bare-asyncio-protocols": lambda listen, upstream: run_protocols(asyncio.new_event_loop(), listen, upstream),
    "bare-uvloop-streams": lambda listen, upstream: run_streams(uvloop.new_event_loop(), listen, upstream),
    "bare-threads": run_threads,
}
"Name -> what runs it in this process."

PATHS = ("direct", "socat", *RELAYS)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def command(name: str, listen: int, upstream: int) -> list[str]:
    if name != "socat":
        return [sys.executable, "-m", "tests.bench.relay_paths", name, str(listen), str(upstream)]
    if shutil.which("socat") is None:
        raise SystemExit("socat is not installed; leave it out with --paths")
    # As fast as it goes: no delay for small packets, a buffer as big as the shim's.
    address = f"TCP-LISTEN:{listen},bind={HOST},fork,reuseaddr,nodelay,backlog=64"
    return ["socat", "-b", str(READ_SIZE), address, f"TCP:{HOST}:{upstream},nodelay"]


@contextlib.contextmanager
def open_path(name: str, upstream: int) -> Iterator[tuple[int, int | None]]:
    """The port to talk to, and the process id of the relay; None for the direct way."""
    if name == "direct":
        yield upstream, None
        return
    listen = free_port()
    process = subprocess.Popen(command(name, listen, upstream), cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((HOST, listen)):
                break
            time.sleep(0.05)
        yield listen, process.pid
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    RELAYS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
