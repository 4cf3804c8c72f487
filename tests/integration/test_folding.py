"""Folded or one by one, a batch does the same to the graph: on any host, for random batches."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis.errors import NoSuchExample

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Records, Success
from sluice.folding import Folder
from tests.hosts import Host
from tests.unit.folding.batches import Query, batches, named
from tests.unit.folding.graphs import Graph, form

EXAMPLES = int(os.environ.get("FOLDING_EXAMPLES", "300"))

PULL = frame(messages.pull())

_VERTICES = """
MATCH (n) WHERE n:A~ OR n:B~ OR n:C~ OR n.k~ IS NOT NULL OR n.v~ IS NOT NULL OR n.w~ IS NOT NULL
RETURN id(n), labels(n), properties(n)
"""
_EDGES = "MATCH (n)-[r:R~|S~|T~]->(m) RETURN id(n), id(m), type(r), properties(r)"


class Refused(Exception):
    """The host refused one of the queries."""


class Database:
    """
    A connection to a host, to see what queries do to the vertices of some labels. Nothing they do remains.
    """

    def __init__(self, connection: Connection, ending: str) -> None:
        self._connection = connection
        self._ending = ending

    def after(self, *batches: Sequence[Query]) -> tuple[Any, ...]:
        """The form of the graph after some batches of queries. Raises Refused."""
        request = bytearray(frame(messages.begin()))
        queries = [query for batch in batches for query in batch]
        for text, parameters in queries:
            request += frame(messages.run(text, parameters)) + PULL
        replies = self._connection.exchange(bytes(request), 1 + 2 * len(queries))
        try:
            for reply in replies:
                if isinstance(reply, Failure):
                    raise Refused(reply.message)
            vertices = self._rows(named(_VERTICES, self._ending))
            edges = self._rows(named(_EDGES, self._ending))
            return form(Graph(vertices, edges))
        finally:
            self._connection.reset()

    def _rows(self, query: str) -> list[Any]:
        records = Records()
        replies = self._connection.exchange(frame(messages.run(query)) + PULL, 2, records=records)
        assert all(isinstance(reply, Success) for reply in replies), replies
        return [tuple(row) for row in records.rows()]
