"""
Whether transforms are confined (`SLUICE_TRANSFORM_SANDBOX`), and what they may use then besides what each may: the list
of `SLUICE_TRANSFORM_ACCESS`.

    entries = entry {"," entry}
    entry   = what ["@" URI prefix]
    what    = "network" | an absolute path [":rw"]

An entry without a URI prefix is for all transforms; with one (as in `SLUICE_TRANSFORM_ALLOW`), for those whose script
this server has fetched from there. Only the administrator widens what scripts may do: a stream's config is written by
the users that the confinement is for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from sluice.errors import SettingError
from sluice.host.allow_list import AllowList, locate

SANDBOX, VARIABLE = "SLUICE_TRANSFORM_SANDBOX", "SLUICE_TRANSFORM_ACCESS"

CONFINEMENT = "transform confinement"
"What `streams.settings` calls that which comes of the two and of the machine."

NETWORK = "network"
WRITABLE = ":rw"


class Sandbox(str, Enum):
    """Whether transforms are confined."""

    OFF = "off"
    AUTO = "auto"
    "As far as the machine can."
    ON = "on"
    "One that cannot be confined does not run."

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str) -> Sandbox:
        """What a setting's text means. Raises ValueError."""
        try:
            return cls(text.lower())
        except ValueError:
            raise ValueError(f"expected {', '.join(cls)}") from None


class Access(NamedTuple):
    """What one transform may use."""

    network: bool = False
    reads: tuple[str, ...] = ()
    "Files and folders, with all below them."
    writes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One of the list."""

    text: str
    "As it was written."
    what: str
    places: AllowList | None
    "None: for all transforms."

    def covers(self, uri: str | None) -> bool:
        """Whether it is for the script at `uri`; None: where the script is from is not known for sure."""
        if self.places is None:
            return True
        try:
            return uri is not None and self.places.allows(locate(uri))
        except (SettingError, ValueError):
            return False


@dataclass(frozen=True)
class TransformAccess:
    """The list."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, text: str) -> TransformAccess:
        """The list that a setting's text means. Raises ValueError."""
        return cls(tuple(_entry(part.strip()) for part in text.split(",") if part.strip()))

    def __str__(self) -> str:
        return ",".join(entry.text for entry in self.entries)

    def of(self, uri: str | None) -> Access:
        """What the script at `uri` may use; None: where it is from is not known for sure."""
        given = [entry.what for entry in self.entries if entry.covers(uri)]
        paths = [what for what in given if what != NETWORK]
        return Access(
            NETWORK in given,
            tuple(path for path in paths if not path.endswith(WRITABLE)),
            tuple(path.removesuffix(WRITABLE) for path in paths if path.endswith(WRITABLE)),
        )


def _entry(text: str) -> Entry:
    what, bound, place = text.partition("@")
    if what != NETWORK and not os.path.isabs(what):
        raise ValueError(f"expected {NETWORK}, or absolute paths, {WRITABLE} after those to be written, commas between")
    if bound and not place:
        raise ValueError("expected a URI prefix after @, as in network@https://scripts.example.org/")
    return Entry(text, what, AllowList.parse(place) if bound else None)
