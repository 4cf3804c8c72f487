"""What the doctor says."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

FROM_HERE = "from this machine"


class Verdict(str, enum.Enum):
    """How a link of the chain is."""

    OK = "ok"
    NOTE = "note"
    "Nothing has to be done, but somebody may wonder."
    FIX = "fix"
    "Something has to be done: the remedy."
    SKIPPED = "skipped"
    "Not looked at, since what it needs is not well."


@dataclass(frozen=True)
class Finding:
    """One link of the chain."""

    check: str
    verdict: Verdict
    text: str
    remedy: str = ""
    "What to do; for FIX only."

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"check": self.check, "verdict": self.verdict.value, "text": self.text, "remedy": self.remedy}


class Trouble(Exception):
    """What was to be looked at is not well; carries what to say about it."""

    def __init__(self, check: str, text: str, remedy: str) -> None:
        super().__init__(text)
        self.finding = Finding(check, Verdict.FIX, text, remedy)


def ok(check: str, text: str) -> Finding:
    """It is well."""
    return Finding(check, Verdict.OK, text)


def note(check: str, text: str) -> Finding:
    """Something to know."""
    return Finding(check, Verdict.NOTE, text)


def fix(check: str, text: str, remedy: str) -> Finding:
    """Something to do."""
    return Finding(check, Verdict.FIX, text, remedy)


def skipped(checks: tuple[str, ...], reason: str) -> Iterator[Finding]:
    """These were not looked at."""
    for check in checks:
        yield Finding(check, Verdict.SKIPPED, f"not looked at: {reason}")
