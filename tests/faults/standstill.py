"""How long streams make no progress while there are messages for them, and nothing is being done to them."""

from __future__ import annotations

from collections.abc import Mapping

MAX_STANDSTILL = 60.0
"Seconds without progress that a stream may need after what stopped it has gone."


class Standstills:
    """
    Counts the seconds that each stream stands still, and keeps the longest time of all.

    Threads: the round's.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        "Seconds."
        self.longest_of = ""
        "The stream that needed them."
        self._at: dict[str, Mapping[int, int]] = {}
        self._waited: dict[str, float] = {}

    def begin(self) -> None:
        """Something was done to the streams; from now on they are left alone."""
        self._at.clear()
        self._waited.clear()

    def saw(self, name: str, positions: Mapping[int, int], *, behind: bool, seconds: float) -> float:
        """
        A stream was looked at.

        Args:
            behind: whether there are messages after its positions.
            seconds: since the look before this one.

        Returns:
            the seconds for which it has stood still.
        """
        moved = not behind or positions != self._at.get(name)
        waited = 0.0 if moved else self._waited[name] + seconds
        self._at[name], self._waited[name] = positions, waited
        if waited > self.longest:
            self.longest, self.longest_of = waited, name
        return waited
