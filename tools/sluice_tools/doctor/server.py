"""
The database: its version, our module in it, what that module can do, its role and its clock.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from sluice import __version__
from sluice.bolt.client import Connection
from sluice.errors import GraphError, QueryRefused
from sluice.values.merge_keys import UNIQUE_IS_SAFE, constraints_of
from sluice.values.model import AS_EXPECTED, NOT_ASKED, PROBE
from sluice_tools.doctor import module
from sluice_tools.doctor.bolt import Target, connect
from sluice_tools.doctor.findings import Finding, Trouble, fix, note, ok, skipped

Rows = list[dict[str, Any]]

OLDEST = (2, 14)

LOOPBACK_PATIENCE = 15.0
"Seconds that the module may need after a start to connect to its server."
MAX_SKEW = 5.0
"Seconds by which two clocks may differ."

WAITING = ("the storage mode", "the streams' nodes", "the streams cannot run")
"How the texts of troubles begin that are not about the connection."

CHECKS = (*("bolt", "sign-in", "server", "role", "clocks", "module", "procedures", "loopback", "probe", "interpreter"),)

PROCEDURES = "CALL mg.procedures() YIELD name, signature, path RETURN name, signature, path"
SHOW = "CALL streams.show() YIELD name, uri, topic, transform, status RETURN name, uri, topic, transform, status"
INTERPRETER = "CALL streams.interpreter() YIELD path, version, trouble RETURN path, version, trouble"
INTERPRETER_PATIENCE = 60.0
"Seconds that the server may need to try all candidates for the interpreter of transforms."
SETTINGS = "CALL streams.settings() YIELD name, value RETURN name, value"
ROLE = "SHOW REPLICATION ROLE"
CONSTRAINTS = "SHOW CONSTRAINT INFO"

START = (
    "start Memgraph, or give the address where it listens (its --bolt-address and --bolt-port): --uri bolt://HOST:PORT"
)


class Server:
    """A walk through a server; `connection` and `streams` are what was found on the way, None where it ended."""

    def __init__(self, target: Target, pause: Callable[[float], None] = time.sleep) -> None:
        self.connection: Connection | None = None
        self.streams: Rows | None = None
        self._target = target
        self._pause = pause
        self._tells_trouble = False
        self.version: tuple[int, int] | None = None
        "Major and minor; None where the server does not tell, or was not asked yet."

    def close(self) -> None:
        """Hangs up."""
        if self.connection is not None:
            self.connection.close()

    def examine(self) -> Iterator[Finding]:
        """One finding for each of CHECKS, in their order."""
        done = 0
        try:
            for finding in self._walk():
                done += 1
                yield finding
        except Trouble as trouble:
            for check in CHECKS[done : CHECKS.index(trouble.finding.check)]:
                done += 1
                yield ok(check, f"{self._target} speaks Bolt")
            yield trouble.finding
            yield from skipped(CHECKS[done + 1 :], f"see {trouble.finding.check}")
        except GraphError as error:
            yield fix(CHECKS[done], f"the connection was lost: {error}", "see the server's log, then try again")
            yield from skipped(CHECKS[done + 1 :], f"see {CHECKS[done]}")

    def _walk(self) -> Iterator[Finding]:
        self.connection = connect(self._target, "bolt", "Memgraph", START)
        major, minor = self.connection.version
        yield ok("bolt", f"{self._target} speaks Bolt {major}.{minor}")
        yield ok("sign-in", f"as {self._target.user}" if self._target.user else "without a name")
        yield self._version()
        replica = self._is_replica()
        yield self._role(replica)
        yield self._clocks()
        yield self._module()
        yield self._procedures()
        yield self._loopback(replica)
        yield self._probe()
        yield self._interpreter()

    def fetch(self, query: str, *, patience: float = 0.0, **parameters: Any) -> Rows:
        """Runs a query; it may take as long as the target says, or `patience` seconds. Raises GraphError."""
        assert self.connection is not None
        return self.connection.fetch(query, parameters, timeout=max(patience, self._target.timeout))

    def setting(self, name: str) -> str | None:
        """A setting of the server, by its variable; None if the server does not report it."""
        if self.streams is None:
            return None
        try:
            return next((str(row["value"]) for row in self.fetch(SETTINGS) if row["name"] == name), None)
        except GraphError:
            return None

    def _version(self) -> Finding:
        try:
            version = str(next(iter(self.fetch("SHOW VERSION")[0].values())))
        except (QueryRefused, IndexError, StopIteration):
            assert self.connection is not None
            return note("server", f"does not tell its version; it calls itself {self.connection.server!r}")
        found = re.match(r"(\d+)\.(\d+)", version)
        self.version = (int(found[1]), int(found[2])) if found else None
        if found and (int(found[1]), int(found[2])) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise Trouble(
                "server", f"Memgraph {version} is older than {oldest}", f"upgrade Memgraph to {oldest} or newer"
            )
        if self.version is not None and self.version < UNIQUE_IS_SAFE and self._has_uniqueness():
            text = f"uniqueness constraints are not safe in Memgraph {version}, which may end, and there is one here"
            remedy = "upgrade Memgraph to 3.1 or newer, or let transforms MERGE what has to be unique"
            return fix("server", text, remedy)
        return ok("server", f"Memgraph {version}")

    def _has_uniqueness(self) -> bool:
        try:
            return bool(constraints_of(self.fetch(CONSTRAINTS)))
        except QueryRefused:
            return False

    def _module(self) -> Finding:
        try:
            rows = self.fetch(PROCEDURES)
        except QueryRefused as error:
            text = f"the server does not list its procedures: {error}"
            raise Trouble("module", text, "an administrator grants it: GRANT MODULE_READ TO the user") from error
        loaded = module.loaded_signatures(rows)
        self._tells_trouble = "version" in loaded and "trouble" in loaded["version"].columns
        if "show" not in loaded:
            text = f"the server has no {module.PREFIX}show" if loaded else "the server has no module streams"
            remedy = (
                "run sluice install on the server's machine, then CALL mg.load_all(); if it is installed, the server's "
                "log says why it was not loaded"
            )
            raise Trouble("module", text, remedy)
        path = next((str(row["path"]) for row in rows if row["name"] == f"{module.PREFIX}show"), "")
        beside = module.version_beside(path)
        version = self._own_version() if "version" in loaded else None
        different = module.difference(loaded, module.own_signatures())
        if version not in (None, __version__) or different:
            text = f"the server has loaded sluice {version}" if version else "the server's module is another"
            text += f", which {different}" if different else ""
            return fix("module", f"{text}; this command is {__version__}", module.remedy(version or beside))
        if beside not in (None, __version__):
            text = f"{path} is of sluice {beside}, this command is {__version__}"
            return fix("module", text, module.remedy(beside))
        return ok("module", f"sluice {__version__}, from {path}" if path else f"sluice {__version__}")

    def _own_version(self) -> str | None:
        try:
            return str(self.fetch("CALL streams.version() YIELD version RETURN version")[0]["version"])
        except (QueryRefused, IndexError):
            return None

    def _procedures(self) -> Finding:
        try:
            self.streams = self.fetch(SHOW)
        except QueryRefused as error:
            # An exception of ours is the last words of a traceback: class, colon, text.
            reason = str(error).rpartition("sluice.errors.")[2]
            remedy = "an administrator grants it: GRANT MATCH, MODULE_READ TO the user"
            if reason.startswith("SettingError: "):
                remedy = "set it right in the server's environment, and restart the server"
            elif "sluice.errors." in str(error) or "Error" in reason:
                remedy = "see the server's log; CALL mg.load_all() loads the module anew"
            raise Trouble("procedures", f"streams.show fails: {reason}", remedy) from error
        count = len(self.streams)
        return ok("procedures", f"streams.show answers: {count} stream{'' if count == 1 else 's'}")

    def _interpreter(self) -> Finding:
        """Which Python runs transforms; the server tries it."""
        try:
            (row,) = self.fetch(INTERPRETER, patience=INTERPRETER_PATIENCE)
        except (QueryRefused, ValueError) as error:
            return note("interpreter", f"the server does not tell which Python runs transforms: {error}")
        if row["trouble"]:
            remedy = "install one on the server's machine, or have SLUICE_PYTHON name one, and restart the server"
            return fix("interpreter", str(row["trouble"]), remedy)
        return ok("interpreter", f"transforms run in {row['path']}, Python {row['version']}")

    def _is_replica(self) -> bool | None:
        try:
            rows = self.fetch(ROLE)
        except QueryRefused:
            return None
        return any("replica" in str(value).lower() for row in rows for value in row.values())

    def _role(self, replica: bool | None) -> Finding:
        if replica is None:
            return note("role", "the server does not tell whether it is a replica")
        if replica:
            return note("role", "a replica: streams run on its MAIN, and here once it is promoted")
        return ok("role", "main: streams run here")

    def _loopback(self, replica: bool | None) -> Finding:
        if replica:
            return note("loopback", "not in use on a replica")
        deadline = time.monotonic() + LOOPBACK_PATIENCE
        while (trouble := self._trouble()) is not None and time.monotonic() < deadline:
            self._pause(0.25)
        if trouble is None:
            return ok("loopback", "the module is connected to its own server")
        if trouble.startswith(WAITING):
            text = f"the module reaches its server, and no stream runs: {trouble}"
            return fix("loopback", text, "do as it says; running streams then go on by themselves")
        text = f"the module does not get back into its own server: {trouble}"
        remedy = (
            "set SLUICE_LOOPBACK_USER and SLUICE_LOOPBACK_PASSWORD_FILE in the server's environment if it asks for a "
            "password (SLUICE_LOOPBACK_HOST, _PORT and _TLS if it is not found by its flags), and restart the server; "
            "its log has lines of sluice.supervisor about it"
        )
        return fix("loopback", text, remedy)

    def _probe(self) -> Finding:
        found = self.setting(PROBE)
        if found is None or found == NOT_ASKED:
            return note("probe", "the module has not asked the server, as it does on a MAIN, what folding rests on")
        if found.startswith(AS_EXPECTED):
            return ok("probe", f"the server does what folding and the fence rest on: {found}")
        return note("probe", f"less is folded, or nothing runs: {found}")

    def _trouble(self) -> str | None:
        """What keeps the machinery from its server, by its own word or a running stream's; None if nothing is known."""
        if self._tells_trouble:
            rows = self.fetch("CALL streams.version() YIELD trouble RETURN trouble")
            return str(rows[0]["trouble"]) if rows and rows[0]["trouble"] else None
        for stream in self.streams or []:
            if stream["status"] != "running":
                continue
            try:
                rows = self.fetch("CALL streams.info($name) YIELD reason RETURN reason", name=stream["name"])
            except QueryRefused:
                return None
            reason = str(rows[0]["reason"] or "") if rows else ""
            # "retrying since ...: ..." is a trouble of the stream alone.
            if reason.startswith("retrying: "):
                return reason.removeprefix("retrying: ")
        return None

    def _clocks(self) -> Finding:
        before = time.time()
        try:
            given = float(self.fetch("RETURN timestamp() AS now")[0]["now"])
        except QueryRefused as error:
            return note("clocks", f"the server does not tell the time: {error}")
        after = time.time()
        # Microseconds since 1970; milliseconds of that have three digits less until the year 5138.
        server = given / 1e6 if given > 1e14 else given / 1e3
        skew = max(before - server, server - after, 0.0)
        if skew > MAX_SKEW:
            text = f"the server's clock and this machine's differ by {skew:.0f} s"
            return fix("clocks", text, "have both follow the same time server: timedatectl set-ntp true")
        return ok("clocks", f"the server's agrees with this machine's, within {max(skew, after - before):.1g} s")
