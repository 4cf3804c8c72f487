"""What the shim did since it began, counted, for whoever watches it."""

from __future__ import annotations

from collections import Counter

from sluice_tools.shim.settings import Address


class Meter:
    """Bytes. An object, so that the hot path adds to one attribute and looks up nothing."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class Statistics:
    """Counts of one shim. Threads: the event loop's counts; any may read, each count by itself."""

    def __init__(self) -> None:
        self.open = 0
        "Clients that are there."
        self.accepted = 0
        "Clients that were there, the refused ones among them."
        self.refused_for_limit = 0
        "... that were reset since there were too many."
        self.refused_for_server = 0
        "... since the server could not be reached."
        self.upstream: Address | None = None
        "The server that clients are connected to; None: it is not known which is MAIN."
        self.from_clients = Meter()
        self.from_server = Meter()
        self.clauses: Counter[str] = Counter()
        "A clause's keywords -> how many were translated, or refused unread."
        self.failed_clauses: Counter[str] = Counter()
        "... -> how many the server refused, or failed."
