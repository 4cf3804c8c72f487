"""
What cannot be applied: a part of a group, and why.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import parse
from sluice.errors import QueryRefused, TransformError
from sluice.scripting.process import PackedQueries
from sluice.values import failed_message
from sluice.values.batch import Group
from sluice.values.configuration import OnError
from sluice.values.failed_message import FailedMessage

NO_QUERIES = PackedQueries(0, b"")

MAX_MESSAGE = 1 << 30
"Bytes of a query that can be looked into after it was refused."


class Refused(NamedTuple):
    """Batches, or a part of one, that cannot be applied."""

    group: Group
    error: TransformError | QueryRefused
    queries: PackedQueries = NO_QUERIES
    "None at all if it was the transform that refused."

    def entries(self, action: OnError, transform_sha256: str, payload_limit: int) -> list[FailedMessage]:
        """What is to be known of each of the messages."""
        query = refused_query(self.queries, self.error.index if isinstance(self.error, QueryRefused) else None)
        return [
            failed_message.of_message(
                message,
                action=action.value,
                error=self.error,
                query=query,
                transform_sha256=transform_sha256,
                payload_limit=payload_limit,
            )
            for batch in self.group.batches
            for message in batch.messages
        ]


def refused_query(queries: PackedQueries, index: int | None) -> tuple[str, Any] | None:
    """
    Text and parameters of the query that was refused; None if that is not known.

    Args:
        index: which of them; None: the transaction as a whole was refused.
    """
    if index is None and queries.size == 1:
        index = 0  # refused at COMMIT, and there is no other
    if index is None or not 0 <= index < queries.size:
        return None
    requests = MessageBuffer(MAX_MESSAGE).feed(bytes(queries.frames))
    query, parameters, *_ = parse(requests[2 * index]).fields
    return query, parameters


def divided(group: Group, queries: PackedQueries) -> tuple[Group, list[Group | Refused]]:
    """What the queries are of, which may be nothing; and what is to follow: other batches, and one that failed."""
    done, failed, error = queries.batches, queries.failed, queries.error
    if error is None:
        later: list[Group | Refused] = [group.part(done, len(group))]
    else:
        refused = Refused(group.part(failed, failed + 1), error)
        later = [group.part(done, failed), refused, group.part(failed + 1, len(group))]
    return group.part(0, done), [item for item in later if isinstance(item, Refused) or len(item)]
