"""The tests' own tools that need no broker and no host."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.eventually import MOST_SLACK, eventually, slack, within
from tests.hosts import ScriptServer
from tests.leaks import Running


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


class Counting:
    """Gives its values one by one, the last for ever; raises those that are exceptions."""

    def __init__(self, *values: object) -> None:
        self._values = list(values)

    def __call__(self) -> object:
        value = self._values.pop(0) if len(self._values) > 1 else self._values[0]
        if isinstance(value, Exception):
            raise value
        return value


@pytest.mark.parametrize(
    ("values", "equals", "expected"),
    [
        pytest.param(["at once"], {}, "at once", id="a true value is returned"),
        pytest.param([None, 0, [], [1]], {}, [1], id="false values and None are not yet"),
        pytest.param([ValueError("no"), AssertionError(), 3], {}, 3, id="exceptions are not yet"),
        pytest.param([3, 2, 0], {"equals": 0}, 0, id="the value asked for may be a false one"),
    ],
)
def test_eventually_returns(values: list[object], equals: dict[str, Any], expected: object) -> None:
    assert eventually(Counting(*values), interval=0.001, **equals) == expected


@pytest.mark.parametrize(
    ("last", "equals", "message"),
    [
        pytest.param([], {}, r"not within 0.01 s: expected something true, last seen \[\]", id="the last value"),
        pytest.param(4, {"equals": 5}, "expected 5, last seen 4", id="both values"),
        pytest.param(ValueError("gone"), {}, "last seen ValueError: gone", id="the last exception"),
    ],
)
def test_eventually_fails_with(last: object, equals: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        eventually(Counting(last), timeout=0.01, interval=0.001, **equals)


def test_time_is_counted_by_what_else_the_machine_has_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    processors = os.cpu_count() or 1
    for load, expected in ((0.0, 1.0), (3.0 * processors, 3.0), (1000.0 * processors, MOST_SLACK)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, load, load))
        assert slack() == expected
        assert within(10, time.monotonic() - 9.9 * expected)
        assert not within(10, time.monotonic() - 10.1 * expected)


def test_a_thread_and_a_child_left_behind_are_named() -> None:
    running = Running()
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait, name="left-behind")
    thread.start()
    with subprocess.Popen(["sleep", "60"]) as child:
        left = running.started_since(patience=0.1)
        child.kill()
    ending.set()
    thread.join()
    assert left == ["thread left-behind", f"process {child.pid} (sleep)"]
    assert running.started_since() == []


def test_the_script_server_serves_counts_redirects_and_refuses() -> None:
    server = ScriptServer()
    server.turn_on()
    try:
        url = server.serve("a.py", "text")
        assert get(url) == b"text"
        assert get(server.redirect("moved.py", url)) == b"text"
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            get(server.url("missing.py"))
        missing.value.close()
        assert (server.count("a.py"), server.count("missing.py"), server.count("never.py")) == (2, 1, 0)
    finally:
        server.turn_off()
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(url)
    server.turn_on()
    try:
        assert get(url) == b"text"
    finally:
        server.turn_off()


def test_turning_the_script_server_off_ends_a_delay() -> None:
    server = ScriptServer()
    server.turn_on()
    server.serve("slow.py", "text")
    server.delay("slow.py", 60)
    client = threading.Thread(target=get, args=(server.url("slow.py"),))
    client.start()
    eventually(lambda: server.count("slow.py") == 1)
    began = time.monotonic()
    server.turn_off()
    client.join()
    assert time.monotonic() - began < 5
