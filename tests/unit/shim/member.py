"""A server of a replicated cluster, as far as drivers and the shim see it: it has a role, and answers with its name."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

from sluice.bolt import messages
from sluice.bolt.messages import Tag, Version
from sluice.bolt.values import Value
from tests.unit.bolt.fake_server import Session

SERVER = "Neo4j/v5.11.0 compatible graph database server - Memgraph"
CODE = "Memgraph.ClientError.MemgraphError.MemgraphError"


class Member:
    """
    A context manager: listens on a port of its own, until `kill`, and again after `start`.

    Any query gives one record with the server's name; SHOW REPLICATION ROLE its role. Queries that begin with CREATE
    are counted, and refused by a replica.
    """

    def __init__(self, name: str, role: str, password: str = "") -> None:
        self.name, self.role = name, role
        self.password = password
        "Empty: it lets in anybody."
        self.written: list[str] = []
        "The queries that began with CREATE and were committed."
        self.asked = 0
        "How often it was asked for its role."
        self.held = threading.Event()
        "Cleared: queries are not answered."
        self.held.set()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()  # guards _sockets and _up
        self._up = False
        self._listener: socket.socket
        self.port = 0

    @property
    def clients(self) -> int:
        """How many connections it has."""
        with self._lock:
            return len(self._sockets)

    def start(self) -> None:
        self._up = True
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._run(self._accept, self._listener)

    def kill(self) -> None:
        self.held.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._up = False
            for connected in self._sockets:
                with suppress(OSError):  # the client has reset it
                    connected.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def __enter__(self) -> Member:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"member {self.name}")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:  # closed
                return
            with self._lock:
                if not self._up:
                    connected.close()
                    return
                self._sockets.add(connected)
            self._run(self._serve, connected)

    def _serve(self, connected: socket.socket) -> None:
        session = Session(connected)
        session.socket.settimeout(None)
        try:
            session.shake_hands(Version(5, 2))
            self._answer_all(session)
        except (EOFError, OSError):
            pass  # the client is gone, or this server is
        finally:
            with self._lock:
                self._sockets.discard(connected)
            connected.close()

    def _answer_all(self, session: Session) -> None:
        failed, row = False, self.name
        pending: list[str] = []
        while True:
            tag, fields = session.next()
            if tag == Tag.RESET:
                failed, pending = False, []
                session.say(messages.success())
            elif failed:
                session.say(messages.ignored())
            elif tag == Tag.HELLO:
                session.say(messages.success({"server": SERVER, "connection_id": "bolt-1"}))
            elif tag == Tag.LOGON and self.password and fields[0].get("credentials") != self.password:
                session.say(messages.failure("Memgraph.ClientError.Security.Unauthenticated", "Authentication failure"))
                return
            elif tag == Tag.RUN:
                self.held.wait()
                query = fields[0]
                failed = query.startswith("CREATE") and self.role != "main"
                pending += [query] if query.startswith("CREATE") else []
                self.asked += query == "SHOW REPLICATION ROLE"
                row = self.role if query == "SHOW REPLICATION ROLE" else self.name
                said = messages.success({"fields": ["server"]})
                refused = messages.failure(CODE, "Write query forbidden on the replica!")
                session.say(refused if failed else said)
            elif tag in (Tag.PULL, Tag.DISCARD):
                records: list[list[Value]] = [[row]] if tag == Tag.PULL else []
                session.say(*map(messages.record, records), messages.success({"type": "r"}))
            elif tag == Tag.ROUTE:
                failed = True
                session.say(messages.failure(CODE, "Routing is not supported"))
            elif tag == Tag.GOODBYE:
                return
            else:
                if tag == Tag.COMMIT:
                    self.written += pending
                    pending = []
                session.say(messages.success())
