"""
Settings of the process, read once when the module is loaded: from `SLUICE_*` variables, else from the server's own
flags.

Each field names its variable, its unit and its default; README's table is made of the same words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from sluice.errors import SettingError
from sluice.host import allow_list
from sluice.host.allow_list import AllowList
from sluice.host.kafka_properties import PropertyAllow
from sluice.host.secrets_allowed import DEFAULT as SECRETS_FOLDER
from sluice.host.secrets_allowed import SecretsAllow
from sluice.host.server_flags import DATA_DIRECTORY, server_flags
from sluice.host.signing import FILE_NAME, SigningKey

T = TypeVar("T")

PREFIX = "SLUICE_"

SERVERS_OWN = "MEMGRAPH_"
"What the names of the server's own variables begin with."

"The server's own default of --data-directory."

HIDDEN = "***"
"Shown in place of a secret."


@dataclass(frozen=True)
class Settings:
    """What an administrator can set; everything has a sensible default."""

    loopback_host: str = "127.0.0.1"
    """
    SLUICE_LOOPBACK_HOST: where the server's own Bolt port is reached. Default: the server's --bolt-address, else
    127.0.0.1.
    """
    loopback_port: int = 7687
    """
    SLUICE_LOOPBACK_PORT: the server's own Bolt port. Default: MEMGRAPH_BOLT_PORT or the server's --bolt-port, else
    7687.
    """
    loopback_tls: bool = False
    "SLUICE_LOOPBACK_TLS: true or false. Default: true if the server has a --bolt-cert-file."
    loopback_user: str = ""
    """
    SLUICE_LOOPBACK_USER: user for the loopback connection. Default: MEMGRAPH_USER, if the server creates that user at
    startup, with MEMGRAPH_PASSWORD; else none.
    """
    loopback_password: str = field(default="", repr=False)
    "SLUICE_LOOPBACK_PASSWORD, or the file that SLUICE_LOOPBACK_PASSWORD_FILE names."
    loopback_timeout: float = 60.0
    """
    SLUICE_LOOPBACK_TIMEOUT: seconds that reading the metadata nodes may take; batches may take as long as they need.
    """
    broker_timeout: float = 5.0
    "SLUICE_BROKER_TIMEOUT: seconds that CREATE and TEST wait for a broker to answer."
    test_timeout: float = 10.0
    "SLUICE_TEST_TIMEOUT: seconds that TEST reads at most."
    kafka_allow: PropertyAllow = PropertyAllow()
    """
    SLUICE_KAFKA_ALLOW: further properties of librdkafka that streams may set, separated by commas, in addition to those
    always allowed. Default: none.
    """
    secrets_allow: SecretsAllow = SecretsAllow.parse(SECRETS_FOLDER)
    """
    SLUICE_SECRETS_ALLOW: variables and paths that streams may refer to, each with the brokers that it may be sent to,
    NAME@host:port+host:port, separated by commas. Default: the files in /etc/memgraph/sluice-secrets, to any broker.
    """
    transform_allow: AllowList = AllowList.parse(allow_list.DEFAULT)
    """
    SLUICE_TRANSFORM_ALLOW: URI prefixes that transform scripts may be fetched from, separated by commas. Default: this
    machine's web servers and its files.
    """
    transform_sha256: str = ""
    """
    SLUICE_TRANSFORM_SHA256: a file with the SHA-256 of each transform script that may run, as `sha256sum` writes it.
    Default: none, and signatures decide.
    """
    signing_key_file: SigningKey = SigningKey(Path("mg_data", FILE_NAME), created_by_us=True)
    """
    SLUICE_SIGNING_KEY_FILE: the key that transform scripts are signed with, the same on all instances of a cluster.
    Default: .sluice_signing.key in the server's --data-directory, created when first needed.
    """
    script_timeout: float = 10.0
    "SLUICE_SCRIPT_TIMEOUT: seconds that fetching and loading a transform script may take in total."
    script_max_bytes: int = 1 << 20
    "SLUICE_SCRIPT_MAX_BYTES: maximum size of a transform script."
    transform_timeout: float = 30.0
    "SLUICE_TRANSFORM_TIMEOUT: seconds that a transform may take for one batch."
    transform_memory_mb: int = 1024
    "SLUICE_TRANSFORM_MEMORY_MB: address space that a transform's process may use; 0: no limit."
    fold: bool = True
    "SLUICE_FOLD: true or false: whether any stream's queries may be folded."
    python: str = ""
    """
    SLUICE_PYTHON: the interpreter that runs transforms, 3.10 or newer. Default: the first that works, of the server's
    version if there is one.
    """
    fetch_buffer_kb: int = 16384
    "SLUICE_FETCH_BUFFER_KB: messages that each stream's consumer may hold in memory, in KiB."
    batch_max_bytes: int = 16 << 20
    """
    SLUICE_BATCH_MAX_BYTES: a batch ends before its messages' payloads exceed this; a single message may be larger.
    """
    topic_interval: float = 5.0
    "SLUICE_TOPIC_INTERVAL: seconds between checks for a missing topic and for new partitions."
    rest_after: float = 20.0
    "SLUICE_REST_AFTER: seconds without a message after which a stream rests, without a consumer, until one arrives."
    error_history: int = 25
    "SLUICE_ERROR_HISTORY: failed messages kept in each stream's checkpoint, the latest."
    error_payload_bytes: int = 1024
    "SLUICE_ERROR_PAYLOAD_BYTES: bytes kept there of each message's payload."
    batch_history: int = 100
    "SLUICE_BATCH_HISTORY: transactions of each stream that are remembered, the latest, while the server runs."
    poll_interval: float = 1.0
    "SLUICE_POLL_INTERVAL: seconds between checks of the metadata nodes while no procedure is called."

    def as_variables(self) -> dict[str, str]:
        """
        Variable -> value, in the form in which it can be set; a password that is set is HIDDEN.
        """
        values = {PREFIX + item.name.upper(): getattr(self, item.name) for item in fields(self)}
        hidden = HIDDEN if self.loopback_password else ""
        return {name: _written(value) for name, value in values.items()} | {f"{PREFIX}LOOPBACK_PASSWORD": hidden}


def load(environment: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None) -> Settings:
    """
    The settings of this process.

    Args:
        environment: variable -> value; the process's own by default.
        flags: the server's flags, name without dashes -> value; this process's own by default.

    Raises:
        SettingError: a variable has an invalid value, or an unknown SLUICE_ variable is set.
    """
    environment = os.environ if environment is None else environment
    flags = server_flags() if flags is None else flags
    read = _Reader(environment)
    default = Settings()
    user, password = _first_user(environment)
    if environment.get(f"{PREFIX}LOOPBACK_USER"):
        password = ""
    settings = Settings(
        loopback_host=read("LOOPBACK_HOST", str, _loopback_host(flags)),
        loopback_port=read("LOOPBACK_PORT", _port, _bolt_port(environment, flags)),
        loopback_tls=read("LOOPBACK_TLS", _boolean, bool(flags.get("bolt-cert-file"))),
        loopback_user=read("LOOPBACK_USER", str, user),
        loopback_password=read("LOOPBACK_PASSWORD", str, read("LOOPBACK_PASSWORD_FILE", _content, password)),
        loopback_timeout=read("LOOPBACK_TIMEOUT", _seconds, default.loopback_timeout),
        broker_timeout=read("BROKER_TIMEOUT", _seconds, default.broker_timeout),
        test_timeout=read("TEST_TIMEOUT", _seconds, default.test_timeout),
        kafka_allow=read("KAFKA_ALLOW", PropertyAllow.parse, default.kafka_allow),
        secrets_allow=read("SECRETS_ALLOW", SecretsAllow.parse, default.secrets_allow).keeping_back(
            _servers_own(environment, flags)
        ),
        transform_allow=read("TRANSFORM_ALLOW", AllowList.parse, default.transform_allow),
        transform_sha256=read("TRANSFORM_SHA256", str, default.transform_sha256),
        signing_key_file=read("SIGNING_KEY_FILE", _key, _own_key(flags, default.signing_key_file)),
        script_timeout=read("SCRIPT_TIMEOUT", _seconds, default.script_timeout),
        script_max_bytes=read("SCRIPT_MAX_BYTES", _positive, default.script_max_bytes),
        transform_timeout=read("TRANSFORM_TIMEOUT", _seconds, default.transform_timeout),
        transform_memory_mb=read("TRANSFORM_MEMORY_MB", _natural, default.transform_memory_mb),
        fold=read("FOLD", _boolean, default.fold),
        python=read("PYTHON", str, default.python),
        fetch_buffer_kb=read("FETCH_BUFFER_KB", _positive, default.fetch_buffer_kb),
        batch_max_bytes=read("BATCH_MAX_BYTES", _positive, default.batch_max_bytes),
        topic_interval=read("TOPIC_INTERVAL", _seconds, default.topic_interval),
        rest_after=read("REST_AFTER", _seconds, default.rest_after),
        error_history=read("ERROR_HISTORY", _positive, default.error_history),
        error_payload_bytes=read("ERROR_PAYLOAD_BYTES", _natural, default.error_payload_bytes),
        batch_history=read("BATCH_HISTORY", _positive, default.batch_history),
        poll_interval=read("POLL_INTERVAL", _seconds, default.poll_interval),
    )
    read.refuse_unknown()
    return settings


_in_force = Settings()


def in_force() -> Settings:
    """
    The settings of this process, for checks without settings at hand, such as that of a config in a node. Until
    `put_in_force` these are the defaults, which allow the least.

    Threads: any.
    """
    return _in_force


def put_in_force(settings: Settings) -> None:
    """Makes these the settings of this process; called when a copy of the package starts."""
    global _in_force
    _in_force = settings


class _Reader:
    """Reads variables, and remembers which were read, so that it knows which are unknown."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._asked: set[str] = set()

    def __call__(self, name: str, convert: Callable[[str], T], default: T) -> T:
        variable = PREFIX + name
        self._asked.add(variable)
        text = self._environment.get(variable, "")
        if not text:
            return default
        try:
            return convert(text)
        except (ValueError, OSError) as error:
            # The text itself may be a secret (a password given where a file's name belongs), so it is not repeated.
            reason = error.strerror if isinstance(error, OSError) else error
            raise SettingError(f"{variable} has a value that it cannot have: {reason}") from None

    def refuse_unknown(self) -> None:
        unknown = sorted(name for name in self._environment if name.startswith(PREFIX) and name not in self._asked)
        if unknown:
            raise SettingError(f"unknown setting {', '.join(unknown)}; there are {', '.join(sorted(self._asked))}")


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _loopback_host(flags: Mapping[str, str]) -> str:
    # A server that listens on every address can be reached at the loopback address.
    address = flags.get("bolt-address", "")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def _own_key(flags: Mapping[str, str], default: SigningKey) -> SigningKey:
    """The key file that Sluice creates. `mg_data` is the flag's default (`src/flags/general.cpp` of v2.14.1)."""
    folder = flags.get("data-directory")
    return SigningKey(Path(folder).absolute() / FILE_NAME, created_by_us=True) if folder else default


def _key(text: str) -> SigningKey:
    """A key file that was configured: it has to exist. Raises OSError, ValueError."""
    key = SigningKey(Path(text).absolute())
    key.sign("", "")
    return key


def _bolt_port(environment: Mapping[str, str], flags: Mapping[str, str]) -> int:
    # Since 3.0 the variable overrides the flag (`extracted_bolt_port`, src/memgraph.cpp). A value that is not a port
    # would have kept the server from starting, so it was misread.
    for text in (environment.get("MEMGRAPH_BOLT_PORT", ""), flags.get("bolt-port", "")):
        with suppress(ValueError):
            return _port(text)
    return Settings.loopback_port


def _first_user(environment: Mapping[str, str]) -> tuple[str, str]:
    """The user that the server creates at startup, if both variables are set (`auth_glue`, src/memgraph.cpp)."""
    user, password = (environment.get(f"{SERVERS_OWN}{name}", "") for name in ("USER", "PASSWORD"))
    return (user, password) if user and password else ("", "")


def _servers_own(environment: Mapping[str, str], flags: Mapping[str, str]) -> list[str]:
    """Files and folders of the server and of Sluice that no stream may send to a broker."""
    password_file = environment.get(f"{PREFIX}LOOPBACK_PASSWORD_FILE", "")
    return [flags.get("data-directory") or DATA_DIRECTORY, flags.get("bolt-key-file", ""), password_file]


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= 65535:
        raise ValueError("expected a port from 1 to 65535")
    return port


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise ValueError("expected true or false")
    return values[text.lower()]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise ValueError("expected seconds, more than 0")
    return seconds


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected an integer, 1 or more")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("expected an integer, 0 or more")
    return int(text)


def _content(text: str) -> str:
    return Path(text).read_text(encoding="utf-8").rstrip("\r\n")
