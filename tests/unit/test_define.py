"""What ALTER makes of a stream's settings, and what it refuses, without a graph."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.errors import SettingError
from sluice.procedures.define import ALTERABLE, _altered
from sluice.values.model import StreamSpec, Transform

SPEC = StreamSpec("u", "s", "h:9092", "t", Transform("/t.py", "source", "sha", "signature"), 500, 7)
HELD = json.dumps({"on_error": "skip", "fold": False})


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        pytest.param({"uri": "i:1"}, {"uri": "i:1"}, id="a broker"),
        pytest.param({"batch_interval": 5, "batch_size": 9}, {"batch_interval_ms": 5, "batch_size": 9}, id="numbers"),
        pytest.param(
            {"batch_interval": None, "batch_size": None}, {"batch_interval_ms": 100, "batch_size": 10}, id="defaults"
        ),
        pytest.param(
            {"transform": "/u.py"}, {"transform": Transform("/u.py", "", "")}, id="a script has no source yet"
        ),
    ],
)
def test_what_is_given_changes_and_nothing_else(changes: dict[str, Any], changed: dict[str, Any]) -> None:
    after = _altered(SPEC, HELD, changes)
    names = ("uri", "topic", "transform", "batch_interval_ms", "batch_size")
    assert {name: getattr(after, name) for name in names} == {
        **{name: getattr(SPEC, name) for name in names},
        **changed,
    }
    assert after.config.as_map() == {"on_error": "skip", "fold": False}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"on_gap": "skip"}, {"on_error": "skip", "fold": False, "on_gap": "skip"}, id="one more"),
        pytest.param({"on_error": None, "fold": None}, {}, id="defaults"),
        pytest.param(None, {"on_error": "skip", "fold": False}, id="nothing"),
    ],
)
def test_a_configuration_changes_by_its_keys(config: dict[str, Any] | None, expected: dict[str, Any]) -> None:
    assert _altered(SPEC, HELD, {"config": config}).config.as_map() == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({}, "there is nothing to alter: the changes are empty", id="nothing"),
        pytest.param({"batch_size": 0}, "BATCH_SIZE must be an integer from 1 to 2147483647, got 0", id="no size"),
        pytest.param({"topic": "x"}, "topic cannot be altered: a stream keeps its topic", id="the topic"),
        pytest.param({"name": "x"}, "name cannot be altered: a stream keeps its name", id="the name"),
        pytest.param({"config": 5}, "config must be a map, got 5", id="no map"),
        pytest.param({"config": {"on_gap": "x"}}, "config: on_gap must be one of stop, skip, got 'x'", id="no policy"),
        pytest.param({"fold": True}, f"fold cannot be altered; {', '.join(ALTERABLE)} can", id="a key beside config"),
        pytest.param({"config": {"made_up": 1}}, "config: there is no key made_up", id="a key that there is not"),
        pytest.param({"uri": ""}, "the Kafka URI must be printable text and not empty, got ''", id="no broker"),
    ],
)
def test_what_cannot_be_altered_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        _altered(SPEC, HELD, changes)
    assert str(caught.value).startswith(f"Kafka stream {SPEC.name}, {message}")
