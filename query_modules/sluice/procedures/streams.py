"""What every verb works with. A call of a procedure makes one `Streams`, and hands it to one verb."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sluice.procedures.catalog import Catalog, Graph
from sluice.procedures.stream_node import StreamNode
from sluice.supervising.process import Process

Row = dict[str, Any]
"A record: column -> value."

DONE: list[Row] = [{}]
"The answer of a verb without a result: one record without columns."


class Streams:
    """
    The streams as the caller's transaction sees them, and the process that runs them.

    A verb only writes a request to the graph, and wakes the supervisor, which carries the request out once it is
    committed. No verb waits for the loopback: with one Bolt worker thread that would be a deadlock.
    """

    def __init__(self, graph: Graph, process: Process) -> None:
        self.graph = graph
        self.process = process
        self.shared = process.shared
        self.settings = process.settings

    @cached_property
    def catalog(self) -> Catalog:
        """All streams, for verbs that add or remove one. Raises SchemaError."""
        return Catalog(self.graph, self.shared)

    def all(self) -> list[StreamNode]:
        """All streams, ordered by name. Raises SchemaError."""
        return self.catalog.streams()

    def find(self, name: str) -> StreamNode:
        """The stream of that name. Raises StreamNotFound, SchemaError."""
        return self.catalog.find(name)

    def written(self) -> list[Row]:
        """The answer of a verb that has written a request: wakes the supervisor."""
        self.shared.ring()
        return DONE
