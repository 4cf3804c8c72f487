"""
Which transform scripts may be fetched: the allow-list of `SLUICE_TRANSFORM_ALLOW`, URI prefixes separated by commas.

URIs are compared part by part and never as text. So `http://localhost` does not allow `localhost.example.org`, and
`https://scripts/a` does not allow `https://scripts/ab`. A file is compared by its real path, links resolved.

Used by procedures, and by the transform process, which fetches: standard library only.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from sluice.errors import SettingError

DEFAULT = "http://localhost:*,http://127.0.0.1:*,http://[::1]:*,https://localhost:*,file:///"
"""
This machine's own web servers and its files. No other server: users who may call procedures would choose whose code
runs on the database's machine.
"""

PORTS = {"http": 80, "https": 443}
"Scheme of web servers -> its port."

OURS = "sluice"
"Scheme of ready transforms, `sluice:json`. They are part of this package, and need no prefix in the list."

SETTING = "SLUICE_TRANSFORM_ALLOW"
"The variable that holds the list."

SUFFIX, ARCHIVE = ".py", ".zip"
"""
What the name of a script's file ends with, or of a zip file of scripts. Files that are not scripts (keys, passwords,
`/proc`) have other names.
"""


class Location(NamedTuple):
    """Where a URI leads, its parts made comparable."""

    scheme: str
    "http, https, file or sluice."
    host: str
    "In lower case, an address in its shortest form; empty for files."
    port: int
    "0 for files."
    path: tuple[str, ...]
    "Its segments, decoded; of a file, those of its real path."


@dataclass(frozen=True)
class Prefix:
    """What a script's location may begin with."""

    text: str
    "As written."
    scheme: str
    host: str | None
    "None: any."
    port: int | None
    "None: any."
    path: tuple[str, ...]

    def covers(self, location: Location) -> bool:
        """Whether `location` begins like this; a path ends with a whole segment."""
        if self.scheme == "file":
            path = _real(Path("/", *self.path))
            return location.scheme == "file" and location.path[: len(path)] == path
        return (
            self.scheme == location.scheme
            and self.host in (None, location.host)
            and self.port in (None, location.port)
            and location.path[: len(self.path)] == self.path
        )


@dataclass(frozen=True)
class AllowList:
    """The prefixes; a URI that begins with none of them is refused."""

    prefixes: tuple[Prefix, ...]

    @classmethod
    def parse(cls, text: str) -> AllowList:
        """
        The list that a setting's text means. Raises ValueError: a part is not a prefix; it is not repeated, since it
        may contain a password.
        """
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return cls(tuple(_prefix(part) for part in parts))

    def __str__(self) -> str:
        return ",".join(prefix.text for prefix in self.prefixes)

    def allows(self, location: Location) -> bool:
        """Whether a script may be fetched from this location."""
        return any(prefix.covers(location) for prefix in self.prefixes)


def locate(uri: str) -> Location:
    """
    Where a URI leads; a file's links are followed as they are now.

    Args:
        uri: `http://`, `https://`, `file://`, a path, or the `sluice:NAME` of a ready transform.

    Raises:
        SettingError: it does not lead to a place where a script could be. The text has the reason, without a part of
            the URI that may be a secret.
    """
    scheme = scheme_of(uri)
    if scheme in ("", "file"):
        return Location("file", "", 0, _real(path_of(uri)))
    if scheme == OURS:
        return Location(OURS, "", 0, (uri.partition(":")[2],))
    if scheme not in PORTS:
        raise SettingError(f"{scheme}:// is not supported; use http://, https://, file:// or a path")
    if "@" in uri.partition("://")[2].partition("/")[0]:
        raise SettingError("the URI must not contain a user and password: SHOW STREAMS shows it to all users")
    try:
        parts = urlsplit(uri)
        port = PORTS[scheme] if parts.port is None else parts.port
    except ValueError:
        raise SettingError(f"it is not a URI of the form {scheme}://host:port/path") from None
    if not parts.hostname:
        raise SettingError("it names no host")
    return Location(scheme, _host(parts), port, _segments(parts.path))


def refusal(uri: str, allow: AllowList) -> str | None:
    """Why a script at `uri` is not fetched, whether or not it exists; None if it may be."""
    try:
        location = locate(uri)
    except (SettingError, ValueError) as error:
        return str(error)
    if location.scheme == OURS:
        return None
    is_file = location.scheme == "file" and not is_folder(uri)
    if is_file and not path_of(uri).name.endswith((SUFFIX, ARCHIVE)):
        return f"the name of a script's file has to end with {SUFFIX} or {ARCHIVE}, and a folder's with /"
    if not allow.allows(location):
        return f"{SETTING} does not allow it; it allows {allow}"
    if is_file and not location.path[-1].endswith((SUFFIX, ARCHIVE)):
        return f"it is a link to a file whose name does not end with {SUFFIX} or {ARCHIVE}"
    return None


def scheme_of(uri: str) -> str:
    """The scheme of a URI, in lower case; empty for a path."""
    if uri.startswith(f"{OURS}:"):
        return OURS
    return uri.partition("://")[0].lower() if "://" in uri else ""


def is_folder(uri: str) -> bool:
    """Whether a URI is that of a folder on this machine, which ends with a slash."""
    return uri.endswith("/") and scheme_of(uri) in ("", "file")


def path_of(uri: str) -> Path:
    """The path that a `file://` URI, or a path, names. Raises SettingError if it names another machine."""
    if scheme_of(uri) != "file":
        return Path(uri)
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise SettingError("file:// takes no host, as in file:///srv/transform.py")
    return Path(unquote(parts.path))


def shown(uri: str) -> str:
    """A URI as errors and logs may contain it: without what may be a user and a password."""
    authority = uri.partition("://")[2].partition("/")[0]
    # If the port is not a number, what is meant as a password may contain a slash.
    well_formed = re.fullmatch(r"[^@:]*(:\d*)?|\[[^@]*\](:\d*)?", authority) is not None
    return uri if well_formed else re.sub(r"(?<=://).*@", "***@", uri)


def _prefix(text: str) -> Prefix:
    scheme = scheme_of(text)
    if scheme == "file":
        if not text[len("file://") :].startswith("/"):
            raise ValueError("file:// takes no host: file:///srv/transforms/")
        return Prefix(text, scheme, "", 0, Path(unquote(text[len("file://") :])).parts[1:])
    if scheme == OURS:
        name = text.partition(":")[2]
        return Prefix(text, scheme, None, None, (name,) if name else ())
    if scheme not in PORTS:
        raise ValueError("expected prefixes that begin with https://, http:// or file:///, separated by commas")
    rest = text.partition("://")[2]
    if not rest:
        return Prefix(text, scheme, None, None, ())
    authority, _, path = rest.partition("/")
    any_port = authority.endswith(":*")
    try:
        location = locate(f"{scheme}://{authority.removesuffix(':*')}/{path}")
    except SettingError as error:
        raise ValueError(str(error)) from None
    return Prefix(text, scheme, location.host, None if any_port else location.port, location.path)


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    try:
        return ipaddress.ip_address(name).compressed
    except ValueError:
        return name.removesuffix(".")


def _segments(path: str) -> tuple[str, ...]:
    """
    A URI's path in parts, however often it was encoded. A path that a server may read as a different one is refused.
    """
    decoded = path
    while (further := unquote(decoded)) != decoded:
        decoded = further
    segments = tuple(decoded.split("/")[1:])
    if {".", ".."} & set(segments) or "\\" in decoded or decoded.count("/") != path.count("/"):
        raise SettingError("its path contains ., .. or an encoded slash")
    return segments[:-1] if segments and not segments[-1] else segments


def _real(path: Path) -> tuple[str, ...]:
    return Path(os.path.realpath(path)).parts[1:]
