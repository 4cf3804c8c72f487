"""
What has become of a catalog that a procedure made, and that is not in what is committed.

No procedure learns how its transaction ends. Until that is known no other transaction may make a catalog, since two
that do so have no vertex in common that could make them conflict.
"""

from __future__ import annotations

import time

from sluice.persistence.loopback import Loopback

GRACE = 1.0
"""
Seconds after which a catalog that is not committed, with no transaction open that creates a stream, is taken for rolled
back. The server does not show transactions that are being committed.
"""

BLIND_GRACE = 10.0
"... where the server does not say which transactions are open."

ASKING = 0.25
"Seconds between two looks at which transactions are open."


class Founding:
    """Looks after catalogs that are not committed yet. Threads: the supervisor's."""

    def __init__(self) -> None:
        self._begun = 0.0
        "When the catalog that is asked about was made: `time.monotonic`."
        self._next_look = 0.0
        self._suspects: frozenset[str] | None = None
        """
        The transactions, by id, that may have made it: those that were open when it was first asked about, and still
        are. Later ones are refused until it is known, and do not count, or tries in a row would never let it be known.
        """
        self._open_at = 0.0
        "When one of them was last seen open: `time.monotonic`."
        self._is_blind = False

    def has_failed(self, loopback: Loopback, begun: float | None) -> bool:
        """
        Whether a catalog that is not there will not be.

        Args:
            begun: when it was made: `time.monotonic`; None: it was committed before, so it has been deleted.
        """
        if begun is None:
            return True
        now = time.monotonic()
        if begun != self._begun:
            self._begun, self._suspects, self._next_look = begun, None, now
        if now >= self._next_look:
            self._next_look = now + ASKING
            opened = loopback.server.open_creations()
            self._is_blind = opened is None
            if opened is not None:
                self._suspects = opened if self._suspects is None else self._suspects & opened
            if self._suspects:
                self._open_at = now
        return now - max(begun, self._open_at) >= (BLIND_GRACE if self._is_blind else GRACE)
