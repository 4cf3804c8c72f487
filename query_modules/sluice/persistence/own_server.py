"""
A loopback that leads to this very process: a server whose port is taken would reach the one that has it, and run the
other one's streams until it gives up.
"""

from __future__ import annotations

from sluice.errors import ConnectionLost, QueryRefused
from sluice.host.instance import this_process
from sluice.host.settings import Settings
from sluice.persistence.loopback import HOW_REACHED, Loopback

WHICH_PROCESS = "CALL streams.instance() YIELD process RETURN process"


def open_loopback(settings: Settings) -> Loopback:
    """
    Raises:
        ConnectionLost: as `Loopback`, or another process answers.
    """
    loopback = Loopback(settings)
    try:
        check_process(loopback, f"{settings.loopback_host}:{settings.loopback_port}")
    except BaseException:
        loopback.connection.close()
        raise
    return loopback


def check_process(loopback: Loopback, place: str) -> None:
    """Raises ConnectionLost unless this process answers at `place`, which the loopback leads to."""
    try:
        found = loopback.fetch(WHICH_PROCESS)
    except QueryRefused as error:
        raise ConnectionLost(f"the server at {place} cannot say which process it is: {error}") from error
    if found != [{"process": this_process()}]:
        raise ConnectionLost(f"another server answers at {place}; {HOW_REACHED}")
