"""
A loopback that is sure to lead to this process. Without this check, a server whose port is in use would reach the
server that uses it, and run that server's streams until it gives up starting.
"""

from __future__ import annotations

from sluice.errors import ConnectionLost, QueryRefused
from sluice.host.server_process import known_places, this_process
from sluice.host.settings import Settings
from sluice.persistence.loopback import HOW_REACHED, Loopback

WHICH_PROCESS = "CALL streams.instance() YIELD process RETURN process"


def open_loopback(settings: Settings) -> Loopback:
    """
    Which process answers is asked once for each place, since Memgraph 3 refuses to reload modules meanwhile. Raises
    ConnectionLost: as `Loopback`, or another process answers.
    """
    loopback, place = Loopback(settings), f"{settings.loopback_host}:{settings.loopback_port}"
    if place in known_places():
        return loopback
    try:
        check_process(loopback, place)
    except BaseException:
        loopback.connection.close()
        raise
    known_places().add(place)
    return loopback


def check_process(loopback: Loopback, place: str) -> None:
    """Raises ConnectionLost unless this process answers at `place`, which the loopback leads to."""
    try:
        found = loopback.fetch(WHICH_PROCESS)
    except QueryRefused as error:
        raise ConnectionLost(f"the server at {place} cannot say which process it is: {error}") from error
    if found != [{"process": this_process()}]:
        raise ConnectionLost(f"another server answers at {place}; {HOW_REACHED}")
