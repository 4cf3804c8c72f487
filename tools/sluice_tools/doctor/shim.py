"""The proxy for the clauses: whether there is one, and whether what it passes on to answers."""

from __future__ import annotations

from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from sluice.bolt.replies import Failure, Records, Success
from sluice.errors import GraphError, ProtocolError
from sluice_tools.doctor.bolt import Target, connect
from sluice_tools.doctor.findings import Finding, Trouble, fix, ok

CLAUSE = "SHOW STREAMS"
COLUMNS = ["name", "uri", "topic", "transform", "status"]

HUNG_UP = ("closed by the server", "reset by peer")

START = "start it: sluice shim --listen HOST:PORT --upstream HOST:PORT; or give the address where it listens: --shim"


def examine_shim(target: Target) -> Finding:
    """One finding, "shim"."""
    try:
        with connect(target, "shim", "the shim", START) as connection:
            return _ask(target, connection)
    except Trouble as trouble:
        found = trouble.finding
        if any(words in found.text for words in HUNG_UP):
            text = f"{target.address} takes connections and hangs up: the shim does not reach its server"
            return fix("shim", text, "start that server, or start the shim with its address: --upstream HOST:PORT")
        return fix("shim", found.text, found.remedy.replace("--uri", "--shim"))
    except (GraphError, ProtocolError) as error:
        return fix("shim", f"the connection was lost: {error}", "see the shim's log, then try again")


def _ask(target: Target, connection: Connection) -> Finding:
    request = frame(messages.run(CLAUSE, None)) + frame(messages.pull())
    first, *_ = connection.exchange(request, 2, records=Records(), timeout=target.timeout)
    if isinstance(first, Success) and first.metadata.get("fields") == COLUMNS:
        return ok("shim", f"{target} takes the clauses")
    if isinstance(first, Failure) and "streams" in first.message and "procedure" in first.message:
        text = f"{target} takes the clauses, and the server behind it has no module streams: {first.message}"
        return fix("shim", text, "run sluice install on that server's machine, then CALL mg.load_all()")
    remedy = f"{START}; on Memgraph's own port the words of some clauses are for its own streams"
    return fix("shim", f"{target} is no shim: it does not take {CLAUSE} for ours", remedy)
