"""`sluice top`: reads the streams every 1.8 s, shows them, and does what keys ask for."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from sluice.bolt.client import Connection
from sluice.errors import ConnectionLost, SluiceError
from sluice_tools.doctor.bolt import Target, connect
from sluice_tools.doctor.checks import CheckFailed
from sluice_tools.doctor.command import target_of
from sluice_tools.terminal import Authorities, PasswordFile, User, password_of, show
from sluice_tools.top.view import Keystroke, View, Wish

COLUMNS = "name, status, reason, retrying, total_lag, messages, failed, rates, last_error"
PROGRESS = f"CALL streams.progress() YIELD {COLUMNS} RETURN {COLUMNS}"

DETAIL_COLUMNS = (
    "status, reason, since, uri, topic, transform, config, batch_size, batch_interval, positions, lag, messages, "
    "batches, failed, retries, times_ms, last_batch, last_error"
)
DETAILS = f"CALL streams.info($name) YIELD {DETAIL_COLUMNS} RETURN {DETAIL_COLUMNS}"

_KEY = re.compile(rb"\x1b[\[O].|.", re.DOTALL)
_KEYS = {
    b"\x1b[A": Keystroke.UP,
    b"\x1bOA": Keystroke.UP,
    b"k": Keystroke.UP,
    b"\x1b[B": Keystroke.DOWN,
    b"\x1bOB": Keystroke.DOWN,
    b"j": Keystroke.DOWN,
    b"s": Keystroke.START,
    b"x": Keystroke.STOP,
    b"\r": Keystroke.DETAILS,
    b"\n": Keystroke.DETAILS,
    b"q": Keystroke.QUIT,
}


def top(
    uri: Annotated[
        str, typer.Option(metavar="URI", help="Memgraph or the shim; bolt+s:// for TLS, bolt+ssc:// unverified.")
    ] = "bolt://127.0.0.1:7687",
    user: User = "",
    password_file: PasswordFile = None,
    ca: Authorities = None,
    interval: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="Between two looks.")] = 1.8,
    once: Annotated[bool, typer.Option("--once", help="Print the table once. So it is without a terminal.")] = False,
) -> None:
    """
    Show the streams live: status, rate, lag and how long catching up takes, errors. Keys start and stop them.

    Exit code 0: quit by the user. 1: Memgraph cannot be read at the beginning.
    """
    target = target_of(uri, "--uri", (user, password_of(password_file, "--password-file"), ca, 5.0))
    console, reader = Console(), _Reader(target)
    view = View(str(target))
    try:
        reader.read(view)
        if once or not (console.is_terminal and sys.stdin.isatty()):
            console.print(view.render())
        else:
            _run(view, reader, console, interval)
    except CheckFailed as failure:
        _, text, remedy, _ = failure.finding
        show(Console(stderr=True), f"{text}. To do: {remedy}" if remedy else text, "red")
        raise typer.Exit(1) from failure
    except SluiceError as error:
        show(Console(stderr=True), str(error), "red")
        raise typer.Exit(1) from error
    finally:
        reader.close()


class _Reader:
    """Reads and changes streams over one connection, opened again when it was lost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: Connection | None = None

    def read(self, view: View) -> None:
        """
        Raises:
            CheckFailed, SluiceError: it cannot be read.
        """
        view.take(self._fetch(PROGRESS), time.monotonic())
        if view.details is not None:
            view.details = self._fetch(DETAILS, name=view.selected)[0]

    def do(self, wish: Wish) -> None:
        """Raises as `read`."""
        self._fetch(wish.query, name=wish.name)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _fetch(self, query: str, **parameters: str) -> list[dict[str, object]]:
        if self._connection is None:
            self._connection = connect(self._target, "Memgraph")
        try:
            return self._connection.fetch(query, parameters, timeout=self._target.timeout)
        except ConnectionLost:
            self.close()
            raise


def _run(view: View, reader: _Reader, console: Console, interval: float) -> None:
    stdin = sys.stdin.fileno()
    with (
        _keys_at_once(stdin),
        _interrupts() as interrupts,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        due = time.monotonic() + interval
        drawn: object = None
        while True:
            if drawn != (wanted := (console.size, view.shown())):
                live.update(view.render(console.size.height), refresh=True)
                drawn = wanted
            for key in _pressed(stdin, interrupts, due - time.monotonic()):
                if key is Keystroke.QUIT:
                    return
                wish = view.press(key)
                if wish is not None:
                    _attempt(view, reader, wish)
                due = 0.0  # show at once what came of it
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                _attempt(view, reader, None)


def _attempt(view: View, reader: _Reader, wish: Wish | None) -> None:
    try:
        if wish is None:
            reader.read(view)
            view.note = "" if view.note.startswith(_UNREAD) else view.note
        else:
            reader.do(wish)
            view.note = wish.done
    except CheckFailed as failure:
        view.note = f"{_UNREAD}{failure.finding.text}"
    except SluiceError as error:
        view.note = f"{_UNREAD if wish is None else ''}{error}"


_UNREAD = "not read any more: "


def _pressed(stdin: int, interrupts: int, timeout: float) -> list[Keystroke]:
    """The keys that were pressed within so many seconds; those that mean nothing are left out."""
    ready, _, _ = select.select([stdin, interrupts], [], [], max(0.0, timeout))
    if interrupts in ready:
        return [Keystroke.QUIT]
    if not ready:
        return []
    data = os.read(stdin, 1024)
    return [_KEYS[key] for key in _KEY.findall(data) if key in _KEYS] if data else [Keystroke.QUIT]


@contextmanager
def _keys_at_once(stdin: int) -> Iterator[None]:
    """Have the terminal give keys as they are pressed, and show none."""
    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin)
    try:
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


@contextmanager
def _interrupts() -> Iterator[int]:
    """What can be read from once Ctrl-C was pressed. As an exception it is lost if it comes within a destructor."""
    reading, writing = os.pipe()
    before = signal.signal(signal.SIGINT, lambda *_: os.write(writing, b"q"))
    try:
        yield reading
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(reading)
        os.close(writing)
