"""A local Memgraph binary as the host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tests.hosts.host import HostOptions, ServerHost
from tests.ports import free_port
from tests.server import ServerFailed


class MemgraphHost(ServerHost):
    """
    `memgraph`, with the durability of its package's configuration file, and every transaction flushed.

    Memgraph keeps what it has not flushed in its own memory, so that SIGKILL would lose it.
    """

    name = "Memgraph"
    is_memgraph = True

    def __init__(self, folder: Path, binary: Path, python_path: Path | None, options: HostOptions) -> None:
        """
        Args:
            binary: the `memgraph` to run; `mgp.py` is in `python_support` beside it.
            python_path: folder with confluent_kafka for Memgraph's Python; None takes what this Python has.
        """
        super().__init__(folder, options)
        self._binary = binary
        self._python_path = python_path
        self._packages = folder / "packages"
        self._monitoring_port = free_port()

    def program(self) -> Sequence[str | Path]:
        """The binary and what makes it durable, quiet and alone."""
        return [
            self._binary,
            "--bolt-address=127.0.0.1",
            "--monitoring-address=127.0.0.1",
            f"--monitoring-port={self._monitoring_port}",
            "--telemetry-enabled=false",
            "--log-level=INFO",
            "--data-recovery-on-startup=true",
            "--storage-wal-enabled=true",
            "--storage-wal-file-flush-every-n-tx=1",
            "--storage-snapshot-interval-sec=300",
            "--storage-snapshot-on-exit=true",
            "--storage-properties-on-edges=true",
        ]

    def environment(self) -> Mapping[str, str]:
        """With the packages that our module imports on Python's path."""
        return {**super().environment(), "PYTHONPATH": str(self._python_path or self._own_packages)}

    @cached_property
    def _own_packages(self) -> Path:
        """
        What this Python has installed, less `mgp`: Memgraph's own comes last on its path, and has to match its version.

        Raises:
            ServerFailed: Memgraph runs another Python.
        """
        embedded, ours = embedded_python(self._binary), f"{sys.version_info.major}.{sys.version_info.minor}"
        if embedded not in (None, ours):
            raise ServerFailed(
                f"{self._binary} runs Python {embedded}, the tests run {ours}: give a folder that has "
                f"confluent-kafka for {embedded} as --memgraph-pythonpath"
            )
        self._packages.mkdir(exist_ok=True)
        for entry in Path(sysconfig.get_path("platlib")).iterdir():
            if not entry.name.startswith(("mgp", "_mgp")):
                os.symlink(entry, self._packages / entry.name)
        return self._packages


def embedded_python(binary: Path) -> str | None:
    """The version of the libpython that `binary` is linked to, such as "3.11"; None if it names none."""
    linked = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    found = re.search(r"libpython(\d+\.\d+)", linked.stdout)
    return found[1] if found else None
