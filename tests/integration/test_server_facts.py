"""A server that does otherwise than expected, or that ends again and again: streams are slower, never wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.bolt.client import Connection
from sluice.folding import REASONS, UNFOLDED, Need
from sluice.host.attempts import FILE, MAX_ATTEMPTS
from sluice.persistence.probe import LABEL, probe
from sluice.values.model import AS_EXPECTED, PROBE
from tests.eventually import eventually
from tests.faults.moments import Moment
from tests.faults.proxy import CuttingProxy
from tests.hosts import Host
from tests.integration.configured import Configured, started
from tests.integration.test_kit import OwnHost, Run, numbers
from tests.kafka import KafkaBroker

NOT_ON_THE_SANDBOX = {Need.CLAUSES, Need.FOREACH, Need.CHAIN}
"What its engine does otherwise (docs/sandbox.md)."

TYPOGRAPHIC = """
def stream(batch):
    return [(text(message.decode()), {"value": message.decode()}) for message in batch]


def text(value):
    return "CREATE (:LABEL {value: “$value”})" if value == "wrong" else "CREATE (:LABEL {value: $value})"
"""
"A quote of a word processor's, which the server repeats in its error."


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    """A proxy to nowhere."""
    with CuttingProxy() as proxy:
        yield proxy


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str) -> Configured:
    return Configured(run, kafka, tmp_path, stream_name)


def test_the_server_does_what_folding_and_the_fence_rest_on_and_keeps_nothing(host: Host) -> None:
    with Connection.open("127.0.0.1", host.port, timeout=10) as connection:
        findings = probe(connection)
        findings = probe(connection)  # the second time, with plans that are known
        left = connection.fetch(f"MATCH (n:{LABEL}) RETURN count(n) AS count")
    print(f"asked in {findings.seconds * 1000:.1f} ms")
    assert findings.refusal is None
    lacks = set(findings.lacks) - UNFOLDED  # as Memgraph does since 2.19
    assert lacks == (set() if host.is_memgraph else NOT_ON_THE_SANDBOX), findings.lacks
    assert left == [{"count": 0}]


def test_what_the_server_was_found_to_do_is_in_the_settings(host: Host) -> None:
    query = "CALL streams.settings() YIELD name, value WITH name, value WHERE name = $name RETURN value"

    def told() -> str:
        rows = host.run(query, name=PROBE)
        return str(rows[0]["value"])

    eventually(lambda: "asked" not in told() or AS_EXPECTED in told())
    if host.is_memgraph:
        assert told().startswith(AS_EXPECTED)
    else:
        assert all(REASONS[need] in told() for need in NOT_ON_THE_SANDBOX)


def test_a_query_with_a_wrong_character_that_is_not_ascii_is_an_error_of_data(stream: Configured) -> None:
    stream.send(["a", "wrong", "b"])
    stream.configured({"on_error": "skip"}, TYPOGRAPHIC)
    stream.start()
    stream.await_values(["a", "b"])
    assert stream.info["failed"] == 1


@pytest.mark.faults
def test_a_stream_at_whose_first_transaction_the_server_ends_again_and_again_does_not_start_by_itself(
    own_host: OwnHost, proxy: CuttingProxy, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host(env={"SLUICE_LOOPBACK_PORT": str(proxy.port)})
    proxy.target = host.port
    stream = started(Configured(host.run, kafka, tmp_path, "ending"))
    trap = proxy.arm(Moment.AFTER_BEGIN, hold=True)
    stream.send(numbers(10, 20))
    for _ in range(MAX_ATTEMPTS + 1):  # the first of which is none after a start
        assert trap.sprung.wait(20)
        host.kill()
        trap = proxy.arm(Moment.AFTER_BEGIN, hold=True)
        host.start()
    proxy.disarm()
    stream.await_status("error")
    reason = stream.info["reason"]
    assert (
        f"the server ended {MAX_ATTEMPTS} times in a row while the stream's first transaction was in flight" in reason
    )
    assert "START STREAM ending" in reason
    assert stream.values == numbers(0, 10)
    stream.start()
    stream.await_values(numbers(0, 20))


@pytest.mark.faults
def test_a_first_transaction_that_is_answered_counts_against_no_stream(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    host = own_host()
    stream = started(Configured(host.run, kafka, tmp_path, "innocent"))
    host.kill()
    host.start()
    stream.send(numbers(10, 20))
    stream.await_values(numbers(0, 20))
    # The values are there a moment before the worker hears that they are.
    eventually(lambda: json.loads((host.data / FILE).read_text("utf-8")), equals={})
