"""Messages that a person gives by hand."""

from __future__ import annotations

import pytest

from sluice.errors import SettingError
from sluice.scripting.manual_message import records_given


def test_texts_and_maps():
    whole = {
        "value": "v", "key": "k", "headers": [["h", "base64:/w=="], ["n", None]], "topic": "t", "partition": 1,
        "offset": 7, "timestamp": 5,
    }  # fmt: skip
    first, second, third = records_given([whole, None, {"key": "only"}])
    assert first == (b"v", b"k", [("h", b"\xff"), ("n", None)], "t", 1, 7, 5)
    assert second[:-1] == (None, None, [], "test", 0, 1)
    assert third[:-1] == (None, b"only", [], "test", 0, 2)
    assert third.timestamp is not None
    assert third.timestamp > 1_600_000_000_000


@pytest.mark.parametrize(
    "message",
    [
        7, ["a"], {"values": "x"}, {"value": 1}, {"offset": "7"}, {"topic": None}, {"headers": 5},
        {"headers": {"h": 1}}, {"headers": [["a"]]}, "base64:!", {"timestamp": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_none_is_named(message):
    with pytest.raises(SettingError) as caught:
        records_given(["a", message])
    assert str(caught.value).startswith("messages must each be a text, null, or a map of value, key,")
    assert str(caught.value).endswith("at index 1")
