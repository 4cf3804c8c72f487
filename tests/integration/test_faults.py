"""The fault harness in short: all faults at once, and that it would find what it looks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.rounds import MakeHost, run_round
from tests.faults.variants import query_modules
from tests.faults.verdict import Order, Verdict
from tests.hosts import ServerHost
from tests.integration.test_kit import OwnHost
from tests.kafka import KafkaBroker

SEED = 4


def behind_a_proxy(own_host: OwnHost, modules: Path | None = None) -> MakeHost:
    """Makes hosts whose loopback goes to the port that is given."""

    def make(port: int) -> ServerHost:
        env = {"SLUICE_LOOPBACK_PORT": str(port)} if port else {}
        return own_host(env=env, query_modules=modules, start=False)

    return make


@pytest.mark.faults
def test_under_all_faults_at_once_every_message_takes_effect_once_in_order(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    order = Order("all", SEED, messages=1500, strikes=3, kills=2, partitions=3, batch_size=10, chained=True)
    verdict = run_round(order, behind_a_proxy(own_host), own_kafka(), tmp_path)
    assert verdict.right, f"seed {SEED}\n{verdict}"
    assert verdict.comparison.messages == order.messages // 3 * 3
    assert verdict.kills >= 2
    for fault in ("host stops", "reloads", "restarts", "limited runs", "cuts anywhere", "poison"):
        assert verdict.tally[fault], f"nothing injected: {fault}\n{verdict}"


@pytest.mark.soak
@pytest.mark.faults
@pytest.mark.parametrize("kind", ["all", "truncation", "lanes", "seek"])
def test_several_lanes_of_two_topics_apply_every_message_once_in_order_and_make_one_vertex_of_a_key(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path, kind: str
) -> None:
    order = Order(kind, SEED, messages=2400, strikes=8, kills=2, batch_size=10, lanes=4)
    verdict = run_round(order, behind_a_proxy(own_host), own_kafka(), tmp_path)
    assert verdict.right, f"seed {SEED}\n{verdict}"
    again = verdict.tally.get("messages sought back", 0)
    assert verdict.comparison.messages >= order.messages + again
    assert verdict.tally["lanes altered"] >= 2
    assert verdict.tally.get("seeks back", 0) + verdict.tally.get("seeks to and fro", 0) >= 2


@pytest.mark.soak
@pytest.mark.faults
def test_under_faults_of_kafkas_logs_and_beside_the_stream_every_message_takes_effect_once(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    order = Order("logs", SEED, messages=1500, strikes=10, kills=2, partitions=2, batch_size=10)
    verdict = run_round(order, behind_a_proxy(own_host), own_kafka(), tmp_path)
    assert verdict.right, f"seed {SEED}\n{verdict}"
    assert verdict.comparison.messages > 2 * order.messages
    for fault in ("host kills", "reloads", "logs trimmed", "logs lost"):
        assert verdict.tally[fault], f"nothing injected: {fault}\n{verdict}"
    assert any(fault.startswith("transactions ") for fault in verdict.tally)


@pytest.mark.soak
@pytest.mark.faults
def test_streams_that_merge_the_same_under_faults_make_one_of_each(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    order = Order("shared", SEED, messages=1500, strikes=8, kills=3, partitions=2, batch_size=10)
    verdict = run_round(order, behind_a_proxy(own_host), own_kafka(), tmp_path)
    assert verdict.right, f"seed {SEED}\n{verdict}"
    assert verdict.comparison.messages == 4 * order.messages


@pytest.mark.soak
@pytest.mark.faults
def test_a_parked_message_that_is_retried_takes_effect_once(
    own_host: OwnHost, own_kafka: Callable[[], KafkaBroker], tmp_path: Path
) -> None:
    order = Order("kill-retry", SEED, messages=1500, strikes=60, kills=3, partitions=3, batch_size=10, chained=True)
    verdict = run_round(order, behind_a_proxy(own_host), own_kafka(), tmp_path)
    assert verdict.right, f"seed {SEED}\n{verdict}"
    assert verdict.comparison.messages == order.messages
    assert verdict.tally["retries"] > order.kills


@pytest.mark.soak
@pytest.mark.faults
@pytest.mark.parametrize(
    ("variant", "finds"), [("at-least-once", "twice"), ("at-most-once", "lost")], ids=lambda value: value
)
@pytest.mark.parametrize("lanes", [1, 4])
def test_the_harness_finds_what_a_broken_order_of_batch_and_checkpoint_does(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path, variant: str, finds: str, lanes: int
) -> None:
    order = Order("cut-after", SEED, messages=1600, strikes=6, batch_size=10, lanes=lanes)
    verdict = _broken(order, variant, own_host, kafka, tmp_path)
    found = verdict.comparison
    assert (found.twice > 0, found.lost > 0) == (finds == "twice", finds == "lost"), str(verdict)
    assert found.twice + found.lost < found.messages, "it does nothing else right, and would show without a fault"
    assert not verdict.right
    assert str(verdict).startswith("FAIL")


def _broken(order: Order, variant: str, own_host: OwnHost, kafka: KafkaBroker, folder: Path) -> Verdict:
    return run_round(order, behind_a_proxy(own_host, query_modules(variant, folder)), kafka, folder)
