"""The process that holds the graph, seen from the one that started it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import IO

DATABASE = "memgraph"
"The only one; clients of Memgraph that name a database name this."

USER = "root"
"Of the graph's own Bolt, which only the sandbox reaches: the password is new each time."


class EngineFailed(Exception):
    """The graph's process did not come up; its output is in the log."""


class Engine:
    """
    A child process with the graph in it (`sandbox.database`).

    Threads: `start` is for the main thread, whose death is what the child dies of; the rest for any.

    States: start -> wait_until_up -> up -> stop. Used once.
    """

    def __init__(self, folder: Path, output: IO[bytes] | int) -> None:
        """
        Args:
            folder: where the graph is kept.
            output: where the child's output goes.
        """
        self.password = secrets.token_hex(16)
        self.port = 0
        "Of its Bolt on the loopback; 0 until it is up."
        self._folder = folder
        self._output = output

    def start(self) -> None:
        """Start the child; does not wait for it."""
        report, write = os.pipe()
        root = str(Path(__file__).resolve().parent.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.database", str(write)],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[write],
        )
        os.close(write)
        self._report = os.fdopen(report)
        order = json.dumps({"folder": str(self._folder), "password": self.password})
        self._stdin.write(order.encode() + b"\n")
        self._stdin.flush()

    def wait_until_up(self) -> None:
        """Raises EngineFailed if the child ends instead."""
        with self._report:
            answer = self._report.read()
        if not answer:
            raise EngineFailed(f"the graph's process ended with status {self._process.wait()}")
        self.port = json.loads(answer)["port"]

    def wait(self) -> int:
        """Wait for the child's end; its exit status."""
        return self._process.wait()

    def stop(self, timeout: float) -> None:
        """Have it end properly, and kill it if it has not after `timeout` seconds."""
        try:
            self._stdin.close()
            self._process.wait(timeout)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin
