"""The proxy for the clauses: whether there is one, and whether what it passes on to answers."""

from __future__ import annotations

from functools import partial

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, RawRecords, Success
from sluice.errors import GraphError, ProtocolError
from sluice_tools.doctor.bolt import Target, connect
from sluice_tools.doctor.checks import Check, CheckFailed, Finding, fix

CLAUSE = "SHOW STREAMS"
COLUMNS = ["name", "uri", "topic", "transform", "status"]

HUNG_UP = ("closed by the server", "reset by peer")

START = "start it: sluice shim --listen HOST:PORT --upstream HOST:PORT; or give the address where it listens: --shim"


def shim_check(target: Target) -> Check:
    """The row "shim"."""
    return Check("shim", (), partial(_examine, target), START)


def _examine(target: Target) -> str | Finding:
    try:
        with connect(target, "the shim") as connection:
            return _ask(target, connection)
    except CheckFailed as failure:
        _, text, remedy, _ = failure.finding
        if any(words in text for words in HUNG_UP):
            text = f"{target.address} takes connections and hangs up: the shim does not reach its server"
            return fix(text, "start that server, or start the shim with its address: --upstream HOST:PORT")
        return fix(text, remedy.replace("--uri", "--shim"))
    except (GraphError, ProtocolError) as error:
        return fix(f"the connection was lost: {error}", "see the shim's log, then try again")


def _ask(target: Target, connection: Connection) -> str | Finding:
    request = frame(messages.run(CLAUSE, None)) + frame(messages.pull())
    first, *_ = connection.exchange(request, 2, records=RawRecords(), timeout=target.timeout)
    if isinstance(first, Success) and first.metadata.get("fields") == COLUMNS:
        return f"{target} takes the clauses"
    if isinstance(first, Failure) and "streams" in first.message and "procedure" in first.message:
        text = f"{target} takes the clauses, and the server behind it has no module streams: {first.message}"
        return fix(text, "run sluice install on that server's machine, then CALL mg.load_all()")
    remedy = f"{START}; on Memgraph's own port the words of some clauses are for its own streams"
    return fix(f"{target} is no shim: it does not take {CLAUSE} for ours", remedy)
