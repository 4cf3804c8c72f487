"""SHOW does not become slower with the graph."""

from __future__ import annotations

import pytest

from sandbox.mock_broker import MockBroker
from tests.bench.show import measure
from tests.integration.test_kit import OwnHost


@pytest.mark.soak  # tests/unit/test_catalog.py counts how often the graph is walked
@pytest.mark.bench
def test_show_costs_the_same_in_an_empty_graph_and_beside_200_000_vertices(
    own_host: OwnHost, mock_kafka: MockBroker
) -> None:
    costs = measure(own_host(), own_host(), mock_kafka, vertices=200_000)
    assert costs.ratio < 1.5, costs
