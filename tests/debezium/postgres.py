"""A PostgreSQL for the tests, on the loopback, whose log Debezium can read."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.server import Server

USER, DATABASE = "shop", "shop"

SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "shared_buffers": "16MB",
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}

DEBIAN = Path("/usr/lib/postgresql")


class PostgresUnavailable(Exception):
    """There can be no PostgreSQL here: the text says what is missing."""


class Postgres(Server):
    """A cluster of its own, gone when it is closed."""

    name = "PostgreSQL"

    def __init__(self, output: Path) -> None:
        """
        Args:
            output: the file for what it prints.

        Raises:
            PostgresUnavailable: its programs are not installed.
        """
        super().__init__(output)
        self._bin = _programs()
        self._home = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
        self.folder = self._home
        self.port = free_port()

    def start(self) -> None:
        """Start and wait until it answers; the first time, the database is made."""
        data = self._home / "data"
        if not data.exists():
            if os.geteuid() == 0:
                shutil.chown(self._home, _user())
            self._done(
                [self._bin / "initdb", f"--username={USER}", "--auth=trust", "--encoding=UTF8", f"--pgdata={data}"]
            )
        super().start()
        if not self.rows(f"SELECT 1 AS there FROM pg_database WHERE datname = '{DATABASE}'", database="postgres"):
            self.run(f"CREATE DATABASE {DATABASE}", database="postgres")

    def command(self) -> Sequence[str | Path]:
        """The server itself."""
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        return [*_as_user(), self._bin / "postgres", "-D", self._home / "data", "-p", str(self.port), *settings]

    def answers(self) -> bool:
        """Whether it takes statements."""
        return self.rows("SELECT 1 AS one", database="postgres") == [{"one": 1}]

    def run(self, script: str, database: str = DATABASE) -> str:
        """
        Runs statements, each in a transaction of its own unless the script says otherwise; what they printed.

        Raises:
            AssertionError: one failed.
        """
        address = ["--host=127.0.0.1", f"--port={self.port}", f"--username={USER}", f"--dbname={database}"]
        command = [self._bin / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", *address]
        result = subprocess.run(
            [*map(str, command), "--set=ON_ERROR_STOP=1"], input=script, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def rows(self, query: str, database: str = DATABASE) -> list[dict[str, Any]]:
        """The rows of a query, as PostgreSQL writes them in JSON."""
        found = self.run(f"SELECT coalesce(json_agg(r), '[]') FROM ({query}) AS r", database)
        rows: list[dict[str, Any]] = json.loads(found)
        return rows

    def close(self) -> None:
        """End it, and remove its data."""
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _done(self, command: Sequence[str | Path]) -> None:
        with self.output.open("ab") as output:
            subprocess.run(
                [*_as_user(), *map(str, command)], cwd=self._home, stdout=output, stderr=output, check=True, timeout=120
            )


def _programs() -> Path:
    """The folder with PostgreSQL's programs: Debian's, of the newest version, or where the path has `initdb`."""
    candidates = sorted(DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    candidates += [Path(on_path).resolve().parent] if on_path else []
    for folder in candidates:
        if all((folder / program).exists() for program in ("initdb", "postgres", "psql")):
            return folder
    raise PostgresUnavailable("PostgreSQL is not installed (Debian: postgresql)")


def _user() -> str:
    """The user that it runs as if the tests run as root, as which it refuses to run."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgresUnavailable("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise PostgresUnavailable("PostgreSQL does not run as root, and there is no setpriv (Debian: util-linux)")
    entry = pwd.getpwnam(_user())
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
