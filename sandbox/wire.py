"""What can be read off a client's and the graph's bytes without taking whole messages apart. No I/O."""

from __future__ import annotations

from sluice.bolt.packstream import pack
from sluice.bolt.values import LIST, STRING, STRUCTURE
from sluice.errors import RemoteProtocolError

_NO_FIELDS = pack("fields") + LIST.header(0)


def query_of(message: bytes) -> tuple[str, int]:
    """The query's text in a RUN, and where it ends. Leaves the parameters alone: few messages need a look at them."""
    if message[0] != STRUCTURE | 3:
        raise RemoteProtocolError("RUN has three fields from Bolt 3 on")
    marker = message[2]
    if marker & 0xF0 == STRING.tiny:
        start, size = 3, marker & 0x0F
    else:
        width = {STRING.u8: 1, STRING.u16: 2, STRING.u32: 4}.get(marker)
        if width is None:
            raise RemoteProtocolError("RUN begins with something else than a query")
        start, size = 3 + width, int.from_bytes(message[3 : 3 + width], "big")
    return message[start : start + size].decode(), start + size


def names_no_fields(success: bytes) -> bool:
    """Whether the SUCCESS of a RUN names no columns; may be wrong about one that does."""
    return _NO_FIELDS in success
