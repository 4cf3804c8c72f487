"""Ports for the servers that tests start."""

from __future__ import annotations

import os
import random
import socket

# Below the range that the kernel takes ports of outgoing connections from. A client that keeps trying to reach a
# server which is down would else be given that very port now and then: TCP then connects the client to itself, and
# the server cannot come back.
LOWEST, HIGHEST = 20_000, 32_000

# Test processes that run side by side take from parts of their own: else one could be given a port that another has
# found free and does not listen at yet, and would take the other's server for its own. One that runs alone takes from
# all of them, since there may be others on the machine. Not `random` itself, which Hypothesis seeds alike in all.
WORKERS = 8
_name = os.environ.get("PYTEST_XDIST_WORKER", "")
_worker = int(_name.removeprefix("gw")) % WORKERS if _name else 0
_share = (HIGHEST - LOWEST) // (WORKERS if _name else 1)
_random = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """`count` different ports of the loopback that nothing listens at, for a server that will keep its port."""
    ports: list[int] = []
    while len(ports) < count:
        port = LOWEST + _worker * _share + _random.randrange(_share)
        if port not in ports and is_free(port):
            ports.append(port)
    return ports


def free_port() -> int:
    """One of `free_ports`."""
    return free_ports(1)[0]


def is_free(port: int) -> bool:
    """Whether a server could listen at `port` now; connections of an earlier one that still linger do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
