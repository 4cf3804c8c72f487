"""Requests to a transform process, and its answers; nothing of an answer is believed here but its kind and its size."""

from __future__ import annotations

import marshal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sluice.errors import ScriptError, SettingError, TransformError
from sluice.host.allow_list import shown
from sluice.host.settings import Settings
from sluice.scripting import memory_limit, ready_scripts
from sluice.scripting.channel import Channel, Patience, WrongAnswer
from sluice.scripting.child_process import ChildProcess
from sluice.scripting.confinement import described, machine
from sluice.scripting.contract import STREAM, STREAM_MESSAGES
from sluice.scripting.environment import server_packages
from sluice.scripting.frames import FOLDED, MAX_ANSWER, MAX_ROWS, PACKED, READY, ROWS
from sluice.scripting.interpreter import find_interpreter, forget_interpreter
from sluice.scripting.option_secrets import looked_up
from sluice.values.model import Transform
from sluice.values.options import NO_OPTIONS, Options
from sluice.values.output_lines import OutputLines
from sluice.values.record import FIELDS, VALUE

LIMITS = {PACKED: MAX_ANSWER, FOLDED: MAX_ANSWER, ROWS: MAX_ROWS}
"Bytes of the answers that hold queries."

WantsStop = Callable[[], bool]
"""
Whether its owner wants to stop: asked once a process has its request, and then again and again while it is at work.
What it raises passes through.
"""


def never() -> bool:
    """Of an owner who waits for as long as it takes, within the deadline."""
    return False


def until(check_abort: Callable[[], None]) -> WantsStop:
    """Of a procedure, which waits until `check_abort` raises because its caller's query is to end."""

    def wants_stop() -> bool:
        check_abort()
        return False

    return wants_stop


class Client(AbstractContextManager["Client"]):
    """
    One transform process, and the requests that it is sent.

    Threads: for the thread that made it. The process ends with that thread at the latest.
    """

    def __init__(
        self, uri: str, settings: Settings, wants_stop: WantsStop = never, lines: OutputLines | None = None
    ) -> None:
        """
        Starts the process.

        Args:
            uri: where its script is, for errors.
            lines: what keeps the lines that it writes; None: nothing does.

        Raises:
            SettingError: there is no interpreter to run it with.
        """
        self._uri = shown(uri)
        self.interpreter = find_interpreter(settings)
        try:
            self._process = ChildProcess(self.interpreter.path, f"transform {self._uri}", lines or OutputLines())
        except SettingError:
            forget_interpreter(settings)
            raise
        self._channel = Channel(self._process, wants_stop)
        self._memory_mb = settings.transform_memory_mb
        self._requests = 0
        self._written = 0
        "Bytes that it had written before the latest request."
        self.died = False
        "Whether it ended by itself, or was of no use any more; for a reason that may lie in what it did before."

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the process is gone."""
        return self._process.closed

    @property
    def begun(self) -> int:
        """How many batches it has begun."""
        return self._process.counter.value

    @property
    def output(self) -> str:
        """The last of what it has written to its standard output and error, one line."""
        return self._process.output.last

    def with_output(self, error: str) -> str:
        """An error that the process has answered with, and the last of what it has written meanwhile."""
        output = self._process.output
        return f"{error}; it wrote: {output.shown}" if output.size > self._written and output.shown else error

    def ask(
        self, request: Any, what: str, timeout: float, *, batches: int = 1, limits: Mapping[bytes, int] = LIMITS
    ) -> memoryview:
        """
        The answer to a request.

        Args:
            request: what `marshal` can write.
            what: what takes its time, for errors.
            timeout: seconds for each batch.

        Raises:
            TransformError: there is none, or none that is right; the process is gone.
            Stopped: the owner wants to stop.
        """
        number = self._requests
        self._written = self._process.output.size
        self._requests += 1
        patience = Patience(timeout, self.begun, batches)
        try:
            # A later version looks up each value that something else has too, as a message has its own: twice as long.
            return self._channel.exchange(number, marshal.dumps(request, 2), limits, patience)
        except TimeoutError:
            self.close()
            raise TransformError(f"transform {self._uri}: {what} did not end within {timeout:g} s") from None
        except WrongAnswer as error:
            raise self.wrong(error) from None
        except OSError:
            self.died = True
            epitaph = self._process.epitaph()
            hint = memory_limit.hint(self.output, self._memory_mb)
            raise TransformError(f"transform {self._uri}: {epitaph}{hint}") from None

    def wrong(self, reason: object) -> TransformError:
        """Ends the process, which has answered what it must not; the error to raise."""
        self.give_up()
        return TransformError(f"transform {self._uri}: its process {reason}")

    def give_up(self) -> None:
        """Ends the process, which is of no use any more."""
        self.died = True
        self.close()

    def close(self) -> None:
        """Ends the process, and what it has started, at once. May be called twice."""
        self._process.close()


def load(
    client: Client, transform: Transform, settings: Settings, deadline: float, options: Options = NO_OPTIONS
) -> tuple[str, tuple[str, ...]]:
    """
    Has the process load a script and configure it.

    Args:
        deadline: `time.monotonic()` by which it has to be done.

    Returns:
        what its transform is called, and the fields of messages that it wants.

    Raises:
        ScriptError: the script does not compile, raises when it is run, defines no transform, refuses its options or
            may not have their secrets, or does not end in time; retryable in the last case alone, since a busy machine
            is enough for it.
        Stopped: the owner wants to stop.
    """
    try:
        known = looked_up(options.as_map(), settings.secrets_allow)
    except SettingError as error:
        raise ScriptError(f"bad transform {transform.uri}: {error}") from None
    request = {
        **limits_of(client, settings),
        **_confinement_request(transform, settings),
        "uri": transform.uri,
        "source": transform.source,
        "options": known,
        "decimals": settings.decimals.value,
    }
    try:
        answer = client.ask(request, "loading it", max(deadline - time.monotonic(), 0.0))
    except TransformError as error:
        if client.died:
            raise ScriptError(f"bad {error}") from error
        late = f"loading it did not end within {settings.script_timeout:g} s"
        raise ScriptError(f"bad transform {transform.uri}: {late}", retryable=True) from error
    said = bytes(answer[1:]).decode(errors="replace")
    if answer[:1] != READY:
        raise ScriptError(client.with_output(f"bad transform {transform.uri}: {said}"))
    name, *fields = said.split(" ")
    if name != STREAM_MESSAGES:
        return STREAM, (VALUE,)
    return name, tuple(field for field in FIELDS if field in fields)


def limits_of(client: Client, settings: Settings) -> dict[str, Any]:
    """What every process is told with its first request."""
    return {
        "path": server_packages(),
        "own_first": not client.interpreter.is_ours,
        "memory_bytes": settings.transform_memory_mb << 20,
    }


def origin(transform: Transform, settings: Settings) -> str | None:
    """
    The URI of a transform that may run, as far as that gives it access to anything; None: its node alone says so.

    Without the administrator's list of hashes no script runs whose URI is not vouched for (`admission`). That of a
    ready transform always says what runs.
    """
    try:
        if not settings.transform_sha256 or ready_scripts.is_ready(transform.uri):
            return transform.uri
        signed = settings.signing_key_file.verify(transform.signature, transform.uri, transform.sha256)
    except (OSError, ValueError):
        return None
    return transform.uri if signed else None


def confinement(transform: Transform | None, settings: Settings) -> str:
    """What a transform is kept from, in a few words; None: any. Reads the signing key where hashes are listed."""
    place = origin(transform, settings) if transform is not None else None
    return described(settings.transform_sandbox, settings.transform_access.of(place), machine())


def _confinement_request(transform: Transform, settings: Settings) -> dict[str, Any]:
    place = origin(transform, settings)
    access = settings.transform_access.of(place)
    return {"sandbox": settings.transform_sandbox.value, "access": tuple(access), "origin": place}
