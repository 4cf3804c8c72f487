"""
A check is a row: its name, the checks that have to pass first, the function that runs it, and a hint.

`examine` runs rows in their order. Nothing else decides what is checked and what is skipped.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from sluice.errors import GraphError

FROM_HERE = "from this machine"


class Outcome(str, enum.Enum):
    """How a link of the chain is."""

    OK = "ok"
    NOTE = "note"
    "Nothing has to be done, but somebody may wonder."
    FIX = "fix"
    "Something has to be done: the remedy."
    SKIPPED = "skipped"
    "Not looked at, since a check that it needs failed."


class Finding(NamedTuple):
    """What a check found, about one link of the chain."""

    outcome: Outcome
    text: str
    remedy: str = ""
    "What to do, for FIX only; the check's hint says it where this is empty."
    check: str = ""
    "The check's name, filled in by `examine`."

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"check": self.check, "verdict": self.outcome.value, "text": self.text, "remedy": self.remedy}


class CheckFailed(Exception):
    """The check failed, and so the checks that need it are skipped."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.finding = Finding(Outcome.FIX, text, remedy)


class Check(NamedTuple):
    """One row."""

    name: str
    "What users see; rows about other things of the same kind may share it."
    needs: tuple[str, ...]
    "Labels of the rows that have to pass first."
    run: Callable[[], Finding | str | None]
    "Returns what it found: a text alone means that all is well, None that there is nothing to say. Raises CheckFailed."
    hint: str = ""
    "What to do where `run` does not say it."
    of: str = ""
    "What it is about, where there are several rows of one name."

    @property
    def label(self) -> str:
        """Tells the row from all others."""
        return f"{self.name}, {self.of}" if self.of else self.name


def note(text: str) -> Finding:
    """Something to know."""
    return Finding(Outcome.NOTE, text)


def fix(text: str, remedy: str = "") -> Finding:
    """Something to do; the checks that need this one are run nevertheless."""
    return Finding(Outcome.FIX, text, remedy)


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """
    Runs the rows, each when its predecessor's finding has been taken, so that later rows may depend on what was found.

    A row is skipped if one that it needs has failed or was skipped. If the connection to the server is lost, what
    the row needed counts as failed as well.
    """
    failed: dict[str, str] = {}  # label -> label of the row to see
    for check in checks:
        cause = next((failed[need] for need in check.needs if need in failed), None)
        if cause is not None:
            failed[check.label] = cause
            yield Finding(Outcome.SKIPPED, f"not looked at: see {cause}", check=check.name)
            continue
        try:
            found = check.run()
        except CheckFailed as failure:
            found = failure.finding
            failed[check.label] = check.label
        except GraphError as error:
            found = fix(f"the connection was lost: {error}", "see the server's log, then try again")
            failed.update(dict.fromkeys((check.label, *check.needs), check.label))
        if isinstance(found, str):
            found = Finding(Outcome.OK, found)
        if found is not None:
            remedy = found.remedy or (check.hint if found.outcome is Outcome.FIX else "")
            yield found._replace(remedy=remedy, check=check.name)
