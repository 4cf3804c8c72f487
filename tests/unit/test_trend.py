from __future__ import annotations

import math

import pytest

from sluice_tools.trend import WINDOW, Sample, Trend, in_words

Samples = list[tuple[float, int, int | None]]


def trend_of(samples: Samples) -> Trend:
    trend = Trend()
    for sample in samples:
        trend.add(Sample(*sample))
    return trend


@pytest.mark.parametrize(
    ("samples", "rate", "catch_up"),
    [
        pytest.param([(0, 100, 50)], None, None, id="one look says nothing"),
        pytest.param([(0, 0, 1000), (2, 200, 800)], 100, 8, id="it catches up"),
        pytest.param([(0, 0, 1000), (2, 20, 1100)], 10, math.inf, id="it falls behind"),
        pytest.param([(0, 0, 1000), (2, 0, 1000)], 0, math.inf, id="it does nothing"),
        pytest.param([(0, 0, 150), (2, 200, 200)], 100, None, id="it keeps up"),
        pytest.param([(0, 0, 0), (2, 0, 0)], 0, None, id="nothing is there to read"),
        pytest.param([(0, 0, None), (2, 0, None)], 0, None, id="it is stopped"),
        pytest.param([(0, 0, None), (2, 0, 500)], 0, None, id="its lag is known since now"),
        pytest.param([(0, 900, 10), (1, 0, 5000), (2, 10, 4000)], 10, 4, id="another stream of that name"),
    ],
)
def test_rate_and_time_to_catch_up(samples: Samples, rate: float | None, catch_up: float | None) -> None:
    trend = trend_of(samples)
    assert (trend.rate, trend.catch_up) == (rate, catch_up)


def test_what_is_long_past_does_not_count() -> None:
    trend = trend_of([(second, min(second, 30) * 100, None) for second in range(60)])
    assert trend.rate == 0
    trend = trend_of([(second, second * second, None) for second in range(60)])
    assert trend.rate == (59**2 - (59 - WINDOW) ** 2) / WINDOW


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.2, "in 1 s"),
        (99.0, "in 99 s"),
        (101.0, "in 2 min"),
        (7200.0, "in 2 h"),
        (1e6, "in 12 d"),
        (math.inf, "falls behind"),
    ],
)
def test_times_in_words(seconds: float | None, words: str) -> None:
    assert in_words(seconds) == words
