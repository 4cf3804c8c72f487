"""
Finds the Python interpreter that runs transforms, by trying candidates until one works.

Inside Memgraph `sys.executable` is the database server itself (`Py_SetProgramName(argv[0])`, `src/memgraph.cpp`),
which must not be started as an interpreter; the prefix of the embedded Python may have no `bin`; and what the PATH has
under the right name may be a launcher that cannot start that version. So each candidate is run once.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import NamedTuple

from sluice.errors import SettingError, one_line
from sluice.host.settings import Settings
from sluice.scripting.environment import server_packages, transform_environment

TRIAL_TIMEOUT = 10.0
"Seconds that a candidate has to start and to import what a transform process needs; a busy machine takes one or two."

MAX_OUTPUT = 1 << 16
"Bytes that a candidate may write."

MAX_LINE = 120
"Characters of the last line it wrote that an error repeats."

MARK = "sluice-interpreter:"
"What the line of a candidate that works begins with."

# Runs in any Python there may be under such a name, so nothing newer than Python 2 stands before the version is known.
TRIAL = f"""
import sys
if sys.version_info < (3, 10):
    sys.exit("Python %d.%d is too old, 3.10 or newer is needed" % sys.version_info[:2])
import json
from importlib.machinery import EXTENSION_SUFFIXES
sys.path.insert(0, sys.argv[1])
sys.path += json.loads(sys.argv[2])
import sluice.scripting.child
print("{MARK}" + json.dumps([sys.executable, list(sys.version_info[:3]), EXTENSION_SUFFIXES[0]]))
"""

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]


class Interpreter(NamedTuple):
    """A Python that runs transforms, as its trial has shown it."""

    path: str
    version: tuple[int, int, int]
    abi: str
    "What the names of its extension modules end with."

    @property
    def is_ours(self) -> bool:
        """Whether packages that are built for the server's Python work in it."""
        return self.abi == EXTENSION_SUFFIXES[0]

    def __str__(self) -> str:
        return f"{self.path} (Python {'.'.join(map(str, self.version))})"


class _Failure(NamedTuple):
    """A candidate that does not work."""

    text: str
    passes: bool = False
    "Whether it may work another time."


_lock = threading.Lock()  # one search at a time; guards _found
_found: dict[str, Interpreter] = {}
"SLUICE_PYTHON -> what was found, for as long as this process lives."


def find_interpreter(settings: Settings) -> Interpreter:
    """
    The interpreter that SLUICE_PYTHON names; or else the first that works and is of this Python's version and build; or
    else the first that works. Remembered once it is found.

    Waits, with the interpreter lock released, for at most `TRIAL_TIMEOUT` seconds for each candidate.

    Raises SettingError: none works; the text names each candidate, what became of it, and the setting to use. Retryable
    where one did not end in time, for which a busy machine is enough.
    """
    with _lock:
        found = _found.get(settings.python)
        if found is None:
            found = _found[settings.python] = _search(settings.python)
        return found


def forget_interpreter(settings: Settings) -> None:
    """Has the next `find_interpreter` search again: what was found cannot be started any more."""
    with _lock:
        _found.pop(settings.python, None)


def _search(given: str) -> Interpreter:
    failures: list[_Failure] = []
    other: Interpreter | None = None
    for candidate in [given] if given else _candidates():
        tried = _try(candidate)
        if isinstance(tried, _Failure):
            failures.append(tried)
        elif given:
            return tried._replace(path=shutil.which(given) or given)  # a launcher, too, is what the administrator chose
        elif tried.is_ours:
            return tried
        else:
            other = other or tried
    if other is not None:
        return other
    why = "; ".join(failure.text for failure in failures) or f"there is no {_name()}, neither in {_bin()} nor on PATH"
    what = "the one in SLUICE_PYTHON cannot" if given else "set SLUICE_PYTHON to one, 3.10 or newer"
    text = f"no interpreter was found that can run transforms, {what}: {why}"
    raise SettingError(text, retryable=any(failure.passes for failure in failures))


def _candidates() -> list[str]:
    """Executables that may be of this Python, the likeliest first, each once."""
    name = _name()
    own = sys.executable if Path(sys.executable or "").name.startswith("python") else ""
    paths = [own, f"{_bin()}/{name}", f"/usr/bin/{name}", *_on_path(name), f"{_bin()}/python3", *_on_path("python3")]
    there = [path for path in paths if path and _executable(path)]
    # By their folders, which may be links: what an interpreter itself links to may have other packages.
    return list({os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)): None for path in there})


def _on_path(name: str) -> Iterator[str]:
    for folder in os.get_exec_path():
        if os.path.isabs(folder):
            yield os.path.join(folder, name)


def _name() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _bin() -> str:
    return f"{sys.base_exec_prefix}/bin"


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _try(candidate: str) -> Interpreter | _Failure:
    """Runs a candidate once."""
    path = shutil.which(candidate)
    if path is None:
        return _Failure(f"{candidate} is not there or cannot be executed")
    command = [path, "-I", "-X", "utf8", "-c", TRIAL, str(PACKAGE_FOLDER), json.dumps(server_packages())]
    try:
        status, output = _run(command)
    except TimeoutError:
        return _Failure(f"{path} did not end within {TRIAL_TIMEOUT:g} s", passes=True)
    except OSError as error:
        return _Failure(f"{path} cannot be run: {error.strerror or error}")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = next((line.removeprefix(MARK) for line in reversed(lines) if line.startswith(MARK)), None)
    if status == 0 and told is not None:
        with suppress(ValueError, TypeError):
            executable, (major, minor, micro), abi = json.loads(told)
            # Where a launcher was found, the interpreter that it starts.
            return Interpreter(executable if _executable(executable) else path, (major, minor, micro), abi)
    ended = f"ended with exit status {status}" if status >= 0 else f"was ended by signal {-status}"
    said = f", its last line: {one_line(lines[-1], MAX_LINE)}" if lines else ""
    return _Failure(f"{path} {ended}{said}")


def _run(command: list[str]) -> tuple[int, str]:
    """
    Exit status, and what it wrote.

    Raises:
        TimeoutError: it did not end in time; it has been ended.
        OSError: it cannot be run, or wrote too much.
    """
    deadline = time.monotonic() + TRIAL_TIMEOUT
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=transform_environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        with process.stdout as stream:
            output = _read(stream.fileno(), deadline)
        return process.wait(max(0.0, deadline - time.monotonic())), output
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        if process.returncode is None:  # until it was waited for, its number is nobody else's
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()


def _read(descriptor: int, deadline: float) -> str:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    output = bytearray()
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        part = os.read(descriptor, 1 << 12)
        if not part:
            return output.decode("utf-8", "replace")
        output += part
        if len(output) > MAX_OUTPUT:
            raise OSError(f"it writes more than {MAX_OUTPUT} bytes")
