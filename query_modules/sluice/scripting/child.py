"""
The process that fetches and runs a transform: what happens in it cannot harm the database.

Started by `child_process` as a script, with one end of a socket pair as its standard input. `frames` says what the two
say to each other.
"""

from __future__ import annotations

import ctypes
import gc
import io
import logging
import marshal
import mmap
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# As a script this file has no package around it. The folder of the package comes first while we import, since another
# version may be installed beside the server, and then last, after what the user's script may import.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sluice.bolt.packstream import pack
from sluice.errors import LocalProtocolError, ScriptError, TransformError, one_line
from sluice.folding import Folder, Need, lacking, subscripted
from sluice.folding.merge_reader import MergeReader
from sluice.folding.subscripts import Parameters
from sluice.host.decimals import Decimals
from sluice.host.transform_access import AllowedAccess, Sandbox
from sluice.scripting import memory_limit
from sluice.scripting.bundle import Modules
from sluice.scripting.confinement import Unconfined, confine
from sluice.scripting.contract import Entry, Query, check_values, queries_of, value_error
from sluice.scripting.conversion import Conversion
from sluice.scripting.environment import joined_path
from sluice.scripting.fetching import NotFetched, fetch
from sluice.scripting.frames import (
    COUNTER,
    FAILED,
    FOLDED,
    HEAD,
    MAX_EXPLAINED,
    MAX_MERGES,
    MAX_ROWS,
    NOT_FETCHED,
    PATIENCE,
    READY,
    ROWS,
    SCRIPT,
    Answer,
)
from sluice.scripting.lasting import lasting
from sluice.scripting.loading import describe, load
from sluice.scripting.packing import check_lookups, may_hold_nan, one_by_one, pack_queries, text_of
from sluice.scripting.variety import Variety
from sluice.values.merge_keys import EVERYTHING, Analysis, Wanted
from sluice.values.record import Columns, batches_of
from sluice.values.same_query import joined, texts_of

sys.path.append(sys.path.pop(0))

MAX_BATCH_LIMIT_WAIT = 300
"Characters of a query's text that its explanation is told with."

GARBAGE = 100_000
"""
Objects that are made and not given back before the collector looks for cycles. A group's queries are some thousands,
none of which is garbage before its answer is sent: with Python's own 700, looking at them takes a third of the time.
"""

PR_SET_PDEATHSIG = 1
"From <sys/prctl.h>."


class ParentChannel:
    """
    The child's end of the socket pair, moved away from the standard streams so that a script's print and input
    cannot meet it.
    """

    def __init__(self) -> None:
        self._descriptor = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def receive(self) -> tuple[int, Any]:
        """The next request, and its number. Ends the process if the parent is gone."""
        size, number = HEAD.unpack(self._read(HEAD.size))
        return number, marshal.loads(self._read(size))

    def send(self, number: int, *parts: bytes | bytearray) -> None:
        """Answers the request of that number."""
        data = memoryview(HEAD.pack(sum(map(len, parts)), number) + b"".join(parts))
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
    """
    Fetches the script, if the first frame asks for that, and loads it; then answers a frame for each group until the
    parent hangs up.
    """
    channel = ParentChannel()
    number, task = channel.receive()
    _limit(task["memory_bytes"])
    _show_output()
    sys.path[:] = joined_path(sys.path, task["path"], own_first=task["own_first"])
    if "source" not in task:
        try:
            source = fetch(task["uri"], task["allow"], task["max_bytes"])
        except NotFetched as error:
            channel.send(number, NOT_FETCHED, pack([error.reason, error.cause]))
            return
        channel.send(number, SCRIPT, source.encode())
        number, task = channel.receive()
    gc.set_threshold(GARBAGE, 10, 10)  # before the script is run, which may know better
    try:
        confine(Sandbox(task["sandbox"]), AllowedAccess(*task["access"]), task["origin"])
        modules = Modules(task["source"], task["uri"])
        decimals = Decimals(task["decimals"])
        entry = load(modules, task["options"])
    except (ScriptError, Unconfined) as error:
        channel.send(number, FAILED, text_of(error))
        return
    gc.freeze()
    channel.send(number, READY, " ".join((entry.name, *entry.fields)).encode())
    worker = LoadedTransform(entry, modules, decimals, int(sys.argv[1]))
    while True:
        number, (kind, columns, sizes, lacks, wants_keys) = channel.receive()
        batches = list(batches_of(columns, sizes))
        try:
            if kind == ROWS:
                answer: tuple[bytes | bytearray, ...] = worker.rows(batches[0], lacks)
            else:
                answer = worker.packed(batches, lacks, fold=kind == FOLDED, wants_keys=wants_keys)
        except TransformError as error:
            channel.send(number, FAILED, text_of(error))
        except BaseException as error:  # memory may be at its end anywhere
            channel.send(number, FAILED, worker.raised(error))
        else:
            channel.send(number, kind, *answer)


class LoadedTransform:
    """The transform, and the queries that it gives as bytes."""

    def __init__(self, entry: Entry, modules: Modules, decimals: Decimals, counter: int) -> None:
        """
        Args:
            decimals: what becomes of a Decimal.
            counter: descriptor of the memory with the number of batches that were begun.
        """
        self._entry = entry
        self._modules = modules
        self._counter = mmap.mmap(counter, COUNTER.size)
        self._begun = 0
        self._folder = Folder()
        self._lacks: list[str] = []
        self._merges = MergeReader()
        self._unexplained: list[tuple[str, str]] = []
        "Texts and explanations that there was no room for."
        self._decimals = decimals
        self._conversion = Conversion(decimals, zoned=True)
        self._mistakes_fields = False
        "Whether the server needs subscripts for fields."
        self._converts = False
        "Whether a parameter had to be converted yet; until then none is looked at."
        self._variety: Variety | None = Variety()
        "None: it is known whether the texts have values in them."
        self._folded = False
        "Whether the last request was to fold; one that is not, after it, comes of a refusal."

    def packed(
        self, batches: list[Columns], lacks: list[str], *, fold: bool, wants_keys: int
    ) -> tuple[bytes, bytearray]:
        """
        The answer to PACKED and FOLDED.

        Args:
            lacks: what the server does not do that queries need.
            wants_keys: as `Wanted`: whether others run, so that it matters what the queries merge.
        """
        self._meet(lacks)
        if self._folded and not fold:
            self._folder.refused()
        self._folded = fold
        error = b""
        done: list[Sequence[Query]] = []
        deadline = time.monotonic() + PATIENCE
        for number, batch in enumerate(batches, 1):
            try:
                make = partial(self._transformed, batch)
                done.append(make() if number == len(batches) else lasting(make))
            except TransformError as refusal:
                error = text_of(refusal)
            except BaseException as raised:  # the user's code may raise anything, SystemExit too
                error = self.raised(raised)
            if error or time.monotonic() >= deadline:
                break
        try:
            return self._answer(done, error, fold=fold, wants_keys=wants_keys)
        except MemoryError:
            if len(done) < 2:
                raise
            return self._answer(done[:1], b"", fold=fold, wants_keys=wants_keys)

    def _meet(self, lacks: list[str]) -> None:
        if lacks != self._lacks:
            self._lacks, self._folder = lacks, Folder(lacking(lacks))
            self._conversion = Conversion(self._decimals, zoned=Need.ZONES.value not in lacks)
            self._mistakes_fields = Need.FIELDS.value in lacks

    def rows(self, batch: Columns, lacks: list[str]) -> tuple[bytes]:
        """The answer to ROWS."""
        self._meet(lacks)
        queries = self._converted(self._transformed(batch))
        for index, (_, parameters) in enumerate(queries):
            check_values(index, parameters)
        packed = pack(list(map(list, queries)))
        if may_hold_nan(packed):
            check_lookups(queries)
        if len(packed) >= MAX_ROWS:
            size = f"{len(packed)} bytes, and a test shows at most {MAX_ROWS}"
            raise TransformError(f"what {self._entry.shown} returned is too large to be shown: {size}")
        return (packed,)

    def raised(self, error: BaseException) -> bytes:
        """What to say of an exception of the user's code."""
        return text_of(f"{self._entry.shown} raised {describe(error, self._modules)}")

    def _transformed(self, batch: Columns) -> Sequence[Query]:
        self._begun += 1
        COUNTER.pack_into(self._counter, 0, self._begun)
        return queries_of(self._entry, batch)

    def _answer(
        self, done: list[Sequence[Query]], error: bytes, *, fold: bool, wants_keys: int
    ) -> tuple[bytes, bytearray]:
        if self._converts:
            done, error = self._all_converted(done, error)
        queries = joined(done)
        packed = bytearray()
        try:
            if fold:
                folded = self._folder.fold(queries)
                size = pack_queries(packed, self._sent((item.text, item.parameters) for item in folded), queries)
            else:
                size = pack_queries(packed, self._sent(queries), queries)
        except TransformError as refusal:
            # Some value is none that a query can take as it is. Once converted, one by one it is found which.
            if not self._converts and isinstance(refusal.__cause__, LocalProtocolError):
                self._converts = True
                return self._answer(done, error, fold=fold, wants_keys=wants_keys)
            answer, packed = one_by_one([list(self._sent(queries)) for queries in done], error)
            queries = queries[: answer.given]
        else:
            answer = Answer(len(done), len(queries), size, error, b"")
        if self._variety is not None and self._variety.settled(queries):
            self._variety = None
        met = list(self._folder.news())
        merges = self._analysis(queries, [text for text, _ in met], fold=fold, wants_keys=wants_keys)
        return answer._replace(news=self._news(met), merges=merges).header, packed

    def _sent(self, queries: Iterable[tuple[str, Parameters]]) -> Iterable[tuple[str, Parameters]]:
        """The same, as this server understands them."""
        return subscripted(queries) if self._mistakes_fields else queries

    def _converted(self, queries: Sequence[Query]) -> list[Query]:
        """The same with parameters that can be sent. Raises TransformError, naming the item."""
        converted = []
        for index, (text, parameters) in enumerate(queries):
            try:
                converted.append((text, self._conversion.parameters(parameters)))
            except LocalProtocolError as error:
                raise value_error(index, error) from error
        return converted

    def _all_converted(self, done: list[Sequence[Query]], error: bytes) -> tuple[list[Sequence[Query]], bytes]:
        """The batches up to one that cannot be sent, and why it cannot."""
        converted: list[Sequence[Query]] = []
        for queries in done:
            try:
                converted.append(self._converted(queries))
            except TransformError as refusal:
                return converted, text_of(refusal)
        return converted, error

    def _analysis(self, queries: Sequence[Query], texts: list[str], *, fold: bool, wants_keys: int) -> bytes:
        """What the queries merge; and what those of new texts do, by which alone nothing has to wait for another."""
        if wants_keys:
            keys = self._merges.keys(queries, in_stream=wants_keys == Wanted.ALL)
        else:
            keys = EVERYTHING
            self._merges.meet(texts if fold else set(texts_of(queries)))
        encoded = Analysis(keys, self._merges.news()).encoded()
        return encoded if len(encoded) <= MAX_MERGES else Analysis(EVERYTHING, ()).encoded()

    def _news(self, met: list[tuple[str, str]]) -> bytes:
        found = self._unexplained + met
        news, self._unexplained = found[:MAX_EXPLAINED], found[MAX_EXPLAINED : 10 * MAX_EXPLAINED]
        return pack([[_shown(text), _shown(explanation)] for text, explanation in news]) if news else b""


def _shown(text: str) -> str:
    return one_line(text, MAX_BATCH_LIMIT_WAIT).encode("utf-8", "replace").decode()


def _show_output() -> None:
    """What a script prints and logs goes to its owner line by line; how it logs is still the script's to configure."""
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    logging.getLogger().setLevel(logging.INFO)
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.INFO)
        logging.lastResort.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))


def _limit(memory_bytes: int) -> None:
    # What the script starts is ended with it.
    os.setpgid(0, 0)
    # Ends with the thread that started it, even if that thread's process was killed and the script never looks at its
    # input again.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(0)
    memory_limit.limit(memory_bytes)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
