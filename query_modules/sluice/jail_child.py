"""
The process that runs a transform: what happens in it cannot harm the database.

Started by `jail.Jail` as a script, with one end of a socket pair as its standard input. `jail_frames` says what the
two say to each other.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

# As a script this file has no package around it; the folder of the package comes last, behind what the user's script
# may import.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.bolt.packstream import pack
from sluice.contract import Query, Stream, check_values, queries_of, value_error
from sluice.errors import LocalProtocolError, ScriptError, TransformError, one_line
from sluice.folding import Folder
from sluice.jail_frames import FAILED, FOLDED, LENGTH, READY, ROWS

PULL_ALL = frame(messages.pull(-1))

PR_SET_PDEATHSIG = 1
"From <sys/prctl.h>."


class Channel:
    """
    The child's end of the socket pair, moved away from the standard streams so that a script's print and input
    cannot meet it.
    """

    def __init__(self) -> None:
        self._descriptor = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def receive(self) -> bytes:
        """The next frame. Ends the process if the parent is gone."""
        (size,) = LENGTH.unpack(self._read(LENGTH.size))
        return self._read(size)

    def send(self, *parts: bytes | bytearray) -> None:
        """Writes one frame."""
        data = memoryview(LENGTH.pack(sum(map(len, parts))) + b"".join(parts))
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = os.read(self._descriptor, size - len(data))
            if not part:
                os._exit(0)
            data += part
        return bytes(data)


def main() -> None:
    """Loads the script of the first frame, then answers a frame for each batch until the parent hangs up."""
    channel = Channel()
    task = marshal.loads(channel.receive())
    _confine(task["memory_bytes"])
    sys.path[:0] = [entry for entry in task["path"] if entry not in sys.path]
    try:
        stream = load(task["source"], task["uri"])
    except ScriptError as error:
        channel.send(FAILED, str(error).encode())
        return
    channel.send(READY)
    folder = Folder()
    while True:
        kind, batch = marshal.loads(channel.receive())
        try:
            if kind == ROWS:
                answer = _rows(stream, batch)
            else:
                answer = _packed(queries_of(stream, batch), folder if kind == FOLDED else None)
        except TransformError as error:
            channel.send(FAILED, str(error).encode("utf-8", "replace"))
        except BaseException as error:  # the user's code may raise anything, SystemExit too
            channel.send(FAILED, f"stream(batch) raised {describe(error, task['uri'])}".encode("utf-8", "replace"))
        else:
            channel.send(kind, answer)


def load(source: str, uri: str) -> Stream:
    """
    Runs the script and gives its `stream` function.

    Raises:
        ScriptError: it does not compile, raises, or has no callable `stream`; the text says where.
    """
    namespace: dict[str, Any] = {"__name__": "transform", "__file__": uri, "__builtins__": __builtins__}
    try:
        exec(compile(source, uri, "exec", dont_inherit=True), namespace)
    except BaseException as error:
        raise ScriptError(describe(error, uri)) from error
    stream = namespace.get("stream")
    if not callable(stream):
        raise ScriptError("it defines no function stream(batch)" if stream is None else "its stream is not callable")
    return stream  # type: ignore[no-any-return]


def describe(error: BaseException, uri: str) -> str:
    """An exception of the user's script in one line: its type, its text, and the script's line it came from."""
    line = error.lineno if isinstance(error, SyntaxError) else _line_in(error.__traceback__, uri)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return one_line(described if line is None else f"{described} (line {line})")


def _line_in(traceback: TracebackType | None, uri: str) -> int | None:
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == uri:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _packed(queries: Iterable[Query], folder: Folder | None) -> bytes:
    packed = bytearray(LENGTH.size)
    if folder is not None:
        queries = list(queries)
        try:
            count = _pack_into(packed, ((folded.text, folded.parameters) for folded in folder.fold(queries)))
        except TransformError:
            # Some value is none that a query can take: one by one it is found which.
            return _packed(queries, None)
    else:
        count = _pack_into(packed, queries)
    LENGTH.pack_into(packed, 0, count)
    return bytes(packed)


def _pack_into(packed: bytearray, queries: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
    count = 0
    for query, parameters in queries:
        try:
            packed += frame(messages.run(query, parameters))
        except LocalProtocolError as error:
            raise value_error(count, error) from error
        packed += PULL_ALL
        count += 1
    return count


def _rows(stream: Stream, batch: list[bytes | None]) -> bytes:
    rows = []
    for index, (query, parameters) in enumerate(queries_of(stream, batch)):
        check_values(index, parameters)
        rows.append([query, parameters])
    return pack(rows)


def _confine(memory_bytes: int) -> None:
    # Ends with the thread that started it, even if that thread's process was killed and the script never looks at its
    # input again.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(0)
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
