"""
Who is to blame if the server has too little memory for a transaction: the transaction, or whatever else is in there.
"""

from __future__ import annotations

from dataclasses import replace

from sluice.errors import QueryRefused
from sluice.persistence.memory import MEBIBYTE, Memory, limited, memory_of
from sluice.persistence.server_facts import ServerFacts
from sluice.persistence.transaction import Transaction

LACKING = "memory limit exceeded"
"In the text of such a refusal, in lower case."

ENOUGH = 0.25
"Share of the server's memory that is enough for any one message: if it is not, the message is to blame."

OWN_SHARE = 0.9
"Share of what is left that a transaction may take that was refused before, so that other clients can go on."

TRIES = 5
"Refusals of a transaction that cannot be divided, each with enough memory left, after which it is to blame."


def lacks_memory(error: QueryRefused) -> bool:
    """Whether that is why the server has refused it."""
    return LACKING in str(error).lower()


class MemoryTrial:
    """
    One transaction that is tried again and again.

    Threads: for the thread that owns the connection, with nothing in flight.
    """

    def __init__(self, server: ServerFacts) -> None:
        self._server = server
        self._refusals = 0
        self._limit = 0
        "Bytes that each query may take; 0: there is no limit but the server's."

    def next_try(self, transaction: Transaction) -> Transaction:
        """The transaction as it is to be sent next."""
        if not self._limit:
            return transaction
        return replace(transaction, queries=limited(transaction.queries, self._limit))

    def is_over(self, error: QueryRefused) -> bool:
        """
        Takes down that the last try was refused, whyever. Returns whether it had a limit of its own and was refused for
        another reason, so that it has to be tried without.
        """
        had_limit, self._limit = self._limit, 0
        return bool(had_limit) and not lacks_memory(error)

    def fault(self, error: QueryRefused, *, tries: int = TRIES) -> QueryRefused | None:
        """
        What to say of a transaction for which the server lacked memory; None: it is not to blame, or not yet.

        Args:
            tries: refusals with enough memory left that prove it.
        """
        memory = memory_of(self._server)
        if memory is None or memory.left < ENOUGH * memory.limit:
            return None
        self._refusals += 1
        self._limit = int(memory.left * OWN_SHARE)
        if self._refusals < tries:
            return None
        text = f"it takes more memory than there is{_shown(memory)}: {error}"
        return QueryRefused(text, code=error.code, index=error.index)


def _shown(memory: Memory) -> str:
    if not memory.limit:
        return ""  # it is the query's own limit
    return f", {memory.left // MEBIBYTE} MiB of the {memory.limit // MEBIBYTE} MiB of --memory-limit"
