"""
What the server reports about itself, this instance and the current database. The loopback's user may lack the privilege
for any of these queries, so each docstring says what is assumed then.
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
"Matches a query's text that creates a stream."

SHOW_CONSTRAINTS = "SHOW CONSTRAINT INFO"

SHOW_VERSION = "SHOW VERSION"

SHOW_ROLE = "SHOW REPLICATION ROLE"

SHOW_STORAGE = ("SHOW STORAGE INFO", "SHOW STORAGE INFO ON CURRENT DATABASE")
"The first is about the database up to Memgraph 3.10, and about the whole server from 3.11 on, which has the second."

ANALYTICAL = "IN_MEMORY_ANALYTICAL"
ON_DISK = "ON_DISK_TRANSACTIONAL"


class ServerFacts:
    """Queries the server over one connection. Threads: only the thread that owns the connection."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        """`timeout`: seconds that the server has for each answer."""
        self._connection = connection
        self._timeout = timeout
        self._survives: bool | None = None

    def is_main(self) -> bool:
        """Whether this instance may write, because it is not a replica. True without the privilege."""
        rows = self._fetch(SHOW_ROLE) or []
        return not any("replica" in str(value).lower() for row in rows for value in row.values())

    def is_transactional(self) -> bool:
        """Whether a rollback undoes what its transaction wrote. True without the privilege."""
        return self.storage_mode() != ANALYTICAL

    def storage_mode(self) -> str:
        """Memgraph's name of its storage mode; empty without the privilege."""
        rows = (row for query in SHOW_STORAGE for row in self._fetch(query) or ())
        return next((str(row.get("value")) for row in rows if row.get("storage info") == "storage_mode"), "")

    def may_index_relationships(self) -> bool:
        """Whether there is an index on relationships. True without the privilege."""
        rows = self._fetch(SHOW_INDEXES)
        return rows is None or any(str(row.get("index type", "")).startswith("edge") for row in rows)

    def open_creations(self) -> frozenset[str] | None:
        """
        The ids of open transactions in which a stream is created, as far as they are visible; None without the
        privilege. A transaction that is being committed is not shown.
        """
        rows = self._fetch(OPEN_TRANSACTIONS)
        if rows is None or any("query" not in row or "transaction_id" not in row for row in rows):
            return None
        return frozenset(str(row["transaction_id"]) for row in rows if CREATES(str(row["query"])))

    def uniqueness_constraints(self) -> frozenset[Constraint]:
        """The graph's uniqueness constraints; none without the privilege."""
        return constraints_of(self._fetch(SHOW_CONSTRAINTS) or [])

    def survives_violations(self) -> bool:
        """
        Whether the server is not harmed by a COMMIT that a uniqueness constraint refuses (docs/failures.md).

        Queried once: a server does not change its version while the connection is open.
        """
        if self._survives is None:
            rows = self._fetch(SHOW_VERSION) or []
            self._survives = survives_violations(str(value) for row in rows for value in row.values())
        return self._survives

    def _fetch(self, query: str) -> list[dict[str, Any]] | None:
        """The result's rows; None without the privilege."""
        try:
            return self._connection.fetch(query, None, timeout=self._timeout)
        except QueryRefused:
            return None
