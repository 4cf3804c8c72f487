"""
The one process-wide handle: what survives when the server reloads its modules.

A reload (`CALL mg.load_all()`) deletes this package from `sys.modules` and imports it anew, while the threads of the
old copy run on. The handle is kept on `sys`, which a reload spares (`PythonModule::Close`,
`src/query/procedure/module.cpp`), so the new copy finds the old one, has it wind down, and starts only when it is
gone: never two workers for one stream.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections.abc import Hashable
from typing import NamedTuple

from sluice import __version__
from sluice.brokers.topic import Topics
from sluice.engine.host_state import HostState
from sluice.errors import SettingError
from sluice.host import server_log
from sluice.host.attempts import Attempts, file_of_this_server
from sluice.host.installation import installation_of_this_server
from sluice.host.settings import Settings, load, put_in_force
from sluice.supervising.remembered import Remembered
from sluice.supervising.shared_state import SharedState
from sluice.supervising.supervisor import Supervisor
from sluice.values.model import Transform

log = logging.getLogger("sluice.supervising.process")

ATTRIBUTE = "_memgraph_sluice"
"""
Of `sys`. Handles of other versions of this package stand there too, so `Process`'s public names do not change meaning.
"""

EXIT_PATIENCE = 1.5
"Seconds that the end of the server may wait for us."


class Checked(NamedTuple):
    """What CREATE found out of the world outside."""

    key: Hashable
    "What was asked: the stream's name, broker, topic, script, configuration."
    transform: Transform
    topics: Topics
    until: float | None = None
    "How long it is good, if it was remembered: `time.monotonic`."


class Process:
    """
    What one loaded copy of the package runs in this process: the shared state, a supervisor, its workers.

    Threads: `stop` and `gone` may be used from any thread, also by other copies of this package.
    """

    def __init__(self, settings: Settings, predecessor: Process | None) -> None:
        self.settings = settings
        host = HostState(Attempts(file_of_this_server()), installation_of_this_server())
        self.shared = SharedState(settings.batch_history, host)
        self.remembered: Remembered[Checked] = Remembered()
        self.gone = threading.Event()
        "Set once nothing of this copy, nor of its predecessors, runs any more."
        self._predecessor = predecessor
        self._supervisor = Supervisor(settings, self.shared)
        # A daemon, since the interpreter joins all others before it runs atexit handlers, which is where we are told
        # to end: up to Memgraph 3.9. Later ones run none, and nothing rests on them: what is cut off is rolled back.
        self._thread = threading.Thread(target=self._run, name="sluice-superv", daemon=True)

    def start(self) -> None:
        """
        Begins to run, as soon as the predecessor is gone. Does not wait for that: a module is imported under the
        server's locks.
        """
        atexit.register(self._at_exit)
        self._thread.start()

    def stop(self, *, hurry: bool = False) -> None:
        """Asks for the end; `gone` tells when it has come. In a hurry, batches in flight are given up."""
        self._supervisor.stop(hurry=hurry)
        if hurry and self._predecessor is not None:
            self._predecessor.stop(hurry=True)

    def _run(self) -> None:
        try:
            if self._predecessor is not None:
                self._predecessor.stop()
                self._predecessor.gone.wait()
                self.shared.adopt(self._predecessor.shared)
                self._predecessor = None
            log.info("sluice %s is ready", __version__)
            self._supervisor.run()
        finally:
            self.gone.set()
            atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        self.stop(hurry=True)
        self.gone.wait(EXIT_PATIENCE)


_failure: SettingError | None = None


def start() -> None:
    """
    Starts this copy of the package; called once, when the server imports the module.

    A setting that is wrong is logged here and named by every procedure afterwards (`current`), since an import that
    fails would only make the procedures disappear.
    """
    global _failure
    server_log.connect()
    try:
        settings = load()
    except SettingError as error:
        _failure = error
        log.critical("nothing runs: %s", error)
        return
    put_in_force(settings)
    process = Process(settings, getattr(sys, ATTRIBUTE, None))
    setattr(sys, ATTRIBUTE, process)
    process.start()


def current() -> Process:
    """The process that this copy started. Raises SettingError: it could not be started, and why."""
    if _failure is not None:
        raise SettingError(str(_failure))
    process: Process = getattr(sys, ATTRIBUTE)
    return process
