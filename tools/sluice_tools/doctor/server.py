"""The database: its version, our module in it, what that module can do, its role and its clock."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from sluice import __version__
from sluice.bolt.client import Connection
from sluice.errors import GraphError, QueryRefused
from sluice.values.merge_keys import UNIQUE_IS_SAFE, constraints_of
from sluice.values.model import AS_EXPECTED, NOT_ASKED, PROBE
from sluice_tools.doctor import module
from sluice_tools.doctor.bolt import SignInRefused, Target, connect
from sluice_tools.doctor.checks import Check, CheckFailed, Finding, fix, note

Rows = list[dict[str, Any]]

OLDEST = (2, 14)

LOOPBACK_PATIENCE = 15.0
"Seconds that the module may need after a start to connect to its server."
MAX_SKEW = 5.0
"Seconds by which two clocks may differ."

WAITING = ("the storage mode", "the streams' nodes", "the streams cannot run")
"How the texts of troubles begin that are not about the connection."

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
PYTHON = "install one on the server's machine, or have SLUICE_PYTHON name one, and restart the server"
SYNCHRONIZE = "have both follow the same time server: timedatectl set-ntp true"
RELOAD = "see the server's log; CALL mg.load_all() loads the module anew"
UPGRADE = f"upgrade Memgraph to {'.'.join(map(str, OLDEST))} or newer"
INSTALL = (
    "run sluice install on the server's machine, then CALL mg.load_all(); if it is installed, the server's log says "
    "why it was not loaded"
)
LET_IN = (
    "set SLUICE_LOOPBACK_USER and SLUICE_LOOPBACK_PASSWORD_FILE in the server's environment if it asks for a password "
    "(SLUICE_LOOPBACK_HOST, _PORT and _TLS if it is not found by its flags), and restart the server; its log has lines "
    "of sluice.supervisor about it"
)


class Server:
    """The database; `streams` and `version` are what its checks found out, None where they did not get there."""

    def __init__(self, target: Target, pause: Callable[[float], None] = time.sleep) -> None:
        self.streams: Rows | None = None
        self.version: tuple[int, int] | None = None
        "Major and minor."
        self._target = target
        self._pause = pause
        self._connection: Connection | None = None
        self._refusal: SignInRefused | None = None
        self._replica: bool | None = None

    def close(self) -> None:
        """Hangs up."""
        if self._connection is not None:
            self._connection.close()

    def checks(self) -> list[Check]:
        """The rows about the server and our module in it."""
        return [
            Check("bolt", (), self._bolt, START),
            Check("sign-in", ("bolt",), self._sign_in),
            Check("server", ("sign-in",), self._version, UPGRADE),
            Check("role", ("server",), self._role),
            Check("clocks", ("server",), self._clocks, SYNCHRONIZE),
            Check("module", ("server",), self._module, INSTALL),
            Check("procedures", ("module",), self._procedures, RELOAD),
            Check("loopback", ("procedures",), self._loopback, LET_IN),
            Check("probe", ("procedures",), self._probe),
            Check("interpreter", ("procedures",), self._interpreter, PYTHON),
        ]

    def fetch(self, query: str, *, patience: float = 0.0, **parameters: Any) -> Rows:
        """Runs a query; it may take as long as the target says, or `patience` seconds. Raises GraphError."""
        assert self._connection is not None
        return self._connection.fetch(query, parameters, timeout=max(patience, self._target.timeout))

    def ask(self, query: str, *, patience: float = 0.0, **parameters: Any) -> Rows:
        """As `fetch`, but nothing where the server refuses."""
        try:
            return self.fetch(query, patience=patience, **parameters)
        except QueryRefused:
            return []

    def setting(self, name: str) -> str | None:
        """A setting of the server, by its variable; None if the server does not report it."""
        if self.streams is None:
            return None
        try:
            return next((str(row["value"]) for row in self.fetch(SETTINGS) if row["name"] == name), None)
        except GraphError:
            return None

    def _bolt(self) -> str:
        try:
            self._connection = connect(self._target, "Memgraph")
        except SignInRefused as refusal:
            self._refusal = refusal
            return f"{self._target} speaks Bolt"
        major, minor = self._connection.version
        return f"{self._target} speaks Bolt {major}.{minor}"

    def _sign_in(self) -> str:
        if self._refusal is not None:
            raise self._refusal
        return f"as {self._target.user}" if self._target.user else "without a name"

    def _version(self) -> str | Finding:
        try:
            version = str(next(iter(self.fetch("SHOW VERSION")[0].values())))
        except (QueryRefused, IndexError, StopIteration):
            assert self._connection is not None
            return note(f"does not tell its version; it calls itself {self._connection.server!r}")
        found = re.match(r"(\d+)\.(\d+)", version)
        self.version = (int(found[1]), int(found[2])) if found else None
        if self.version is not None and self.version < OLDEST:
            raise CheckFailed(f"Memgraph {version} is older than {'.'.join(map(str, OLDEST))}")
        if self.version is not None and self.version < UNIQUE_IS_SAFE and constraints_of(self.ask(CONSTRAINTS)):
            text = f"uniqueness constraints are not safe in Memgraph {version}, which may end, and there is one here"
            return fix(text, "upgrade Memgraph to 3.1 or newer, or let transforms MERGE what has to be unique")
        return f"Memgraph {version}"

    def _module(self) -> str | Finding:
        try:
            rows = self.fetch(PROCEDURES)
        except QueryRefused as error:
            text = f"the server does not list its procedures: {error}"
            raise CheckFailed(text, "an administrator grants it: GRANT MODULE_READ TO the user") from error
        loaded = module.loaded_signatures(rows)
        if "show" not in loaded:
            raise CheckFailed(f"the server has no {'module streams' if not loaded else f'{module.PREFIX}show'}")
        path = next((str(row["path"]) for row in rows if row["name"] == f"{module.PREFIX}show"), "")
        beside = module.version_beside(path)
        version = self._own("version") or None
        different = module.difference(loaded, module.own_signatures())
        if version not in (None, __version__) or different:
            text = f"the server has loaded sluice {version}" if version else "the server's module is another"
            text += f", which {different}" if different else ""
            return fix(f"{text}; this command is {__version__}", module.remedy(version or beside))
        if beside not in (None, __version__):
            return fix(f"{path} is of sluice {beside}, this command is {__version__}", module.remedy(beside))
        return f"sluice {__version__}, from {path}" if path else f"sluice {__version__}"

    def _own(self, column: str) -> str:
        """What the module says of itself; empty if it says nothing, as one of another version may."""
        rows = self.ask(f"CALL streams.version() YIELD {column} RETURN {column}")
        return str(rows[0][column] or "") if rows else ""

    def _procedures(self) -> str:
        try:
            self.streams = self.fetch(SHOW)
        except QueryRefused as error:
            # An exception of ours is the last words of a traceback: class, colon, text.
            reason = str(error).rpartition("sluice.errors.")[2]
            remedy = "an administrator grants it: GRANT MATCH, MODULE_READ TO the user"
            if reason.startswith("SettingError: "):
                remedy = "set it right in the server's environment, and restart the server"
            elif "sluice.errors." in str(error) or "Error" in reason:
                remedy = ""
            raise CheckFailed(f"streams.show fails: {reason}", remedy) from error
        count = len(self.streams)
        return f"streams.show answers: {count} stream{'' if count == 1 else 's'}"

    def _interpreter(self) -> str | Finding:
        """Which Python runs transforms; the server tries it."""
        try:
            (row,) = self.fetch(INTERPRETER, patience=INTERPRETER_PATIENCE)
        except (QueryRefused, ValueError) as error:
            return note(f"the server does not tell which Python runs transforms: {error}")
        if row["trouble"]:
            return fix(str(row["trouble"]))
        return f"transforms run in {row['path']}, Python {row['version']}"

    def _role(self) -> str | Finding:
        rows = self.ask(ROLE)
        if not rows:
            return note("the server does not tell whether it is a replica")
        self._replica = any("replica" in str(value).lower() for row in rows for value in row.values())
        if self._replica:
            return note("a replica: streams run on its MAIN, and here once it is promoted")
        return "main: streams run here"

    def _loopback(self) -> str | Finding:
        if self._replica:
            return note("not in use on a replica")
        deadline = time.monotonic() + LOOPBACK_PATIENCE
        while (trouble := self._own("trouble")) and time.monotonic() < deadline:
            self._pause(0.25)
        if not trouble:
            return "the module is connected to its own server"
        if trouble.startswith(WAITING):
            text = f"the module reaches its server, and no stream runs: {trouble}"
            return fix(text, "do as it says; running streams then go on by themselves")
        return fix(f"the module does not get back into its own server: {trouble}")

    def _probe(self) -> str | Finding:
        found = self.setting(PROBE)
        if found is None or found == NOT_ASKED:
            return note("the module has not asked the server, as it does on a MAIN, what folding rests on")
        if found.startswith(AS_EXPECTED):
            return f"the server does what folding and the fence rest on: {found}"
        return note(f"less is folded, or nothing runs: {found}")

    def _clocks(self) -> str | Finding:
        before = time.time()
        try:
            given = float(self.fetch("RETURN timestamp() AS now")[0]["now"])
        except QueryRefused as error:
            return note(f"the server does not tell the time: {error}")
        after = time.time()
        # Microseconds since 1970; milliseconds of that have three digits less until the year 5138.
        server = given / 1e6 if given > 1e14 else given / 1e3
        skew = max(before - server, server - after, 0.0)
        if skew > MAX_SKEW:
            return fix(f"the server's clock and this machine's differ by {skew:.0f} s")
        return f"the server's agrees with this machine's, within {max(skew, after - before):.1g} s"
