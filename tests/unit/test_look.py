"""The clause that SHOW CREATE STREAM gives makes the very stream; lag is what is left to read."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.clauses import parse, to_text
from sluice.clauses.statements import CreateStream
from sluice.clauses.values import Items, Map
from sluice.engine.status import Monitor, WorkerState
from sluice.procedures.look import statement_of
from sluice.procedures.stream_report import lags, reason_of
from sluice.supervising.shared_state import SharedState
from sluice.values.configuration import configuration_of
from sluice.values.model import MAX_INT32, Checkpoint, Status, StreamSpec, Transform
from sluice.values.topic_selector import only_topic
from tests.unit.partitions import P1

TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: text.strip() and text.isprintable())
URIS = TEXTS.filter(lambda text: "@" not in text)
TOPICS = st.one_of(TEXTS.filter(only_topic), st.sampled_from([r"^orders\..*", "orders,users", "users, ^a{1,2}'b"]))
COUNTS = st.integers(1, MAX_INT32)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "on_error": st.sampled_from(["stop", "skip"]),
        "on_gap": st.sampled_from(["stop", "skip"]),
        "isolate": st.sampled_from(["bisect", "never"]),
        "fold": st.booleans(),
        "partitions": st.lists(st.integers(0, 9), min_size=1, unique=True),
        "fetch.min.bytes": st.integers(1, 1000),
        "sasl.password": st.just("env:KAFKA_PASSWORD"),
        "client.rack": TEXTS.filter(lambda text: not text.startswith(("env:", "file:")) and text == text.lstrip()),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(TEXTS, URIS, TOPICS, TEXTS, COUNTS, COUNTS, CONFIGS)
def test_the_clause_of_a_stream_asks_for_that_stream(name, uri, topic, transform, interval, size, config):
    spec = StreamSpec(
        "u", name, uri, topic, Transform(transform, "", ""), interval, size, configuration_of(name, config)
    )
    parsed = parse(to_text(statement_of(spec)))
    assert isinstance(parsed, CreateStream)
    assert (parsed.name, parsed.uri, parsed.topic, parsed.transform) == (name, uri, topic, transform)
    assert (parsed.batch_interval_ms, parsed.batch_size) == (interval, size)
    entries = parsed.config.entries if isinstance(parsed.config, Map) else ()
    given_config = {key: list(value.items) if isinstance(value, Items) else value for key, value in entries}
    assert configuration_of(name, given_config) == spec.config


WAITS = WorkerState(trouble="refused", since="2026-11-26T10:00:00Z", next_try="2026-11-26T10:00:05Z")


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        pytest.param(
            Status.RUNNING,
            WAITS,
            "retrying since 2026-11-26T10:00:00Z: refused; next try at 2026-11-26T10:00:05Z",
            id="running",
        ),
        pytest.param(
            Status.STOPPED,
            replace(WAITS, only_retries=True),
            "retrying parked messages since 2026-11-26T10:00:00Z: refused; next try at 2026-11-26T10:00:05Z",
            id="stopped, with something to retry",
        ),
        pytest.param(Status.STOPPED, WAITS, None, id="stopped, and its worker is on its way out"),
        pytest.param(Status.STOPPED, None, None, id="stopped"),
        pytest.param(Status.ERROR, replace(WAITS, only_retries=True), "why it ended", id="ended by an error"),
    ],
)
def test_the_reason_is_what_keeps_a_stream_from_what_it_was_asked_for(status, state, expected):
    ended = Checkpoint(positions={}, error="why it ended")
    stream: Any = SimpleNamespace(is_copied=False)  # what is known of its work is enough here
    assert reason_of(stream, status, ended, state, SharedState(1)) == expected


def test_why_nothing_can_be_retried_is_told_from_when_it_began():
    monitor = Monitor(1)
    monitor.cannot_retry("the uri is empty")
    first = monitor.state
    monitor.cannot_retry("the uri is empty")
    assert first is not None
    assert monitor.state is first
    assert (first.trouble, first.only_retries) == ("the uri is empty", True)
    monitor.cannot_retry("the topic is empty")
    assert monitor.state is not None
    assert monitor.state.trouble == "the topic is empty"
    assert monitor.figures()["last_error"]["error"] == "the topic is empty"


@pytest.mark.parametrize(
    ("watermark", "position", "expected"),
    [
        pytest.param((0, 100), 40, 60, id="behind"),
        pytest.param((0, 100), 100, 0, id="at the end"),
        pytest.param((30, 100), None, 70, id="nothing read yet: from where the partition begins"),
        pytest.param((30, 100), 10, 70, id="retention has passed it"),
        pytest.param((0, 100), 120, 0, id="the topic was made anew, shorter"),
        pytest.param((0, 0), None, 0, id="empty"),
    ],
)
def test_lag_is_what_is_left_to_read(watermark, position, expected):
    assert lags({P1: watermark}, {} if position is None else {P1: position}) == {P1: expected}
