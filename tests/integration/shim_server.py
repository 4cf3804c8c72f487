"""The shim as a process, by its command, for the tests that talk through it."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.hosts.host import REPOSITORY
from tests.ports import free_port
from tests.server import Server


class ShimServer(Server):
    """`sluice shim` in front of the servers at `upstreams`, on a port of its own."""

    name = "the shim"
    folder = REPOSITORY
    stop_timeout = 15.0

    def __init__(self, folder: Path, upstreams: int | Sequence[int], *arguments: str) -> None:
        super().__init__(folder / "shim.log")
        self.port = free_port()
        self.uri = f"bolt://127.0.0.1:{self.port}"
        self._upstreams = [upstreams] if isinstance(upstreams, int) else upstreams
        self._arguments = arguments

    def command(self) -> Sequence[str | Path]:
        return [
            sys.executable,
            "-c",
            "from sluice_tools.cli import app; app()",  # what the installed `sluice` does
            "shim",
            f"--listen=127.0.0.1:{self.port}",
            "--upstream=" + ",".join(f"127.0.0.1:{port}" for port in self._upstreams),
            *self._arguments,
        ]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(REPOSITORY / "query_modules")}

    def answers(self) -> bool:
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        return True

    @property
    def descriptors(self) -> int:
        """How many files it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def memory(self) -> float:
        """Its resident memory, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024
