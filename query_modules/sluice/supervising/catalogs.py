"""Where the supervisor finds the streams: the catalog nodes, which procedures make."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from sluice.errors import QueryRefused
from sluice.persistence.loopback import Loopback
from sluice.persistence.names import distinct_names
from sluice.persistence.stream_row import StreamRow
from sluice.supervising.founding import Founding
from sluice.supervising.shared_state import SharedState

log = logging.getLogger("sluice.supervisor")

SEARCH_SHARE = 20
"A search of the whole graph is not repeated before so many times its own duration has passed."


class Catalogs:
    """The catalogs there are, and the streams below them, as committed. Threads: the supervisor's."""

    def __init__(self, shared: SharedState) -> None:
        self._shared = shared
        self._founding = Founding()
        self._searched = False
        self._next_search = 0.0

    def begin(self) -> None:
        """Others may have changed the graph: if no catalog is known, one is looked for."""
        self._searched = False

    def look(self, loopback: Loopback) -> list[StreamRow]:
        """
        All streams there are, each with a name of its own. Raises SchemaError, and as `Loopback`.

        The first CREATE makes the catalog, nobody before that: an instance that has ever written by itself cannot
        become a replica any more (`ReplicationStorageClient::CheckReplicaState`), and many begin as twins of their
        main one.
        """
        shared, found = self._shared, False
        rows: list[StreamRow] = []
        for catalog in shared.catalogs():
            listed = loopback.list_streams(catalog)
            if listed is not None:
                shared.announce_catalog(catalog)
                found = True
                rows += listed
            elif self._founding.has_failed(loopback, shared.catalog_begun(catalog)):
                shared.forget_catalog(catalog)
                self._searched = False  # another graph may have taken the place of this one: RECOVER SNAPSHOT
        if found:
            shared.no_catalog = False
        elif not self._searched or (time.monotonic() >= self._next_search and shared.take_catalog_wanted()):
            self._search(loopback)
        self._rename_doubles(loopback, rows)
        return rows

    def _search(self, loopback: Loopback) -> None:
        """Looks for catalogs in the whole graph."""
        began = time.monotonic()
        found = loopback.find_catalogs()
        for catalog in found:
            self._shared.announce_catalog(catalog)
        self._searched = True
        self._shared.no_catalog = not found
        self._next_search = time.monotonic() + SEARCH_SHARE * (time.monotonic() - began)
        if found:
            self._shared.ring()

    def _rename_doubles(self, loopback: Loopback, rows: list[StreamRow]) -> None:
        """Makes the names of streams what procedures show already, where several have the same."""
        names = {row.stream_id: row.properties["name"] for row in rows if isinstance(row.properties["name"], str)}
        for stream, name in distinct_names(names).items():
            if name != names[stream]:
                with suppress(QueryRefused):  # a procedure changes it just now
                    loopback.rename(stream, names[stream], name)
                    log.warning("stream %s: two have that name, and the newer is now called %s", names[stream], name)
