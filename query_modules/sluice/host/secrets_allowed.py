"""
Which secrets streams may refer to, and which brokers each may be sent to: the list of `SLUICE_SECRETS_ALLOW`.

    entries   = entry {"," entry}
    entry     = place ["@" broker {"+" broker}]
    place     = the name of a variable | an absolute path of a file or folder
    broker    = host ":" port, a host of IPv6 in brackets

The secret of an entry without brokers may be sent to any broker. A folder stands for everything below it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "SLUICE_SECRETS_ALLOW"

DEFAULT = "/etc/memgraph/sluice-secrets"
"The folder whose files may be referred to by default."

OURS = ("SLUICE_", "MEMGRAPH_")
"The beginnings of the variables that give access to the database."

NEVER = ("/proc", "/sys", "/dev")
"Folders whose files are never secrets."

KAFKA_PORT = 9092
"Port of a broker whose address has none."

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BROKER = re.compile(
    r"(?:(?:plaintext|ssl|sasl_plaintext|sasl_ssl)://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class AllowedSecret:
    """One part of the list."""

    text: str
    place: str
    "A variable's name, or an absolute path."
    brokers: frozenset[str]
    "As `broker` writes them; empty: any."

    def lets_out(self, peers: Collection[str]) -> bool:
        """Whether the secret may be sent to all of these."""
        return not self.brokers or (bool(peers) and self.brokers.issuperset(peers))


@dataclass(frozen=True)
class SecretsAllow:
    """The entries, and what they never allow."""

    entries: tuple[AllowedSecret, ...]
    kept_back: tuple[str, ...] = field(default=(), repr=False, compare=False)
    "The server's own files and folders, which are never sent out, whatever the entries say."

    @classmethod
    def parse(cls, text: str) -> SecretsAllow:
        """
        The list that a setting's text means. Raises ValueError: a part is not an entry; the text has the reason, and
        does not repeat the part.
        """
        return cls(tuple(_entry(part.strip()) for part in text.split(",") if part.strip()))

    def keeping_back(self, places: Iterable[str]) -> SecretsAllow:
        """The same list without anything at or below these paths; empty paths are ignored."""
        return SecretsAllow(self.entries, tuple(os.path.abspath(place) for place in places if place))

    def __str__(self) -> str:
        return ",".join(entry.text for entry in self.entries)

    def allows_variable(self, name: str, peers: Collection[str]) -> bool:
        """Whether a variable's value may be sent to all of these brokers."""
        return not name.startswith(OURS) and any(
            entry.place == name and entry.lets_out(peers) for entry in self.entries
        )

    def allows_file(self, path: str, peers: Collection[str]) -> bool:
        """Whether the file at `path`, a real path, may be sent to all of these brokers."""
        if self.is_kept_back(path):
            return False
        return any(
            entry.place.startswith("/") and is_within(path, os.path.realpath(entry.place)) and entry.lets_out(peers)
            for entry in self.entries
        )

    def never_lets_out(self, place: str) -> bool:
        """Whether a variable or a path is never sent out, whatever the list says."""
        return self.is_kept_back(os.path.realpath(place)) if place.startswith("/") else place.startswith(OURS)

    def is_kept_back(self, path: str) -> bool:
        """Whether nothing at `path`, a real path, may be read for a stream, whatever the list says."""
        if any(is_within(path, folder) for folder in NEVER):
            return True
        return any(is_within(path, os.path.realpath(place)) or _same(path, place) for place in self.kept_back)

    def with_place(self, place: str, peers: Collection[str]) -> str:
        """The value of the setting that allows `place` for these brokers, and changes nothing else."""
        bound = f"@{'+'.join(sorted(peers))}" if peers else ""
        return ",".join([*(entry.text for entry in self.entries), place + bound])


def broker(text: str) -> str:
    """
    A broker's address in a comparable form: `host:port`, in lower case. Raises ValueError: it is not simply a host and
    a port.
    """
    match = _BROKER.fullmatch(text.strip(" "))
    port = int(match[2] or KAFKA_PORT) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise ValueError("expected host:port")
    host = match[1].lower()
    if host.startswith("["):
        host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
    return f"{host}:{port}"


def brokers_of(uri: str) -> frozenset[str]:
    """
    The brokers of a stream's URI. Raises ValueError: a part is not simply a host and a port, so librdkafka might read
    it differently.
    """
    return frozenset(broker(part) for part in uri.split(",") if part.strip(" "))


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it. Both are compared as they are; links are not resolved."""
    return Path(path).parts[: len(Path(folder).parts)] == Path(folder).parts


def _entry(text: str) -> AllowedSecret:
    place, at, bound = text.rpartition("@") if "@" in text else (text, "", "")
    if not place.startswith("/") and not _NAME.fullmatch(place):
        raise ValueError("expected variables and absolute paths, each with @host:port+host:port or without, and commas")
    if not place.isprintable():
        raise ValueError("a path has control characters in it")
    if place.startswith(OURS):
        raise ValueError(f"variables that begin with {' or '.join(OURS)} are never allowed")
    try:
        brokers = frozenset(broker(part) for part in bound.split("+")) if at else frozenset[str]()
    except ValueError:
        raise ValueError(f"after {place}@ there must be host:port, several with + between") from None
    return AllowedSecret(text, place, brokers)


def _same(path: str, other: str) -> bool:
    """Whether two paths lead to the same file."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
