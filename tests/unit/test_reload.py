"""Which messages a new script is tried on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice.procedures.reload import spans_before
from sluice.values.position import Partition
from tests.unit.partitions import P0, P1, P2

spans = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (min(pair), max(pair)))


def test_the_last_messages_that_were_read_of_each_partition() -> None:
    bounds = {P0: (10, 100), P1: (0, 50), P2: (0, 0), Partition("t", 3): (5, 9)}
    assert spans_before(bounds, {P0: 60, P1: 3, Partition("t", 3): 5}, 11) == {P0: (54, 60), P1: (0, 3)}
    # Not after what there is, nor before it.
    assert spans_before(bounds, {P0: 500}, 7) == {P0: (93, 100)}
    assert spans_before(bounds, {P0: 12}, 7) == {P0: (10, 12)}
    # Fewer messages than partitions.
    assert spans_before(bounds, {P0: 60, P1: 3}, 1) == {P0: (59, 60)}
    assert spans_before(bounds, {}, 7) == {}


@given(
    st.dictionaries(st.integers(0, 5), spans),
    st.dictionaries(st.integers(0, 5), st.integers(0, 60)),
    st.integers(1, 20),
)
def test_never_more_than_asked_for_and_only_what_was_read(
    bounds: dict[Partition, tuple[int, int]], positions: dict[Partition, int], most: int
) -> None:
    found = spans_before(bounds, positions, most)
    assert sum(end - start for start, end in found.values()) <= most
    for partition, (start, end) in found.items():
        low, high = bounds[partition]
        assert low <= start < end == min(positions[partition], high)
