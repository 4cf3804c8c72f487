"""
Which secrets streams may refer to, and which brokers each may be sent to: the list of `SLUICE_SECRETS_ALLOW`.

    entries   = entry {"," entry}
    entry     = place ["@" broker {"+" broker}]
    place     = the name of a variable | an absolute path of a file or folder
    broker    = host ":" port, a host of IPv6 in brackets

An entry without brokers lets its secret go to any. A folder stands for all that is below it.
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
"The folder whose files may be referred to where nothing else is said."

OURS = ("SLUICE_", "MEMGRAPH_")
"What the variables begin with that are the way into the database."

NEVER = ("/proc", "/sys", "/dev")
"Folders of which no file is a secret."

KAFKA_PORT = 9092
"Of a broker whose address has none."

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BROKER = re.compile(
    r"(?:(?:plaintext|ssl|sasl_plaintext|sasl_ssl)://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Entry:
    """One part of the list."""

    text: str
    place: str
    "A variable's name, or an absolute path."
    brokers: frozenset[str]
    "As `broker` writes them; empty: any."

    def lets_out(self, peers: Collection[str]) -> bool:
        """Whether the secret may go to all of these."""
        return not self.brokers or (bool(peers) and self.brokers.issuperset(peers))


@dataclass(frozen=True)
class SecretsAllow:
    """The entries, and what they never mean."""

    entries: tuple[Entry, ...]
    kept_back: tuple[str, ...] = field(default=(), repr=False, compare=False)
    "Files and folders of the server's own, of which nothing goes out whatever the entries say."

    @classmethod
    def parse(cls, text: str) -> SecretsAllow:
        """
        The list that a setting's text means.

        Raises:
            ValueError: a part is no entry, and why; it is not repeated.
        """
        return cls(tuple(_entry(part.strip()) for part in text.split(",") if part.strip()))

    def keeping_back(self, places: Iterable[str]) -> SecretsAllow:
        """The same list, of which nothing at or below these paths is meant; empty ones count for nothing."""
        return SecretsAllow(self.entries, tuple(os.path.abspath(place) for place in places if place))

    def __str__(self) -> str:
        return ",".join(entry.text for entry in self.entries)

    def allows_variable(self, name: str, peers: Collection[str]) -> bool:
        """Whether a variable's value may go to all of these brokers."""
        return not name.startswith(OURS) and any(
            entry.place == name and entry.lets_out(peers) for entry in self.entries
        )

    def allows_file(self, path: str, peers: Collection[str]) -> bool:
        """Whether what is at `path`, which is a real one, may go to all of these brokers."""
        if self.is_kept_back(path):
            return False
        return any(
            entry.place.startswith("/") and is_within(path, os.path.realpath(entry.place)) and entry.lets_out(peers)
            for entry in self.entries
        )

    def never_lets_out(self, place: str) -> bool:
        """Whether a variable or a path is one of which nothing goes out, whatever the list says."""
        return self.is_kept_back(os.path.realpath(place)) if place.startswith("/") else place.startswith(OURS)

    def is_kept_back(self, path: str) -> bool:
        """Whether nothing at `path`, which is a real one, may be read for a stream, whatever the list says."""
        if any(is_within(path, folder) for folder in NEVER):
            return True
        return any(is_within(path, os.path.realpath(place)) or _same(path, place) for place in self.kept_back)

    def with_place(self, place: str, peers: Collection[str]) -> str:
        """What the setting has to be for `place` to be let out to these brokers, and nothing else to be changed."""
        bound = f"@{'+'.join(sorted(peers))}" if peers else ""
        return ",".join([*(entry.text for entry in self.entries), place + bound])


def broker(text: str) -> str:
    """
    A broker's address in the form in which two can be compared: `host:port`, in lower case.

    Raises:
        ValueError: it is not plainly a host and a port.
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
    The brokers of a stream's URI.

    Raises:
        ValueError: a part is not plainly a host and a port, so that librdkafka might read something else in it.
    """
    return frozenset(broker(part) for part in uri.split(",") if part.strip(" "))


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it. Both are taken as they are; no link is followed."""
    return Path(path).parts[: len(Path(folder).parts)] == Path(folder).parts


def _entry(text: str) -> Entry:
    place, at, bound = text.rpartition("@") if "@" in text else (text, "", "")
    if not place.startswith("/") and not _NAME.fullmatch(place):
        raise ValueError("expected variables and absolute paths, each with @host:port+host:port or without, and commas")
    if not place.isprintable():
        raise ValueError("a path has control characters in it")
    if place.startswith(OURS):
        raise ValueError(f"variables that begin with {' or '.join(OURS)} are never let out")
    try:
        brokers = frozenset(broker(part) for part in bound.split("+")) if at else frozenset[str]()
    except ValueError:
        raise ValueError(f"after {place}@ there must be host:port, several with + between") from None
    return Entry(text, place, brokers)


def _same(path: str, other: str) -> bool:
    """Whether two paths are one file, by whatever names."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
