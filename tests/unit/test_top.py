"""`sluice top`: what it shows, what its keys do, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from sluice.bolt import messages
from sluice.bolt.messages import Tag
from sluice_tools.top.command import COLUMNS, DETAIL_COLUMNS, DETAILS, PROGRESS
from sluice_tools.top.view import AROUND, Keystroke, View
from tests.eventually import eventually
from tests.ports import free_port
from tests.unit.bolt.fake_server import FakeServer, Session

ROW: dict[str, Any] = {
    "name": "orders",
    "status": "running",
    "reason": None,
    "retrying": None,
    "total_lag": 400,
    "messages": 1000,
    "failed": 0,
    "rates": {"messages_per_s": 25.0, "batches_per_s": 1.0},
    "last_error": None,
}
STOPPED = {**ROW, "name": "old", "status": "stopped", "total_lag": None}
FAILED = {**STOPPED, "name": "people", "status": "error", "reason": "Kafka stream people, \x1b[2J refused", "failed": 3}
RETRYING = {**ROW, "name": "slow", "total_lag": 40, "retrying": {"why": "x"}, "reason": "retrying since ...: no broker"}
OVER = {"time": "2026-11-29T10:00:00.000Z", "error": "Connection refused"}


def lines(view: View, height: int = 30, width: int = 120) -> list[str]:
    console = Console(width=width, color_system=None, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(view.render(height))
    return [line.rstrip() for line in capture.get().splitlines()]


def view_of(*rows: dict[str, Any], now: float = 0.0) -> View:
    view = View("bolt://127.0.0.1:7687")
    view.take(list(rows), now)
    return view


def test_the_table() -> None:
    view = view_of(ROW, STOPPED, FAILED, RETRYING)
    view.take([{**ROW, "messages": 1100, "total_lag": 300}, STOPPED, FAILED, {**RETRYING, "last_error": OVER}], 2.0)
    head, keys, note, names, _, orders, old, people, slow = lines(view)
    assert head == "bolt://127.0.0.1:7687   4 streams: 2 running, 1 stopped, 1 error   50 messages/s   lag 340"
    assert " ".join(names.split()) == "stream status messages/s lag catches up failed reason, or last error"
    assert " ".join(orders.split()) == "orders running 50 300 ██████████ in 6 s"
    assert old.split() == ["old", "stopped"]
    assert people.split()[:3] == ["people", "error", "3"]
    assert "Kafka stream people, \\x1b[2J refused" in people  # what is not printable does nothing to the terminal
    assert slow.split()[:6] == ["slow", "retrying", "0", "40", "██", "falls"]
    assert "retrying since ...: no broker" in slow
    assert note == ""
    assert keys == "↑ ↓ select   s start   x stop   Enter details   q quit"


def test_an_error_that_is_over_is_shown_as_such() -> None:
    view = view_of({**ROW, "last_error": OVER})
    assert "(over) 2026-11-29T10:00:00.000Z Connection refused" in lines(view, width=160)[5]


def test_what_is_too_long_is_cut_off_in_its_own_line_only() -> None:
    *_, first, second = lines(view_of({**FAILED, "reason": "long " * 50}, ROW))
    assert first.endswith("…")
    assert not second.endswith("…")


def test_no_streams() -> None:
    view = view_of()
    assert lines(view)[0] == "bolt://127.0.0.1:7687   0 streams   0 messages/s   lag 0"
    assert [view.press(key) for key in Keystroke] == [None] * len(Keystroke)


def test_more_streams_than_lines_scroll() -> None:
    names = [f"stream{number:02}" for number in range(50)]
    view = view_of(*({**ROW, "name": name} for name in names))

    def shown() -> list[str]:
        return [word for line in lines(view, AROUND + 10) for word in line.split() if word in names]

    assert shown() == names[:10]
    for _ in range(30):
        view.press(Keystroke.DOWN)
    assert view.selected in shown()
    assert len(shown()) == 10
    for _ in range(40):
        view.press(Keystroke.DOWN)
    assert (view.selected, shown()) == (names[-1], names[-10:])


def test_keys() -> None:
    view = view_of(ROW, STOPPED)
    assert view.press(Keystroke.START) == ("CALL streams.start($name)", "orders", "START STREAM orders: OK")
    view.press(Keystroke.DOWN)
    assert view.press(Keystroke.STOP) == ("CALL streams.`stop`($name)", "old", "STOP STREAM old: OK")
    view.press(Keystroke.DETAILS)
    view.details = {"topic": "t", "lag": {"0": 7}, "reason": None}
    view.press(Keystroke.UP)  # selects nothing else meanwhile
    assert [line.split() for line in lines(view)[3:6]] == [["name", "old"], ["topic", "t"], ["lag", '{"0":', "7}"]]
    view.take([ROW], 1.0)  # it was dropped
    assert view.selected == "orders"
    assert view.details is None


HOME = "\x1b[H"
"Moves the cursor to the beginning of the screen."


class Screen:
    """`sluice top` on a terminal of its own."""

    def __init__(self, port: int) -> None:
        self.terminal, terminal = pty.openpty()
        self.before = termios.tcgetattr(terminal)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120", "LINES": "20"}
        environment["TERM"] = "xterm-256color"
        command = [sys.executable, "-m", "sluice_tools.cli", "top", "--uri", f"bolt://127.0.0.1:{port}"]
        self.process = subprocess.Popen(
            [*command, "--interval", "0.2"], stdin=terminal, stdout=terminal, env=environment
        )
        self._text = ""
        self._reading = threading.Thread(target=self._read, name="screen")
        self._reading.start()
        self._terminal = terminal

    @property
    def attributes(self) -> list[Any]:
        return termios.tcgetattr(self._terminal)

    def press(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def await_text(self, *texts: str, without: str = "\0") -> None:
        """Wait until the screen shows these, and `without` before them no more."""
        eventually(lambda: all(text in self._text for text in texts) and without not in self._text, timeout=30)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)
        self._reading.join()
        os.close(self.terminal)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:  # nobody has the other side any more
                return
            # It is drawn anew, from its beginning, only when something is different.
            self._text = (self._text + data.decode(errors="replace")).rpartition(HOME)[2]


@contextmanager
def screen(port: int) -> Iterator[Screen]:
    shown = Screen(port)
    try:
        yield shown
    finally:
        shown.close()


class Streams:
    """A server with one stream."""

    def __init__(self) -> None:
        self.row = dict(ROW)
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, session: Session) -> None:
        session.log_in()
        while True:
            message = session.next()
            if message.tag == Tag.GOODBYE:
                return
            query, parameters, _ = message.fields
            session.expect(Tag.PULL)
            if query in (PROGRESS, DETAILS):
                columns = (COLUMNS if query == PROGRESS else DETAIL_COLUMNS).split(", ")
                record = messages.record([self.row.get(column, f"the {column}") for column in columns])
                session.say(messages.success({"fields": columns}), record, messages.success())
                continue
            self.asked.append((query, parameters))
            session.say(messages.success({"fields": []}), messages.success())


def probe(session: Session) -> None:
    """The first connection, with which `connect` finds out whether anything listens."""
    assert not session.socket.recv(1)


def test_in_a_terminal() -> None:
    streams = Streams()

    with FakeServer(probe, streams) as server, screen(server.port) as shown:
        shown.await_text("orders", "running", "400")
        streams.row |= {"status": "error", "reason": "query refused"}
        shown.await_text("error", "query refused")
        shown.press(b"s")
        shown.await_text("START STREAM orders: OK")
        shown.press(b"?x\x1b[B\r")
        shown.await_text("the topic", "the transform", "Enter back")
        assert streams.asked == [
            ("CALL streams.start($name)", {"name": "orders"}),
            ("CALL streams.`stop`($name)", {"name": "orders"}),
        ]
        shown.press(b"\r")
        shown.await_text("Enter details")
        shown.press(b"q")
        assert shown.process.wait(20) == 0
        assert shown.attributes == shown.before


def test_a_server_that_goes_and_comes_back_is_told() -> None:
    streams = Streams()
    going = threading.Event()

    def leave(session: Session) -> None:
        session.log_in()
        session.answer_query(COLUMNS.split(", "), [[ROW[column] for column in COLUMNS.split(", ")]])
        assert going.wait(30)
        session.vanish()

    with FakeServer(probe, leave, probe, streams) as server, screen(server.port) as shown:
        shown.await_text("orders")
        going.set()
        shown.await_text("not read any more: ")
        shown.await_text("400", without="not read any more: ")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(20) == 0
        assert shown.attributes == shown.before


def run_top(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sluice_tools.cli", "top", "--uri", f"bolt://127.0.0.1:{port}", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize("options", [["--once"], []], ids=["asked for", "no terminal"])
def test_once(options: list[str]) -> None:
    with FakeServer(probe, Streams()) as server:
        result = run_top(server.port, *options)
    assert result.returncode == 0, result.stderr
    assert "orders" in result.stdout
    assert "\x1b" not in result.stdout


def test_no_server_is_one_line_with_what_to_do() -> None:
    result = run_top(port := free_port())
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"nothing answers at 127.0.0.1:{port}: Connection refused")
