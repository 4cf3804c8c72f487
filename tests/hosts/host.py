"""What a host is to the tests, and what those that are processes of ours have in common."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import neo4j

from tests.hosts.bolt import Bolt
from tests.ports import free_port
from tests.server import Server

REPOSITORY = Path(__file__).resolve().parent.parent.parent
QUERY_MODULES = REPOSITORY / "query_modules"


class Host(Protocol):
    """
    A database that has our query module loaded.

    `is_memgraph` is False for the sandbox. Where `can_be_killed` is False, start does nothing and stop, kill, restart,
    pause and resume raise RuntimeError.
    """

    is_memgraph: bool
    can_be_killed: bool
    uri: str
    port: int

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def driver(self) -> neo4j.Driver: ...
    def new_driver(self) -> neo4j.Driver: ...
    def run(self, query: str, /, **parameters: Any) -> list[dict[str, Any]]: ...
    def log_text(self) -> str: ...
    def log_files(self) -> list[Path]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class HostOptions:
    """
    What a test may want otherwise in a host of its own.

    `environment` goes on top of the test process's, `arguments` after the host's own, where the last one wins.
    `query_modules` is the folder to copy the modules from.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    query_modules: Path = QUERY_MODULES


class ServerHost(Server):
    """
    A host that is a process of ours, on a port and in a folder of its own; both outlast stop, kill and start.

    Its query modules are a copy, so that nothing a host or a test does in there reaches the checkout.
    """

    is_memgraph: bool
    can_be_killed = True

    def __init__(self, folder: Path, options: HostOptions = HostOptions()) -> None:  # noqa: B008 - it is frozen
        """
        Args:
            folder: where its data, its modules and its logs go; made if it is not there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "output.log")
        self.port = free_port()
        self.uri = f"bolt://127.0.0.1:{self.port}"
        self.data = folder / "data"
        self.log_file = folder / "host.log"
        self.query_modules = folder / "query_modules"
        shutil.copytree(options.query_modules, self.query_modules)  # what is compiled too, or each start compiles it
        self._options = options
        self._bolt = Bolt(self.uri)

    def command(self) -> Sequence[str | Path]:
        """What `program` says, with the flags that every host has; a host knows its own port by them."""
        return [
            *self.program(),
            f"--bolt-port={self.port}",
            f"--data-directory={self.data}",
            f"--query-modules-directory={self.query_modules}",
            f"--log-file={self.log_file}",
            *self._options.arguments,
        ]

    def program(self) -> Sequence[str | Path]:
        """The program, with the flags that only this kind of host has."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The test process's, without settings of ours that happen to be in it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        return {**inherited, **self._options.environment}

    def answers(self) -> bool:
        """Whether it runs queries. Looks whether it listens first, which costs less than a driver."""
        socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        return self._bolt.answers()

    def stop(self) -> None:
        """Close the driver, then as `Server.stop`."""
        self._bolt.close()
        super().stop()

    def kill(self) -> None:
        """Close the driver, then as `Server.kill`."""
        self._bolt.close()
        super().kill()

    def driver(self) -> neo4j.Driver:
        """As `Bolt.driver`; another one after a stop or kill."""
        return self._bolt.driver()

    def new_driver(self) -> neo4j.Driver:
        """As `Bolt.new_driver`."""
        return self._bolt.new_driver()

    def run(self, query: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """As `Bolt.run`."""
        return self._bolt.run(query, **parameters)

    def log_files(self) -> list[Path]:
        """What it printed, and the log it wrote; Memgraph adds the day to the file's name."""
        return [*super().log_files(), *sorted(self.log_file.parent.glob(f"{self.log_file.stem}*.log"))]

    def close(self) -> None:
        """Kill it and remove its data."""
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)
