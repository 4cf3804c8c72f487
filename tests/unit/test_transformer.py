"""Transforms that misbehave: what they do stays in their process, and counts against no message but their own."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Message

from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import parse
from sluice.errors import ServiceUnavailable, Stopped
from sluice.host.settings import Settings
from sluice.host.signing import SigningKey
from sluice.scripting import admission, transformer
from sluice.scripting.process import PackedQueries
from sluice.scripting.transformer import Transformer
from sluice.values.batch import Batch, Group
from sluice.values.model import StreamSpec, Transform
from tests.eventually import eventually

SETTINGS = Settings(script_timeout=60.0, transform_timeout=30.0, transform_memory_mb=400)

RETURNS = "[('RETURN $x', {'x': [m.decode() for m in batch]})]"

Start = Callable[[str], Transformer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    settings = replace(SETTINGS, signing_key_file=SigningKey(tmp_path / "key", created_by_us=True))
    started = []

    def start(source: str) -> Transformer:
        transform = Transform("/srv/t.py", source, hashlib.sha256(source.encode()).hexdigest())
        transform = admission.sign(transform, settings)
        spec = StreamSpec("u", "people", "localhost:9092", "t", transform)
        started.append(Transformer(spec, settings, lambda: False))
        return started[-1]

    yield start
    for each in started:
        each.close()


def group(*batches: str) -> Group:
    """One message in each batch."""
    return Group([Batch([Message(topic="t", partition=0, offset=0, value=text.encode())]) for text in batches])


def given(queries: PackedQueries) -> list[str]:
    """The messages that the queries are of."""
    runs = MessageBuffer(1 << 20).feed(bytes(queries.frames))[::2]
    return [text for run in runs for text in parse(run).fields[1]["x"]]


def all_given(transformer: Transformer, *batches: str) -> list[str]:
    """What each batch becomes, as the applier asks for it: what is not done comes again."""
    found: list[str] = []
    while batches:
        queries = transformer.pack(group(*batches))
        assert queries.error is None, queries.error
        assert queries.batches
        found += given(queries)
        batches = batches[queries.batches :]
    return found


def test_memory_that_is_never_given_back_counts_against_no_message(start: Start) -> None:
    leaks = start(f"kept = []\ndef stream(batch):\n    kept.append(bytearray(2 * 10 ** 8))\n    return {RETURNS}")
    for number in range(6):
        assert all_given(leaks, str(number), "x") == [str(number), "x"]


def test_memory_that_one_message_alone_takes_counts_against_it(start: Start) -> None:
    source = f"def stream(batch):\n    if batch == [b'big']: bytearray(10 ** 9)\n    return {RETURNS}"
    transformer = start(source)
    assert all_given(transformer, "a", "b") == ["a", "b"]
    queries = transformer.pack(group("c", "big", "d"))
    while queries.error is None:
        assert given(queries) == ["c"]
        queries = transformer.pack(group("big", "d"))
    assert "stream(batch) raised MemoryError" in str(queries.error)
    assert (queries.batches, queries.failed) == (0, 0)
    assert all_given(transformer, "d") == ["d"]


def test_a_process_that_ends_now_and_then_counts_against_no_message(start: Start) -> None:
    body = "global n\n    n += 1\n    if n > 3: os._exit(1)"
    wears_out = start(f"import os\nn = 0\ndef stream(batch):\n    {body}\n    return {RETURNS}")
    for _ in range(3):
        assert all_given(wears_out, *"abcde") == list("abcde")


def test_a_service_that_is_away_counts_against_no_message(start: Start) -> None:
    source = f"""
from sluice.decoding import ServiceUnavailable

def stream(batch):
    if b"away" in batch:
        raise ServiceUnavailable("the schema registry at http://x, asked for schema 1: Connection refused")
    return {RETURNS}
"""
    waits = start(source)
    assert given(waits.pack(group("a", "b", "away", "c"))) == ["a", "b"]
    text = "^transform /srv/t.py: the schema registry at http://x, asked for schema 1: Connection refused$"
    for ask in (waits.pack, waits.fold, lambda group: waits.whole(group.batches[0])):
        with pytest.raises(ServiceUnavailable, match=text) as caught:
            ask(group("away", "c"))
        assert caught.value.retryable
    assert all_given(waits, "c") == ["c"]


def test_an_answer_that_is_given_twice_is_never_taken_for_that_of_the_next_batch(start: Start) -> None:
    forks = start(f"import os\ndef stream(batch):\n    os.fork()\n    return {RETURNS}")
    for number in range(8):
        queries = forks.pack(group(str(number)))
        # Two processes read the next request, and either may get it, or a part of it.
        assert queries.error is not None or given(queries) == [str(number)]
        time.sleep(0.01)


def test_what_a_transform_has_started_ends_with_it(start: Start, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    source = f"""
import os, subprocess
def stream(batch):
    child = os.fork()
    if not child:
        while True: pass
    other = subprocess.Popen(["sleep", "600"])
    with open({str(pids)!r}, "a") as file:
        file.write(f"{{child}} {{other.pid}} ")
    return {RETURNS}
"""
    transformer = start(source)
    assert all_given(transformer, "a") == ["a"]
    started = pids.read_text().split()
    assert len(started) == 2
    transformer.close()
    eventually(lambda: not any(alive(int(pid)) for pid in started))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("os.chdir('/')", id="changes directory"),
        pytest.param("print('x' * 5_000_000); sys.stdout.flush()", id="prints"),
        pytest.param("threading.Thread(target=time.sleep, args=(600,)).start()", id="starts a thread"),
        pytest.param("[signal.signal(number, signal.SIG_IGN) for number in (2, 15)]", id="ignores signals"),
        pytest.param("os.umask(0); os.nice(5); resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))", id="limits"),
        pytest.param("sys.stdin = sys.stdout = None; gc.disable(); sys.setrecursionlimit(50_000)", id="interpreter"),
    ],
)
def test_what_a_transform_does_to_its_process_is_its_own_affair(start: Start, body: str) -> None:
    here = os.getcwd()
    modules = "import gc, os, resource, signal, sys, threading, time\n"
    transformer = start(f"{modules}def stream(batch):\n    {body}\n    return {RETURNS}")
    assert all_given(transformer, *"abc") == list("abc")
    assert all_given(transformer, "d") == ["d"]
    assert os.getcwd() == here


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os.closerange(0, 1000)", "its process ended (exit status "),
        ("os.closerange(0, 1000); time.sleep(60)", "its process hung up"),
        ("os.kill(os.getpid(), 9)", "its process was ended by signal 9"),
        ("os._exit(4)", "its process ended (exit status 4)"),
        ("os.execv('/bin/true', ['true'])", "its process ended (exit status 0)"),
        ("for n in range(3, 50): os.write(n, b'x' * 8)", "its process answered another request"),
    ],
)
def test_a_transform_that_loses_its_channel_is_a_fault_of_the_transform(start: Start, body: str, reason: str) -> None:
    transformer = start(
        f"import os, time\ndef stream(batch):\n    if batch == [b'bad']:\n        {body}\n    return {RETURNS}"
    )
    queries = transformer.pack(group("bad"))
    assert queries.error is not None
    assert reason in str(queries.error)
    assert all_given(transformer, "good") == ["good"]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_script_is_loaded_when_others_are_done_or_not_at_all_if_its_stream_stops(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transformer, "LOADING", threading.BoundedSemaphore(1))
    monkeypatch.setattr(transformer, "STOP_INTERVAL", 0.01)
    loaded = tmp_path / "loaded"
    waiting = start(f"open({str(loaded)!r}, 'w').close()\ndef stream(batch):\n    return {RETURNS}")
    monkeypatch.setattr(waiting, "_wants_stop", lambda: True)
    with transformer.LOADING, pytest.raises(Stopped):
        waiting.pack(group("x"))
    assert not loaded.exists()
    monkeypatch.setattr(waiting, "_wants_stop", lambda: False)
    assert all_given(waiting, "x") == ["x"]
    assert transformer.LOADING.acquire(blocking=False)


def test_a_script_that_hangs_does_not_keep_others_from_being_loaded(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transformer, "LOADING", threading.BoundedSemaphore(1))
    monkeypatch.setattr(transformer, "LONG", 0.0)
    go_on = tmp_path / "go_on"
    waits = f"import os, time\nwhile not os.path.exists({str(go_on)!r}):\n    time.sleep(0.01)\n"
    hanging, other = (
        start(f"{waits}def stream(batch):\n    return {RETURNS}"),
        start(f"def stream(batch):\n    return {RETURNS}"),
    )
    with ThreadPoolExecutor(1) as pool:
        loaded = pool.submit(all_given, hanging, "a")
        try:
            assert all_given(other, "b") == ["b"]
            assert not loaded.done()
        finally:
            go_on.touch()
        assert loaded.result(timeout=60) == ["a"]
