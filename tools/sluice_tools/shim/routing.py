"""
Answers ROUTE with the shim's own address, so that `neo4j://` does not lead drivers past the shim. No I/O.

Memgraph refuses ROUTE, or a cluster answers with the addresses of its servers. So the server gets a trivial query in
its place: a RUN and a DISCARD, which show that the server can be used, and whose answers become the answer to ROUTE.

Source: Bolt documentation, "Message specification", ROUTE (4.3 and later).
"""

from __future__ import annotations

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.bolt.messages import Tag
from sluice.bolt.values import Value
from sluice.errors import ProtocolError
from sluice_tools.shim.settings import Address

LIFETIME = 300
"Seconds that a driver keeps the answer."

STAND_INS = frame(messages.run("RETURN 1", None, {"mode": "r"})) + frame(messages.discard())
"What the server gets instead of a ROUTE."


def routing_table(payload: bytes, advertise: Address | None) -> bytes | None:
    """
    The SUCCESS that answers a ROUTE.

    Args:
        advertise: the address in it; None: the one that the client says it has used.

    Returns:
        None if there is no such address, or it is no ROUTE: the server shall judge it.
    """
    try:
        match messages.parse(payload).fields:
            case [dict(context), _, extra]:
                pass
            case _:
                return None
    except ProtocolError:
        return None
    address = str(advertise) if advertise else context.get("address")
    if not isinstance(address, str) or not address:
        return None
    servers: list[Value] = [{"addresses": [address], "role": role} for role in ("WRITE", "READ", "ROUTE")]
    table: dict[str, Value] = {"ttl": LIFETIME, "servers": servers}
    # The database that the client asks for: its name since 4.4 in a map.
    database = extra.get("db") if isinstance(extra, dict) else extra
    if isinstance(database, str):
        table["db"] = database
    return messages.success({"rt": table})


def answer_to_stand_in(raw: bytes, tag: int, routing: bytes, *, first: bool) -> bytes:
    """
    What the client gets for an answer to one of the two: all in all one answer.

    Args:
        raw: the server's answer, framed; `tag` is its tag.
        first: whether it is the answer to RUN.
    """
    if tag == Tag.SUCCESS:
        return b"" if first else routing
    return b"" if tag == Tag.IGNORED and not first else raw
