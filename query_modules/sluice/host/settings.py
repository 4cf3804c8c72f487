"""
The settings of the process, read once when the module is loaded: from `SLUICE_*` variables, else from the server's own
flags and variables. Each is declared once, as a field of `Settings`; README's table is printed from the fields
(`python -m tests.settings_table`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sluice.errors import SettingError
from sluice.host import allow_list
from sluice.host.allow_list import AllowList
from sluice.host.decimals import Decimals
from sluice.host.kafka_properties import PropertyAllow
from sluice.host.secrets_allowed import DEFAULT as SECRETS_FOLDER
from sluice.host.secrets_allowed import SecretsAllow
from sluice.host.server_flags import DATA_DIRECTORY, server_flags
from sluice.host.setting import (
    PREFIX,
    Given,
    boolean,
    content,
    declaration_of,
    natural,
    port,
    positive,
    seconds,
    secret,
    setting,
    written,
)
from sluice.host.signing import FILE_NAME, SigningKey
from sluice.host.transform_access import Sandbox, TransformAccess

__all__ = ["PREFIX", "Settings", "in_force", "load", "put_in_force", "variable"]

SERVERS_OWN = "MEMGRAPH_"
"What the names of the server's own variables begin with."

DEFAULT_PORT = 7687

HIDDEN = "***"
"Shown in place of a secret."


def variable(name: str) -> str:
    """The environment variable of a setting, by its field's name."""
    return PREFIX + name.upper()


def _loopback_host(given: Given) -> str:
    # A server that listens on every address can be reached at the loopback address.
    address = given.flags.get("bolt-address", "")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def _bolt_port(given: Given) -> int:
    # Since 3.0 the variable overrides the flag (`extracted_bolt_port`, src/memgraph.cpp). A value that is not a port
    # would have kept the server from starting, so it was misread.
    for text in (given.environment.get(f"{SERVERS_OWN}BOLT_PORT", ""), given.flags.get("bolt-port", "")):
        with suppress(ValueError):
            return port(text)
    return DEFAULT_PORT


def _first_user(given: Given) -> tuple[str, str]:
    """The user that the server creates at startup, if both variables are set (`auth_glue`, src/memgraph.cpp)."""
    user, password = (given.environment.get(f"{SERVERS_OWN}{name}", "") for name in ("USER", "PASSWORD"))
    return (user, password) if user and password else ("", "")


def _password(given: Given) -> str:
    own_user = given.environment.get(variable("loopback_user"))
    return given.read(variable("loopback_password_file"), content, "" if own_user else _first_user(given)[1])


def _own_key(given: Given) -> SigningKey:
    """The key file that Sluice creates."""
    folder = given.flags.get("data-directory")
    path = Path(folder).absolute() if folder else Path(DATA_DIRECTORY)
    return SigningKey(path / FILE_NAME, created_by_us=True)


def _key(text: str) -> SigningKey:
    """A key file that was configured: it has to exist. Raises OSError, ValueError."""
    key = SigningKey(Path(text).absolute())
    key.sign("", "")
    return key


@dataclass(frozen=True)
class Settings:
    """What an administrator can set; everything has a sensible default."""

    loopback_host: str = setting(
        "127.0.0.1",
        str,
        "host of the server's own Bolt port",
        found=_loopback_host,
        shown="the server's `--bolt-address`, else 127.0.0.1",
    )
    loopback_port: int = setting(
        DEFAULT_PORT,
        port,
        "the server's own Bolt port",
        found=_bolt_port,
        shown="`MEMGRAPH_BOLT_PORT` or the server's `--bolt-port`, else 7687",
    )
    loopback_tls: bool = setting(
        False,
        boolean,
        "whether that port speaks TLS",
        found=lambda given: bool(given.flags.get("bolt-cert-file")),
        shown="true if the server has a `--bolt-cert-file`",
    )
    loopback_user: str = setting(
        "",
        str,
        "user for the loopback connection",
        found=lambda given: _first_user(given)[0],
        shown="`MEMGRAPH_USER` if the server creates that user, else none",
    )
    loopback_password: str = setting("", secret, "password of that user", found=_password)
    loopback_password_file: str = setting("", secret, "or a file that holds the password")
    loopback_timeout: float = setting(60.0, seconds, "seconds that reading the metadata nodes may take")
    broker_timeout: float = setting(5.0, seconds, "seconds that CREATE and TEST wait for a broker")
    test_timeout: float = setting(10.0, seconds, "seconds that TEST reads at most")
    secrets_allow: SecretsAllow = setting(
        SecretsAllow.parse(SECRETS_FOLDER),
        SecretsAllow.parse,
        "variables and paths that streams may refer to, separated by commas, each with the brokers that it may be sent "
        "to: `NAME@host:port+host:port` ([details](docs/kafka-security.md#secrets))",
    )
    kafka_allow: PropertyAllow = setting(
        PropertyAllow(),
        PropertyAllow.parse,
        "further properties of librdkafka that streams may set, separated by commas, in addition to [those always "
        "allowed](docs/kafka-security.md#properties)",
    )
    transform_allow: AllowList = setting(
        AllowList.parse(allow_list.DEFAULT),
        AllowList.parse,
        "URI prefixes that scripts may be fetched from, separated by commas ([SECURITY.md](SECURITY.md))",
    )
    transform_sha256: str = setting(
        "",
        str,
        "a file of SHA-256 hashes, in the format of `sha256sum`: only the scripts listed in it run, wherever they come "
        "from ([SECURITY.md](SECURITY.md#which-scripts-run))",
        shown="none",
    )
    signing_key_file: SigningKey = setting(
        SigningKey(Path(DATA_DIRECTORY, FILE_NAME), created_by_us=True),
        _key,
        "the key that signs fetched scripts; use the same file on all instances of a cluster",
        found=_own_key,
        shown=f"`{FILE_NAME}` in the server's `--data-directory`, created when first needed",
    )
    script_timeout: float = setting(10.0, seconds, "seconds that fetching and loading a script may take in total")
    script_max_bytes: int = setting(1 << 20, positive, "maximum size of a script, in bytes")
    transform_timeout: float = setting(30.0, seconds, "seconds that a transform may take for a batch")
    transform_memory_mb: int = setting(1024, natural, "address space of a transform process, in MiB; 0 means no limit")
    transform_sandbox: Sandbox = setting(
        Sandbox.OFF,
        Sandbox.parse,
        "`off`, `auto` or `on`: whether transforms are kept from files, the network and other processes; `auto` does "
        "what the machine can, `on` runs nothing if that is not all ([SECURITY.md](SECURITY.md#confinement))",
    )
    transform_access: TransformAccess = setting(
        TransformAccess(),
        TransformAccess.parse,
        "what confined transforms may use nevertheless, separated by commas: `network`, `/path`, `/path:rw`; each for "
        "all scripts, or followed by `@` and a URI prefix ([SECURITY.md](SECURITY.md#confinement))",
    )
    decimals: Decimals = setting(
        Decimals.TEXT,
        Decimals.parse,
        "`text` or `float`: what a `Decimal` among a query's parameters becomes; a text has all its digits",
    )
    fold: bool = setting(True, boolean, "whether queries may be folded at all")
    python: str = setting(
        "",
        str,
        "the Python interpreter that runs transforms, 3.10 or newer ([how it is "
        "found](docs/transforms.md#the-interpreter))",
        shown="the first one that works, preferably of the server's version",
    )
    fetch_buffer_kb: int = setting(
        16384,
        positive,
        "memory for the fetched messages of each stream's consumer, in KiB; a stream's config cannot exceed it",
    )
    batch_max_bytes: int = setting(
        16 << 20,
        positive,
        "maximum size of a batch's payloads, in bytes; a single larger message is a batch of its own",
    )
    topic_interval: float = setting(5.0, seconds, "seconds between checks for a missing topic and for new partitions")
    rest_after: float = setting(
        20.0,
        seconds,
        "seconds without a message after which a stream rests: it closes its consumer until the next message arrives "
        "([what that saves](docs/operations.md#what-streams-cost-while-nothing-happens))",
    )
    error_history: int = setting(
        25, positive, "number of failed messages that each stream's checkpoint keeps, the latest ones"
    )
    error_payload_bytes: int = setting(1024, natural, "bytes kept of each of these messages' payloads")
    batch_history: int = setting(
        100,
        positive,
        "number of transactions that `streams.batches` remembers for each stream, the latest ones, while the server "
        "runs",
    )
    poll_interval: float = setting(
        1.0, seconds, "seconds between checks of the metadata nodes while no procedure is called"
    )

    def as_variables(self) -> dict[str, str]:
        """Variable -> value, in the form in which it can be set; a secret that is set is HIDDEN."""
        values = {item: written(getattr(self, item.name)) for item in fields(self)}
        return {variable(item.name): text if item.repr or not text else HIDDEN for item, text in values.items()}


def load(environment: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None) -> Settings:
    """
    The settings of this process.

    Args:
        environment: variable -> value; the process's own by default.
        flags: the server's flags, name without dashes -> value; this process's own by default.

    Raises:
        SettingError: a variable has an invalid value, or an unknown SLUICE_ variable is set.
    """
    given = Given(os.environ if environment is None else environment, server_flags() if flags is None else flags)
    values: dict[str, Any] = {}
    for item in fields(Settings):
        declared = declaration_of(item)
        default = declared.found(given) if declared.found else item.default
        values[item.name] = given.read(variable(item.name), declared.parse, default)
    known = {variable(name) for name in values}
    unknown = sorted(name for name in given.environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingError(f"unknown setting {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    settings = Settings(**values)
    # Files and folders of the server and of Sluice that no stream may send to a broker.
    own = (given.flags.get("data-directory") or DATA_DIRECTORY, given.flags.get("bolt-key-file", ""))
    kept = settings.secrets_allow.keeping_back([*own, settings.loopback_password_file])
    return replace(settings, secrets_allow=kept)


_in_force = Settings()


def in_force() -> Settings:
    """
    The settings of this process, for checks without settings at hand, such as that of a config in a node. Until
    `put_in_force` these are the defaults, which allow the least. Threads: any.
    """
    return _in_force


def put_in_force(settings: Settings) -> None:
    """Makes these the settings of this process; called when a copy of the package starts."""
    global _in_force
    _in_force = settings
