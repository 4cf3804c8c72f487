"""The transaction that a client is in."""

from __future__ import annotations

from sandbox.claims import Claims, Transaction


class ClientTransaction:
    """
    At most one transaction at a time: the client's (explicit), or the one of a call that is in no other.

    Threads: for the session's thread.
    """

    def __init__(self, claims: Claims) -> None:
        self.explicit = False
        "Whether it is the client's."
        self._claims = claims
        self._current: Transaction | None = None

    def begin(self, *, explicit: bool) -> Transaction:
        """Begin one, unless there is one already."""
        if self._current is None:
            self._current = self._claims.begin()
            self.explicit = explicit
        return self._current

    def end(self, *, committed: bool) -> None:
        """End it, if there is one."""
        if self._current is not None:
            self._claims.end(self._current, committed=committed)
        self._current = None
        self.explicit = False
