"""
`python -m tests.faults.ends`: a plain driver, no stream, and a server that ends.

When a COMMIT violates a uniqueness constraint, Memgraph 2.14.1 has put the transaction's vertices into the constraint's
list, and takes them out again before it frees them; but it stops doing so at the first vertex that has a label without
such a constraint. What stays in the list is looked at later, when it may long be something else.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import neo4j

from tests.hosts import MemgraphHost
from tests.hosts.host import HostOptions

KEYS = 20
AROUND = "UNWIND range(1, 500) AS x CREATE (:Message {x: x})"


def main() -> None:
    """One line without vertices of another label, one with them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.ends", description=__doc__)
    parser.add_argument("--memgraph-bin", type=Path, required=True, metavar="PATH")
    parser.add_argument("--seconds", type=float, default=15.0, metavar="N", help="for each case (default: 15)")
    arguments = parser.parse_args()
    for around in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            host = MemgraphHost(Path(folder), arguments.memgraph_bin.resolve(), None, HostOptions())
            host.start()
            try:
                refused, lives = violate(host, arguments.seconds, around=around)
            finally:
                host.close()
        what = "with vertices of another label" if around else "alone"
        print(f"{what}: {refused} commits refused; the server {'lives' if lives else 'has ended'}")


def violate(host: MemgraphHost, seconds: float, *, around: bool) -> tuple[int, bool]:
    """Commits what a constraint refuses, for so many seconds; how often it was, and whether the server is there."""
    host.run("CREATE CONSTRAINT ON (u:Unique) ASSERT u.key IS UNIQUE")
    host.run("UNWIND range(1, $keys) AS key CREATE (:Unique {key: key})", keys=KEYS)
    until = time.monotonic() + seconds
    refused = 0
    try:
        with host.new_driver() as driver, driver.session() as session:
            while time.monotonic() < until:
                for key in range(1, KEYS + 1):
                    refused += _is_refused(session, key, around=around)
                session.run(AROUND).consume()
    except neo4j.exceptions.DriverError:
        return refused, False
    return refused, True


def _is_refused(session: neo4j.Session, key: int, *, around: bool) -> bool:
    try:
        with session.begin_transaction() as transaction:
            for query in (AROUND, "CREATE (:Unique {key: $key})", AROUND):
                if around or query != AROUND:
                    transaction.run(query, key=key).consume()
            transaction.commit()
    except neo4j.exceptions.ClientError:
        return True
    return False


if __name__ == "__main__":
    main()
