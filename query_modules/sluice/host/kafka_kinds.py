"""
Kinds of librdkafka's properties: which values are valid, and how an invalid one is refused.

A refusal is the rest of a sentence that begins with the property's name. It repeats only integers, switches and
choices, cut if they are long: anything else may be a secret in the wrong place.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

REFERENCES = ("env:", "file:")
"What a value that refers to a secret begins with."

MAX_TEXT = 4096
"Maximum length of a text, in characters."

MAX_PEM = 1 << 20
"Maximum length of certificates, in characters."

MAX_SHOWN = 40
"How many characters of a wrong value an error may repeat."

MESSAGE_OVERHEAD = 300
"Memory that librdkafka needs for a message in addition to its payload, in bytes."

RESPONSE_DEFAULT = 100_000_000
"librdkafka's default for the size of a broker's response, in bytes."

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")  # librdkafka would read 010 as 8
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_URL = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/[!-~]*)?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Cap(enum.Enum):
    """What `SLUICE_FETCH_BUFFER_KB` means for a property."""

    KILOBYTES = "SLUICE_FETCH_BUFFER_KB"
    BYTES = "SLUICE_FETCH_BUFFER_KB in bytes"
    MESSAGES = f"SLUICE_FETCH_BUFFER_KB, {MESSAGE_OVERHEAD} bytes a message"
    RESPONSE = f"SLUICE_FETCH_BUFFER_KB in bytes and 512, or {RESPONSE_DEFAULT} if that is more"

    def of(self, buffer_kb: int) -> int:
        """The largest value if a consumer may hold `buffer_kb` KiB."""
        if self is Cap.KILOBYTES:
            return buffer_kb
        if self is Cap.BYTES:
            return buffer_kb * 1024
        if self is Cap.MESSAGES:
            return max(1, buffer_kb * 1024 // MESSAGE_OVERHEAD)
        return max(RESPONSE_DEFAULT, buffer_kb * 1024 + 512)


class PropertyKind(Protocol):
    """What a property's value may be."""

    def refusal(self, value: str, buffer_kb: int) -> str:
        """
        Why the property cannot have this value, as "must be ..."; empty if it can.

        Args:
            value: as it would be stored: text, not resolved.
            buffer_kb: `SLUICE_FETCH_BUFFER_KB`.
        """

    @property
    def allowed(self) -> str:
        """What it may be, for the documentation."""


@dataclass(frozen=True)
class Integer:
    """A decimal integer from `low` to `high`, or to the limit of `cap` if that is lower."""

    low: int
    high: int
    cap: Cap | None = None

    def refusal(self, value: str, buffer_kb: int) -> str:
        high = self.high if self.cap is None else min(self.high, self.cap.of(buffer_kb))
        if _INTEGER.fullmatch(value) and self.low <= int(value) <= high:
            return ""
        by = "" if self.cap is None else f" ({self.cap.value})"
        return f"must be an integer from {self.low} to {high}{by}, got {_shown(value)}"

    @property
    def allowed(self) -> str:
        return f"{self.low} to {self.high if self.cap is None else self.cap.value}"


@dataclass(frozen=True)
class Switch:
    """True or false."""

    def refusal(self, value: str, buffer_kb: int) -> str:
        return "" if value in ("true", "false") else f"must be true or false, got {_shown(value)}"

    @property
    def allowed(self) -> str:
        return "true, false"


@dataclass(frozen=True)
class Choice:
    """One of several words, in any case unless it is `exact`."""

    words: tuple[str, ...]
    exact: bool = False

    def refusal(self, value: str, buffer_kb: int) -> str:
        if value in self.words or (not self.exact and value.lower() in self.words):
            return ""
        return f"must be one of {self.allowed}, got {_shown(value)}"

    @property
    def allowed(self) -> str:
        return ", ".join(self.words)


@dataclass(frozen=True)
class Text:
    """Printable text; only of certain characters if there is a pattern."""

    pattern: str = r".+"

    def refusal(self, value: str, buffer_kb: int) -> str:
        if not _is_text(value):
            return f"must be printable text that does not begin with a blank, of at most {MAX_TEXT} characters"
        return "" if re.fullmatch(self.pattern, value) else "has characters that it cannot have"

    @property
    def allowed(self) -> str:
        return "printable text"


NAMES = Text(r"[A-Za-z0-9_:+!@=.,-]+")
"Names from OpenSSL, and their separators."


@dataclass(frozen=True)
class Pem:
    """Certificates, which are no secret."""

    def refusal(self, value: str, buffer_kb: int) -> str:
        right = "-----BEGIN CERTIFICATE-----" in value and "PRIVATE KEY" not in value and len(value) <= MAX_PEM
        plain = all(character.isprintable() or character in "\r\n\t" for character in value)
        return "" if right and plain else f"must be {self.allowed}"

    @property
    def allowed(self) -> str:
        return "certificates in PEM format, and nothing else"


@dataclass(frozen=True)
class Reference:
    """
    A secret, which is always a reference; or a user name (`literal`), which may also be written out.

    `pem`: the secret has line breaks.
    """

    literal: bool = False
    pem: bool = False

    def refusal(self, value: str, buffer_kb: int) -> str:
        if value.startswith("env:"):
            named = _VARIABLE.fullmatch(value.removeprefix("env:"))
            return "" if named else "must name a variable after env:, of letters, digits and _"
        if value.startswith("file:"):
            right = _is_absolute(value.removeprefix("file:"))
            return "" if right else "must have an absolute path after file:, without control characters"
        if self.literal:
            return "" if _is_text(value) else "must be printable text that does not begin with a blank, or a reference"
        return "is a secret, and would be stored in the graph: give env:NAME or file:PATH instead"

    def content_refusal(self, value: str) -> str:
        """Why what was referred to cannot be the value, as "has ..."; empty if it can."""
        if not value:
            return "is empty"
        if value[0].isspace() and not self.pem:
            return "begins with a blank, which librdkafka would cut off"
        if any(character < " " and character not in ("\t\r\n" if self.pem else "\t") for character in value):
            return "has control characters in it"
        return ""

    @property
    def allowed(self) -> str:
        return "text, or `env:NAME`, `file:PATH`" if self.literal else "`env:NAME`, `file:PATH`"


@dataclass(frozen=True)
class File:
    """
    A file that librdkafka reads by itself.

    `authorities`: it contains certificates of authorities, so it may be a folder, or one of the system's own. The word
    `probe` makes librdkafka look for those.
    """

    authorities: bool = False

    def refusal(self, value: str, buffer_kb: int) -> str:
        if _is_absolute(value) or (self.authorities and value == "probe"):
            return ""
        return "must be an absolute path without control characters" + (", or probe" if self.authorities else "")

    @property
    def allowed(self) -> str:
        return "path of a file or folder, `probe`" if self.authorities else "path of a file"


@dataclass(frozen=True)
class Url:
    """Where secrets are sent by HTTP."""

    def refusal(self, value: str, buffer_kb: int) -> str:
        return "" if self.place(value) else f"must be a URL: {self.allowed}, without user, password or fragment"

    def place(self, value: str) -> str:
        """The host and port that it leads to; empty if it cannot be used."""
        match = _URL.fullmatch(value)
        if match is None or not value.isascii() or any(character in value for character in "@\\#"):
            return ""
        scheme, host, port = match[1], match[2].lower(), int(match[3] or (443 if match[1] == "https" else 80))
        secure = scheme == "https" or host in _LOOPBACK
        return f"{host}:{port}" if secure and 1 <= port <= 65535 else ""

    @property
    def allowed(self) -> str:
        return "`https://host:port/path`, or `http://` on the server's own machine"


def _shown(value: str) -> str:
    # A longer value, or one with several lines, is not a typing error: it may be a key in the wrong place.
    return repr(value) if len(value) <= MAX_SHOWN and value.isprintable() else "something else"


def _is_text(value: str) -> bool:
    return 0 < len(value) <= MAX_TEXT and value.isprintable() and not value[0].isspace()


def _is_absolute(value: str) -> bool:
    return len(value) <= MAX_TEXT and value.isprintable() and PurePosixPath(value).is_absolute()
