"""The quick look for NaN in packed values, after which each query is looked at."""

from __future__ import annotations

import math
import struct

import pytest

from sluice.bolt.packstream import Value, pack
from sluice.scripting.packing import may_hold_nan

NEGATIVE_NAN, SIGNALLING_NAN = (
    struct.unpack(">d", bytes.fromhex(f"{begin}0000000001"))[0] for begin in ("fff800", "7ff000")
)


@pytest.mark.parametrize("value", [math.nan, NEGATIVE_NAN, SIGNALLING_NAN, [1.5] * 20 + [math.nan], {"x": [math.nan]}])
def test_nan_is_seen(value: Value) -> None:
    assert may_hold_nan(pack(value))


@pytest.mark.parametrize("value", [[0x1C17F, 0x1C1FF] * 20, [0xC17F00] * 20, 0xC1FF, 1e300, [math.pi] * 20, "text"])
def test_other_values_are_not_taken_for_it(value: Value) -> None:
    assert not may_hold_nan(pack(value))
