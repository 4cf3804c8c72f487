"""`sluice top` on a terminal, beside streams that fall behind, stop with an error, and come back."""

from __future__ import annotations

from pathlib import Path

from tests.eventually import eventually
from tests.integration.test_kit import OwnHost, Stream, numbers, transforms_running
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

LAG = "CALL streams.info($name) YIELD lag RETURN lag"

PATIENT = {"SLUICE_TRANSFORM_TIMEOUT": "600"}
"So that waiting is no error on a busy machine."


def test_a_stream_that_falls_behind_fails_and_comes_back(
    own_host: OwnHost, kafka: KafkaBroker, stream_name: str, tmp_path: Path
) -> None:
    host = own_host(env=PATIENT)
    stream = Stream(host.run, kafka, tmp_path, stream_name)
    gate = tmp_path / "gate"
    stream.create(GATED.replace("GATE", str(gate)), size=10)
    stream.start()
    with screen(host.port) as shown:
        shown.await_text(stream_name, "running")
        stream.send(numbers(0, 50))
        eventually(lambda: transforms_running(host), equals=1, timeout=30)
        stream.send(numbers(50, 250))
        # It is told while the transform is at work on the first batch.
        eventually(lambda: host.run(LAG, name=stream_name), equals=[{"lag": {"0": 250}}])
        shown.await_text("falls behind")
        gate.touch()
        stream.await_count(250)
        stream.send(["bad"])
        shown.await_text("error")
        shown.press(b"\r")
        shown.await_text(stream.topic, "no number")
        host.run("CALL streams.seek($name, 'latest') YIELD effect", name=stream_name)
        shown.press(b"\rs")
        shown.await_text(f"START STREAM {stream_name}: OK", "running")
        stream.await_status("running")
        shown.press(b"x")
        stream.await_status("stopped")
        shown.await_text(f"STOP STREAM {stream_name}: OK", "stopped")
    assert stream.count == 250
