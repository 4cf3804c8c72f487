"""A host that somebody else started."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from tests.hosts.bolt import Bolt

DEFAULT_PORT = 7687


class UriHost(Bolt):
    """
    A running Memgraph that has our query module loaded, known by its address only.

    It has to be on this machine: brokers and scripts of the tests are on the loopback.
    """

    is_memgraph = True
    can_be_killed = False

    def __init__(self, uri: str, user: str = "", password: str = "") -> None:
        super().__init__(uri, user, password)
        self.port = urlsplit(uri).port or DEFAULT_PORT

    def start(self) -> None:
        """
        It runs already; makes sure that it answers.

        Raises:
            neo4j.exceptions.DriverError, neo4j.exceptions.Neo4jError: it does not.
        """
        self.answers()

    def stop(self) -> None:
        """It is not ours."""
        self._refuse()

    def kill(self) -> None:
        """It is not ours."""
        self._refuse()

    def restart(self) -> None:
        """It is not ours."""
        self._refuse()

    def pause(self) -> None:
        """It is not ours."""
        self._refuse()

    def resume(self) -> None:
        """It is not ours."""
        self._refuse()

    def log_text(self) -> str:
        """Nothing: its log is not known."""
        return ""

    def log_files(self) -> list[Path]:
        """None: its log is not known."""
        return []

    def _refuse(self) -> NoReturn:
        raise RuntimeError(f"the host at {self.uri} is not the tests' to stop; use the own_host fixture")
