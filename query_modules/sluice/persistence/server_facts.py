"""
What the server says of itself, of this instance and of the current database. Each question may be forbidden to the
loopback's user, so each says what is assumed then.
"""

from __future__ import annotations

import re
from typing import Any

from sluice.bolt.client import Connection
from sluice.errors import QueryRefused
from sluice.values.merge_keys import Constraint, constraints_of, survives_violations

SHOW_INDEXES = "SHOW INDEX INFO"

OPEN_TRANSACTIONS = "SHOW TRANSACTIONS"

CREATES = re.compile(r"streams`?\s*\.\s*`?create", re.IGNORECASE).search
"Finds in a query's text that it creates a stream."

SHOW_CONSTRAINTS = "SHOW CONSTRAINT INFO"

SHOW_VERSION = "SHOW VERSION"

SHOW_ROLE = "SHOW REPLICATION ROLE"

SHOW_STORAGE = ("SHOW STORAGE INFO", "SHOW STORAGE INFO ON CURRENT DATABASE")
"The first tells of the database up to Memgraph 3.10, and of the server as a whole from 3.11 on, which has the second."

ANALYTICAL = "IN_MEMORY_ANALYTICAL"
ON_DISK = "ON_DISK_TRANSACTIONAL"


class ServerFacts:
    """
    Asks, over one connection.

    Threads: for the thread that owns the connection.
    """

    def __init__(self, connection: Connection, timeout: float) -> None:
        """
        Args:
            timeout: seconds that the server has for each answer.
        """
        self._connection = connection
        self._timeout = timeout
        self._survives: bool | None = None

    def is_main(self) -> bool:
        """Whether this instance may write: it is no replica. True where we may not ask."""
        try:
            rows = self._fetch(SHOW_ROLE)
        except QueryRefused:
            return True
        return not any("replica" in str(value).lower() for row in rows for value in row.values())

    def is_transactional(self) -> bool:
        """Whether what is written in a transaction is taken back with it. True where we may not ask."""
        return self.storage_mode() != ANALYTICAL

    def storage_mode(self) -> str:
        """Memgraph's word for how it stores the graph; empty where we may not ask."""
        for query in SHOW_STORAGE:
            try:
                rows = self._fetch(query)
            except QueryRefused:
                continue
            for row in rows:
                if row.get("storage info") == "storage_mode":
                    return str(row.get("value"))
        return ""

    def may_index_relationships(self) -> bool:
        """Whether there is an index on relationships. True where we may not ask."""
        try:
            rows = self._fetch(SHOW_INDEXES)
        except QueryRefused:
            return True
        return any(str(row.get("index type", "")).startswith("edge") for row in rows)

    def open_creations(self) -> frozenset[str] | None:
        """
        The ids of open transactions in which a stream is created, as far as we may see; None where we may not ask. One
        that is being committed is not shown.
        """
        try:
            rows = self._fetch(OPEN_TRANSACTIONS)
        except QueryRefused:
            return None
        if any("query" not in row or "transaction_id" not in row for row in rows):
            return None
        return frozenset(str(row["transaction_id"]) for row in rows if CREATES(str(row["query"])))

    def uniqueness_constraints(self) -> frozenset[Constraint]:
        """The graph's uniqueness constraints; none where we may not ask."""
        try:
            return constraints_of(self._fetch(SHOW_CONSTRAINTS))
        except QueryRefused:
            return frozenset()

    def survives_violations(self) -> bool:
        """
        Whether the server takes no harm from a COMMIT that a uniqueness constraint refuses (docs/failures.md).

        Asked once: a server does not change its version while we are connected to it.
        """
        if self._survives is None:
            try:
                rows = self._fetch(SHOW_VERSION)
            except QueryRefused:
                rows = []
            self._survives = survives_violations(str(value) for row in rows for value in row.values())
        return self._survives

    def _fetch(self, query: str) -> list[dict[str, Any]]:
        return self._connection.fetch(query, None, timeout=self._timeout)
