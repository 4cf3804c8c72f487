"""A server that tests start, kill and start again: what the broker and the hosts have in common."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LOG_TAIL = 4000  # characters of a log that an error shows


class ServerFailed(Exception):
    """A server did not start or did not stop as it should; carries the end of its log."""


class Server:
    """
    A server in a process group of its own, whose output goes to a file.

    A subclass says with which `command` and `environment` it starts, and when it `answers`. The group gets every
    signal, so that children which the server may have do not outlive it.

    Threads: the test's thread alone.

    States: down -> start -> up -> stop or kill -> down; may be started again, with the same command.
    """

    name: str
    folder: Path | None = None  # the working directory; None is the test process's
    start_timeout = 60.0  # seconds until it must answer
    stop_timeout = 30.0  # seconds from SIGTERM to its end

    def __init__(self, output: Path) -> None:
        """
        Args:
            output: the file for what it prints; runs follow one another in it.
        """
        self.output = output
        self.seconds_to_start = 0.0  # of the last start
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str | Path]:
        """Program and arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The whole environment of the process."""
        return os.environ

    def answers(self) -> bool:
        """Whether it serves clients now. Exceptions mean no."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether its process is alive, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the server, which must be running."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def start(self) -> None:
        """
        Start and wait until it answers.

        Raises:
            ServerFailed: it ended, or did not answer in time; it is down then.
        """
        assert not self.running, f"{self.name} is running already"
        began = time.monotonic()
        atexit.register(self.kill)  # a test process that ends early takes its servers along
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in self.command()],
                cwd=self.folder,
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers(began + self.start_timeout)
        except BaseException:
            self.kill()
            raise
        self.seconds_to_start = time.monotonic() - began

    def stop(self) -> None:
        """
        End it with SIGTERM; does nothing if it is down.

        Raises:
            ServerFailed: it did not end in time; it is killed then.
        """
        if not self.running:
            return
        self._signal(signal.SIGCONT)  # or a paused server would never see the other
        os.kill(self.pid, signal.SIGTERM)
        assert self._process is not None
        try:
            self._process.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failed(f"did not stop within {self.stop_timeout:g} s") from None
        self.kill()  # whatever it left behind

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; does nothing if it is down."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        atexit.unregister(self.kill)

    def restart(self) -> None:
        """`stop`, then `start`."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections but does nothing, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def log_files(self) -> list[Path]:
        """The files that tell what it did, those that exist."""
        return [self.output] if self.output.exists() else []

    def log_text(self) -> str:
        """All its logs, those of earlier runs first."""
        return "\n".join(path.read_text("utf-8", "replace") for path in self.log_files())

    def _wait_until_it_answers(self, deadline: float) -> None:
        assert self._process is not None
        why = ""
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._failed(f"ended while starting, exit status {self._process.returncode}")
            try:
                if self.answers():
                    return
            except Exception as error:  # whatever the client makes of a server that is not up yet
                why = f" ({type(error).__name__}: {error})"
            time.sleep(0.05)
        raise self._failed(f"did not answer within {self.start_timeout:g} s{why}")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, f"{self.name} was never started"
        with suppress(ProcessLookupError):  # nobody is left in the group
            os.killpg(self._process.pid, number)

    def _failed(self, what: str) -> ServerFailed:
        return ServerFailed(f"{self.name} {what}; the end of its log:\n{self.log_text()[-LOG_TAIL:]}")
