"""What keeps messages from coming that a partition has: an open transaction, or nothing that explains it."""

from __future__ import annotations

from sluice.brokers.standstill import NOTICE, Standstill
from tests.unit.partitions import P0


def at(now: float, position: int, high: int = 20, made: Standstill | None = None) -> Standstill:
    found = made or Standstill("s")
    found.follow({P0: position}, {P0: high}, now)
    return found


def test_a_partition_that_does_not_get_on_is_asked_about_in_time():
    found = at(100.0, 10)
    assert not found.asks(100.0 + NOTICE - 0.1)
    assert found.asks(100.0 + NOTICE)
    at(103.0, 11, made=found)
    assert not found.asks(100.0 + NOTICE)
    at(103.0, 20, made=found)
    assert not found.asks(200.0)


def test_an_open_transaction_says_how_many_messages_wait_and_from_where_on():
    found = at(100.0, 10)
    found.hear({P0: 10}, 106.0)
    assert found.reason is not None
    assert found.reason.startswith(
        "Kafka stream s, topic t, partition 0: 10 messages wait after an open transaction, since 2"
    )
    assert "last stable offset 10:" in found.reason
    assert found.unexplained(200.0) == 0
    found.hear({P0: 20}, 107.0)
    assert found.reason is None
    assert found.unexplained(200.0) == 100


def test_what_was_answered_before_a_partition_got_on_is_forgotten():
    found = at(100.0, 10)
    found.hear({P0: 10}, 106.0)
    at(107.0, 15, made=found)
    assert found.reason is None
    found.hear({P0: 10}, 108.0)  # asked before that
    assert found.reason is None
    found.hear({}, 120.0)
    assert (found.reason, found.unexplained(200.0)) == (None, 0)
