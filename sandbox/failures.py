"""What the graph complains about, in Memgraph's words as far as somebody reads them."""

from __future__ import annotations

import logging

from sandbox.dialect import assertion_in

log = logging.getLogger("sandbox.failures")

CLIENT_ERROR = "Memgraph.ClientError.MemgraphError.MemgraphError"
TRANSIENT_ERROR = "Memgraph.TransientError.MemgraphError.MemgraphError"

CONFLICT = (
    "Cannot resolve conflicting transactions. "
    "You can retry this transaction when the conflicting transaction is finished"
)


def translated(code: str, message: str) -> tuple[str, str]:
    """The code and the text that Memgraph would have."""
    if ".TransientError." in code:
        log.info("conflict: %s", message)
        return TRANSIENT_ERROR, CONFLICT
    if code.endswith(".ConstraintValidationFailed"):
        return CLIENT_ERROR, f"Unable to commit due to unique constraint violation. {message}"
    return CLIENT_ERROR, assertion_in(message) or message
