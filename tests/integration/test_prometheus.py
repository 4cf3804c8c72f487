"""The configuration and the alert rules of `docker/metrics`, in a real Prometheus that scrapes the shim."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.eventually import eventually
from tests.hosts.host import REPOSITORY, Host
from tests.integration.shim_server import ShimServer
from tests.integration.test_kit import Stream, numbers
from tests.ports import free_port
from tests.server import Server

METRICS = REPOSITORY / "docker" / "metrics"
PROGRAM = shutil.which("prometheus")

NUMBERS = """
def stream(batch):
    return [("CREATE (:LABEL {value: $value})", {"value": str(int(message))}) for message in batch]
"""

pytestmark = [pytest.mark.soak, pytest.mark.skipif(PROGRAM is None, reason="needs Debian's package prometheus")]


class Prometheus(Server):
    """Scrapes one shim, each second."""

    name = "Prometheus"

    def __init__(self, folder: Path, target: int) -> None:
        super().__init__(folder / "prometheus.log")
        self._folder = folder
        self._port = free_port()
        settings = yaml.safe_load((METRICS / "prometheus.yml").read_text("utf-8"))
        settings["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        settings["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), "utf-8")
        shutil.copy(METRICS / "alerts.yml", folder)

    def command(self) -> Sequence[str | Path]:
        assert PROGRAM
        return [
            PROGRAM,
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]

    def answers(self) -> bool:
        return requests.get(f"http://127.0.0.1:{self._port}/-/ready", timeout=1).ok

    def value(self, query: str) -> float:
        """Of a query that has one result."""
        [found] = self._ask("query", query=query)["result"]
        return float(found["value"][1])

    @property
    def alerts(self) -> dict[str, str]:
        """Alert -> its state, for those that are pending or firing."""
        return {alert["labels"]["alertname"]: alert["state"] for alert in self._ask("alerts")["alerts"]}

    def _ask(self, what: str, **parameters: str) -> Any:
        answer = requests.get(f"http://127.0.0.1:{self._port}/api/v1/{what}", parameters, timeout=5)
        answer.raise_for_status()
        return answer.json()["data"]


@pytest.fixture
def shim(host: Host, tmp_path: Path) -> Iterator[tuple[ShimServer, int]]:
    """With the port of its metrics."""
    port = free_port()
    shim = ShimServer(tmp_path, host.port, f"--metrics=127.0.0.1:{port}")
    shim.start()
    yield shim, port
    shim.kill()


@pytest.fixture
def prometheus(shim: tuple[ShimServer, int], tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, shim[1])
    server.start()
    yield server
    server.kill()


def test_what_a_stream_does_is_scraped_and_its_error_fires_an_alert(stream: Stream, prometheus: Prometheus) -> None:
    stream.create(NUMBERS)
    stream.start()
    stream.send(numbers(0, 250))
    messages = f'sluice_stream_messages_total{{stream="{stream.name}"}}'
    eventually(lambda: prometheus.value(messages), equals=250.0, timeout=60)
    assert "SluiceStreamError" not in prometheus.alerts
    stream.send(["bad"])
    stream.await_status("error")
    eventually(lambda: prometheus.alerts["SluiceStreamError"], equals="firing", timeout=120)


def test_a_shim_that_is_gone_fires_an_alert(shim: tuple[ShimServer, int], prometheus: Prometheus) -> None:
    eventually(lambda: prometheus.value('up{job="sluice"}'), equals=1.0, timeout=30)
    shim[0].kill()
    eventually(lambda: prometheus.alerts["SluiceShimDown"], equals="firing", timeout=120)
