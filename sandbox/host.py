"""Starts and ends a sandbox from another program: the demo, a test, a notebook."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 30.0  # seconds


class SandboxFailed(Exception):
    """The sandbox ended while it started, or did not end when told to; carries the end of its log."""


class SandboxHost:
    """
    A sandbox in a process of its own, at a port of the loopback that it keeps when it is started again.

    Threads: the owner's alone.

    States: down -> start -> up -> stop or kill -> down.
    """

    def __init__(
        self,
        data_directory: Path,
        query_modules_directory: Path,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            data_directory: of the graph and of the log; made if it is not there.
            query_modules_directory: with the `*.py` to load.
            port: None for a free one.
            env: on top of this process's environment.
        """
        self.port = port or free_port()
        self.uri = f"bolt://127.0.0.1:{self.port}"
        self.log_file = data_directory / "sandbox.log"
        self._data_directory = data_directory
        self._query_modules_directory = query_modules_directory
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that the modules run in. Only while it is up."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """
        Start it and wait until clients can connect.

        Raises:
            SandboxFailed: it is down.
        """
        self._data_directory.mkdir(parents=True, exist_ok=True)
        atexit.register(self.kill)  # a program that ends early takes its sandbox along
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "sandbox"),
                    *("--bolt-port", str(self.port)),
                    *("--data-directory", str(self._data_directory.absolute())),
                    *("--query-modules-directory", str(self._query_modules_directory.absolute())),
                    *("--log-file", str(self.log_file.absolute())),
                ],
                cwd=ROOT,
                env=os.environ | self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise SandboxFailed(f"the sandbox did not start; the end of its log:\n{self.log_text()[-4000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """
        End it with SIGTERM and wait until it is gone; does nothing if it is down.

        Raises:
            SandboxFailed: it did not end in time, and was killed.
        """
        atexit.unregister(self.kill)
        self._signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()
                raise SandboxFailed(f"the sandbox did not end within {STOP_TIMEOUT:g} s") from None

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; does nothing if it is down."""
        atexit.unregister(self.kill)
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def log_text(self) -> str:
        """Its log, and the graph's; runs follow one another."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _listens(self) -> bool:
        # It binds its port last of all: before that there is nobody, and afterwards it serves.
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of the loopback that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
