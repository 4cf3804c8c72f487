"""
What a jail and its child say to each other. Frames are four bytes of length, then that many bytes.

Parent to child: a marshalled `dict` with the script, then a marshalled `(kind, batch)` per batch. Child to parent:
one byte that says what follows. Nothing that the child sends is unmarshalled or unpickled by the database.
"""

from __future__ import annotations

import struct

LENGTH = struct.Struct(">I")

READY = b"K"
"The script is loaded."
PACKED = b"P"
"Asks for, or is: a count (LENGTH) and the batch's queries as framed Bolt messages, each RUN with its PULL."
FOLDED = b"F"
"Asks for, or is: the same, of fewer queries that do the same to the graph."
ROWS = b"R"
"Asks for, or is: the batch's queries as a PackStream list of [query, parameters]."
FAILED = b"E"
"What went wrong, one line of UTF-8."
