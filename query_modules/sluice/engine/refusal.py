"""What cannot be applied, why, and how it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import parse
from sluice.errors import QueryRefused
from sluice.persistence.transaction import NO_QUERIES
from sluice.scripting.process import PackedQueries
from sluice.values.batch import Group

MAX_MESSAGE = 1 << 30
"Bytes of a query that can be looked into after it was refused."

Part = TypeVar("Part")
"Messages that are applied together: a group of batches, or parked messages."


@dataclass(frozen=True)
class Refused(Generic[Part]):
    """A part that cannot be applied."""

    part: Part
    error: Exception
    queries: PackedQueries = NO_QUERIES
    "None at all if it was the transform that refused."

    def query(self, skipped: int = 0) -> tuple[str, Any] | None:
        """
        Text and parameters of the query that was refused; None if that is not known.

        Args:
            skipped: queries of the transaction before these.
        """
        index = self.error.index if isinstance(self.error, QueryRefused) else None
        return refused_query(self.queries, None if index is None else index - skipped)


def bisect(
    items: Sequence[Part | Refused[Part]],
    attempt: Callable[[Part], Sequence[Part | Refused[Part]]],
    halves: Callable[[Part], Sequence[Part]],
) -> Iterator[Refused[Part]]:
    """
    Finds what cannot be applied: parts are attempted in order, and what is refused is attempted again in halves.

    Args:
        attempt: applies a part, or as much of it as can be at once; gives what is left of it, in order.
        halves: a part in two; empty if it cannot be divided.

    Returns:
        those that are refused and cannot be divided. Each is dealt with before the next part is attempted.
    """
    untried = list(reversed(items))
    while untried:
        item = untried.pop()
        if not isinstance(item, Refused):
            untried += reversed(attempt(item))
        elif parts := halves(item.part):
            untried += reversed(parts)
        else:
            yield item


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


def divided(group: Group, queries: PackedQueries) -> tuple[Group, list[Group | Refused[Group]]]:
    """What the queries are of, which may be nothing; and what is to follow: other batches, and one that failed."""
    done, failed, error = queries.batches, queries.failed, queries.error
    if error is None:
        later: list[Group | Refused[Group]] = [group.part(done, len(group))]
    else:
        refused = Refused(group.part(failed, failed + 1), error)
        later = [group.part(done, failed), refused, group.part(failed + 1, len(group))]
    return group.part(0, done), [item for item in later if isinstance(item, Refused) or len(item)]
