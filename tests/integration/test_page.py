"""The shim's page in a real browser."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.hosts import Host
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import Stream, numbers
from tests.integration.test_top import GATED
from tests.kafka import KafkaBroker
from tests.ports import free_port

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


def shown(port: int, folder: Path) -> str:
    """The text of the page, once it has asked for the streams."""
    assert BROWSER
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"]
    command += ["--virtual-time-budget=3000", "--dump-dom", f"http://127.0.0.1:{port}/"]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))


@pytest.mark.soak
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_stream_that_falls_behind_and_fails_is_shown_in_a_browser(
    host: Host, kafka: KafkaBroker, stream_name: str, tmp_path: Path
) -> None:
    port = free_port()
    shim = ShimServer(tmp_path, host.port, f"--metrics=127.0.0.1:{port}", "--page")
    shim.start()
    try:
        stream = Stream(host.run, kafka, tmp_path, stream_name)
        gate = tmp_path / "gate"
        stream.create(GATED.replace("GATE", str(gate)), size=10)
        stream.start()
        stream.send(numbers(0, 250))
        eventually(lambda: re.search(f"{stream_name} running 0 250 falls behind", shown(port, tmp_path)), timeout=120)
        gate.touch()
        stream.await_count(250)
        stream.send(["bad"])
        stream.await_status("error")
        eventually(
            lambda: re.search(f"{stream_name} error .* ValueError: no number", shown(port, tmp_path)), timeout=120
        )
    finally:
        shim.kill()
