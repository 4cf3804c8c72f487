"""
Schema versions of the metadata nodes, and the migration from an older version to this one.

The catalog node holds the version of the nodes below it. A change that an older Sluice would ignore (a new property, a
new kind of node at a checkpoint) needs no new version; one that it would misread does. To make a new version, increment
SCHEMA_VERSION and add to MIGRATIONS how the nodes get there.

The supervisor migrates an older schema in one transaction, when the module is loaded and no worker runs. Procedures and
supervisor refuse a newer one, which a newer Sluice has written, and change nothing of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from sluice import __version__
from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, error_of
from sluice.errors import GraphError, SchemaError

log = logging.getLogger("sluice.persistence.schema")

SCHEMA_VERSION = 1
"The version of this Sluice; on catalog nodes as `schema_version`."

MIGRATIONS: Mapping[int, Sequence[str]] = {}
"""
From each older version to the next: statements that are run in order, with the catalog's id as `$catalog`. They begin
at the catalog, `MATCH (c:SluiceCatalog) WHERE id(c) = $catalog`, since nothing else can be found without scanning the
whole graph.
"""

# First: of two concurrent migrations one conflicts here, before it has done anything.
SET_VERSION = "MATCH (c:SluiceCatalog) WHERE id(c) = $catalog SET c.schema_version = $version"


def check_version(found: object, catalog: int) -> None:
    """
    Raises SchemaError unless a catalog's `schema_version` is that of this Sluice.

    Args:
        found: the property; None where there is none.
        catalog: the node's id.
    """
    if found == SCHEMA_VERSION:
        return
    version = found if isinstance(found, int) else 0
    older = version in MIGRATIONS
    what = f"the streams' nodes in this graph are of schema version {found}, and Sluice {__version__} is for "
    what += f"{SCHEMA_VERSION}: "
    if older:
        what += "they are being migrated on the MAIN instance, which takes a moment; try again"
    else:
        what += "they are not changed, and no stream runs; install the Sluice that wrote them, or a newer one"
    raise SchemaError(what, catalog=catalog, version=version, older=older)


def migrate(connection: Connection, catalog: int, version: int, timeout: float) -> None:
    """
    Migrates a catalog, and what is below it, from an older version to this one: everything or nothing.

    Args:
        version: the catalog's.
        timeout: in seconds, for all statements together.

    Raises:
        GraphError: nothing was changed; or, if the answer to the commit was lost, perhaps everything.
    """
    statements = [SET_VERSION, *(text for step in range(version, SCHEMA_VERSION) for text in MIGRATIONS[step])]
    parameters = {"catalog": catalog, "version": SCHEMA_VERSION}
    requests = [messages.begin()]
    for statement in statements:
        requests += [messages.run(statement, parameters), messages.pull()]
    requests.append(messages.commit())
    replies = connection.exchange(
        b"".join(map(frame, requests)), len(requests), commit_at=len(requests) - 1, timeout=timeout
    )
    for reply in replies:
        if isinstance(reply, Failure):
            connection.reset(timeout=timeout)
            raise GraphError(f"the streams' nodes cannot be brought from schema version {version}: {error_of(reply)}")
    log.warning("the streams' nodes are now of schema version %s; they were of %s", SCHEMA_VERSION, version)
