"""A server that confines its transforms: they run, what they must not is refused, and everybody is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.scripting.confinement import machine
from tests.integration.test_kit import OwnHost, Stream
from tests.kafka import KafkaBroker

pytestmark = pytest.mark.skipif(bool(machine().lacking), reason=f"this machine has {machine()}")

NEIGHBOUR = """
from pathlib import Path
CODES = Path(__file__).with_name("codes.txt").read_text()
def stream(batch):
    return [("CREATE (:LABEL {value: $value})", {"value": CODES}) for _ in batch]
"""


def test_confined_transforms_run_and_what_they_must_not_is_the_streams_error(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_TRANSFORM_SANDBOX": "on"})
    told = f"kept from files, network, signals; this machine has {machine()}"
    [row] = [
        row for row in host.run("CALL streams.settings() YIELD name, value") if row["name"] == "transform confinement"
    ]
    assert row["value"] == told
    (tmp_path / "codes.txt").write_text("x")
    works = Stream(host.run, kafka, tmp_path, "works")
    works.create(NEIGHBOUR.replace("LABEL", works.label))
    works.send(["1", "2"])
    works.start()
    works.await_values(["x", "x"])
    [row] = host.run("CALL streams.info($name) YIELD confinement", name=works.name)
    assert row["confinement"] == told
    reads = Stream(host.run, kafka, tmp_path, "reads")
    reads.create("def stream(batch):\n    return [('RETURN 1', {}) for _ in open('/etc/hostname')]\n")
    reads.send(["1"])
    reads.start()
    reads.await_status("error")
    assert "PermissionError" in str(reads.error)
    assert "SLUICE_TRANSFORM_ACCESS" in str(reads.error)
