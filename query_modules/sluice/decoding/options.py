"""The options of formats and ready transforms, as a stream's config has them: read one by one, refused in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice.decoding.refusals import WrongOption

REQUIRED: Final = "\0required"
"Stands for a default where there is none."


class OptionReader:
    """
    Takes options one by one, so that `done` knows which nobody asked for.

    Raises:
        WrongOption: an option is missing, unknown or of a wrong form. The text is one line and names it.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = dict(given)
        self._names = ", ".join(sorted(given))
        self._known: list[str] = []

    def done(self) -> None:
        """Refuses options that nobody has taken."""
        if self._given:
            names = ", ".join(sorted(self._given))
            raise WrongOption(f"unknown option {names}; there are {', '.join(sorted(self._known))}")

    def take(self, name: str, default: Any = None) -> Any:
        """An option of any form."""
        self._known.append(name)
        return self._given.pop(name, default)

    def text(self, name: str, default: str = REQUIRED) -> str:
        """A text that is not empty."""
        found = self.take(name, default)
        if found is REQUIRED:
            raise self._missing(name, "a text")
        if not isinstance(found, str) or not (found.strip() or found == default):
            raise WrongOption(f"the option {name} must be a text, got {found!r}")
        return found

    def texts(self, name: str, default: Sequence[str] | str = REQUIRED) -> list[str]:
        """A text, or a list of different texts."""
        found = self.take(name, default)
        if found is REQUIRED:
            raise self._missing(name, "a text, or a list of texts")
        items = [found] if isinstance(found, str) else found
        right = isinstance(items, (list, tuple)) and all(isinstance(item, str) and item.strip() for item in items)
        if not right or len(set(items)) < len(items):
            raise WrongOption(f"the option {name} must be a text, or a list of different texts, got {found!r}")
        return list(items)

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        found = self.take(name, default)
        if not isinstance(found, bool):
            raise WrongOption(f"the option {name} must be true or false, got {found!r}")
        return found

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """One of a few words."""
        found = self.take(name, default)
        if found not in allowed:
            raise WrongOption(f"the option {name} must be one of {', '.join(allowed)}, got {found!r}")
        return str(found)

    def map(self, name: str) -> Mapping[str, Any]:
        """A map; empty if it was not given."""
        found = self.take(name, {})
        if not isinstance(found, Mapping):
            raise WrongOption(f"the option {name} must be a map, got {found!r}")
        return found

    def _missing(self, name: str, form: str) -> WrongOption:
        given = f"; given are {self._names}" if self._names else ""
        return WrongOption(f"the option {name} is missing: {form}{given}")
