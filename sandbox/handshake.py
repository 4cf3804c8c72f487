"""The first bytes of a connection: which version of Bolt to speak."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from sluice.bolt.messages import HANDSHAKE_SIZE, MAGIC, Proposal, Version, answer, parse_handshake

VERSIONS = (Version(5, 2), Version(4, 3), Version(4, 1), Version(4, 0))
"What Memgraph offers and ArcadeDB understands."


def shake_hands(client: socket.socket) -> Version | None:
    """
    The version agreed on; None if there is none, or the client has gone.

    Raises:
        RemoteProtocolError: the client speaks no Bolt.
    """
    data = b""
    while len(data) < HANDSHAKE_SIZE and MAGIC.startswith(data[:4]):
        received = client.recv(HANDSHAKE_SIZE - len(data))
        if not received:
            return None
        data += received
    version = _chosen(parse_handshake(data))
    client.sendall(answer(version))
    return version


def _chosen(proposals: Sequence[Proposal]) -> Version | None:
    """The client's first choice that we know."""
    for proposal in proposals:
        for version in VERSIONS:
            if proposal.includes(version):
                return version
    return None
