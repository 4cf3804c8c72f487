"""How tests talk to a host: through the neo4j Python driver, as users do."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import neo4j


class Bolt:
    """
    A host's address and the way in. Holds one driver, made when it is first asked for and anew after `close`.

    Threads: the test's thread; the driver itself may be used by any.
    """

    def __init__(self, uri: str, user: str = "", password: str = "") -> None:
        self.uri = uri
        self._user = user
        self._password = password
        self._driver: neo4j.Driver | None = None

    def driver(self) -> neo4j.Driver:
        """The driver; `close` closes it."""
        if self._driver is None:
            self._driver = self.new_driver()
        return self._driver

    def new_driver(self) -> neo4j.Driver:
        """A driver of the caller's own, which the caller closes."""
        return neo4j.GraphDatabase.driver(
            self.uri,
            auth=(self._user, self._password) if self._user else None,
            connection_timeout=10.0,
            max_transaction_retry_time=10.0,
            telemetry_disabled=True,
        )

    def run(self, query: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Run one query in a transaction of its own; one dictionary per record, vertices as in `Record.data`."""
        with self.driver().session() as session:
            return session.run(query, parameters).data()

    def answers(self) -> bool:
        """
        Whether it runs queries now.

        Raises:
            neo4j.exceptions.DriverError, neo4j.exceptions.Neo4jError: it does not.
        """
        with closing(self.new_driver()) as driver, driver.session() as session:
            return bool(session.run("RETURN 1 AS one").single(strict=True)["one"] == 1)

    def close(self) -> None:
        """Close the driver and with it every connection."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()
