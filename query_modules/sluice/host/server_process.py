"""Which server process this is, for the loopback: the server that answers at its port may be another one."""

from __future__ import annotations

import os
import secrets
import sys

ATTRIBUTE = "_memgraph_sluice_instance"
"""
Attribute of `sys`, which a reload of the modules leaves alone, so that all copies of this package have the same value.
"""


def this_process() -> str:
    """A text that is unique to this process, and stays the same during its life."""
    return str(vars(sys).setdefault(ATTRIBUTE, secrets.token_hex(8)))


def cores() -> int:
    """How many cores the process may use."""
    return len(os.sched_getaffinity(0))


PLACES = "_memgraph_sluice_loopbacks"
"Of `sys` as well: where this process was found to answer."


def known_places() -> set[str]:
    """Addresses, `host:port`, at which this process has answered. It listens there for as long as it lives."""
    places: set[str] = vars(sys).setdefault(PLACES, set())
    return places
