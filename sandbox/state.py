"""What all sessions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.claims import Claims
from sandbox.modules import Registry


@dataclass(frozen=True)
class ServerState:
    """The server, as far as a session has to do with it."""

    graph_port: int
    "Of the graph's Bolt on the loopback."
    graph_password: str
    registry: Registry
    claims: Claims
    aborting: Callable[[], bool]
    "Whether procedures should end early."
