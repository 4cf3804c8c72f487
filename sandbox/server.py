"""The sandbox from its start to its end, in Memgraph's order: the graph, the modules, Bolt; and back."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import BinaryIO

from sandbox.builtin import make_builtin
from sandbox.claims import Claims
from sandbox.engine import Engine, EngineFailed
from sandbox.flags import Flags, parse_flags
from sandbox.modules import Registry
from sandbox.session import Session
from sandbox.state import ServerState

log = logging.getLogger("sandbox")

ADDRESS = "127.0.0.1"
"Whoever reaches Bolt may do everything, so it is not to be reached from elsewhere."

SESSIONS_GRACE = 5.0
"Seconds that procedures in progress may take to notice that the server is ending."

GRAPH_GRACE = 10.0
"Seconds that the graph may take to close."


def main(words: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; the exit status."""
    flags = parse_flags(words)
    _log_to(flags)
    if flags.unknown:
        log.warning("the sandbox ignores: %s", " ".join(flags.unknown))
    server = Server(flags)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.ask_to_stop())
    try:
        server.start()
    except (EngineFailed, OSError) as error:
        log.critical("cannot start: %s", error)
        server.stop()
        return 1
    server.wait()
    server.stop()
    return 1 if server.graph_is_lost else 0


class Server:
    """
    The sandbox.

    Threads: the main thread starts and stops it; a thread accepts clients, and each client has one.

    States: start -> serving -> stop. Used once.
    """

    def __init__(self, flags: Flags) -> None:
        self.graph_is_lost = False
        self._flags = flags
        self._stop = threading.Event()
        self._engine = Engine(flags.data_directory, _output_of(flags))
        self._registry = Registry(flags.query_modules_directories)
        self._registry.add(make_builtin(self._registry))
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()  # guards _sessions
        self._sessions: dict[Session, threading.Thread] = {}

    def start(self) -> None:
        """
        Start the graph, load the modules, and only then listen.

        Raises:
            EngineFailed: the graph cannot be opened.
            OSError: the port is taken.
        """
        self._engine.start()
        self._registry.load_all()
        self._engine.wait_until_up()
        threading.Thread(target=self._watch_engine, name="engine-watch", daemon=True).start()
        self._listener = socket.create_server((ADDRESS, self._flags.bolt_port), backlog=128)
        threading.Thread(target=self._accept, args=[self._listener], name="bolt-accept", daemon=True).start()
        log.info("Bolt server is fully armed and operational at %s:%d", ADDRESS, self._flags.bolt_port)

    def wait(self) -> None:
        """Wait for `ask_to_stop`, or the death of the graph."""
        self._stop.wait()

    def ask_to_stop(self) -> None:
        """Threads: any, signal handlers included."""
        self._stop.set()

    def stop(self) -> None:
        """Close Bolt, the modules, the graph. What atexit and threads of modules have to do comes after that."""
        self._stop.set()
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # or the thread in accept would not notice
            self._listener.close()
        with self._lock:
            sessions = dict(self._sessions)
        for session in sessions:
            session.abort()
        deadline = time.monotonic() + SESSIONS_GRACE
        for thread in sessions.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self._registry.close_all()
        self._engine.stop(GRAPH_GRACE)

    def _accept(self, listener: socket.socket) -> None:
        state = ServerState(
            graph_port=self._engine.port,
            graph_password=self._engine.password,
            registry=self._registry,
            claims=Claims(),
            aborting=self._stop.is_set,
        )
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                if self._stop.is_set():
                    return
                raise
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(client, state)
            thread = threading.Thread(target=self._serve, args=[session], name="bolt-session", daemon=True)
            with self._lock:
                self._sessions[session] = thread
            thread.start()

    def _serve(self, session: Session) -> None:
        session.run()
        with self._lock:
            del self._sessions[session]

    def _watch_engine(self) -> None:
        status = self._engine.wait()
        if not self._stop.is_set():
            log.critical("the graph's process ended with status %d", status)
            self.graph_is_lost = True
            self.ask_to_stop()


def _log_to(flags: Flags) -> None:
    logging.basicConfig(filename=flags.log_file, format="[%(asctime)s] [%(levelname)s] %(name)s: %(message)s")
    log.setLevel(logging.INFO)


def _output_of(flags: Flags) -> int | BinaryIO:
    """Where the graph's process writes: after what we write."""
    return flags.log_file.open("ab") if flags.log_file else sys.stderr.fileno()
