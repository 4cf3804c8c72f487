"""`sluice top` on a terminal, beside streams that fall behind, stop with an error, and come back."""

from __future__ import annotations

from pathlib import Path

from tests.hosts import Host
from tests.integration.test_kit import Stream, numbers
from tests.kafka import KafkaBroker
from tests.unit.test_top import screen

GATED = """
import pathlib
import time


def stream(batch):
    while not pathlib.Path("GATE").exists():
        time.sleep(0.01)
    if b"bad" in batch:
        raise ValueError("no number")
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch]
"""
"Waits until a file is there."


def test_a_stream_that_falls_behind_fails_and_comes_back(
    host: Host, kafka: KafkaBroker, stream_name: str, tmp_path: Path
) -> None:
    stream = Stream(host.run, kafka, tmp_path, stream_name)
    gate = tmp_path / "gate"
    stream.create(GATED.replace("GATE", str(gate)), size=10)
    stream.start()
    with screen(host.port) as shown:
        shown.await_text(stream_name, "running")
        stream.send(numbers(0, 250))
        shown.await_text("250", "falls behind")
        gate.touch()
        stream.await_count(250)
        stream.send(["bad"])
        shown.await_text("error")
        shown.press(b"\r")
        shown.await_text(stream.topic, "no number")
        shown.press(b"\rs")
        shown.await_text(f"{stream_name}: started")
        stream.await_status("error")
        shown.press(b"x")
        stream.await_status("stopped")
        shown.await_text("stopped")
    assert stream.count == 250
