"""Partitions that tests are about."""

from sluice.values.position import Partition

P0, P1, P2 = (Partition("t", number) for number in range(3))
