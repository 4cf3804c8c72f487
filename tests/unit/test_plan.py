"""What the supervisor does, as a table."""

from __future__ import annotations

import pytest

from sluice.supervising.plan import Running, Start, Stop, plan


@pytest.mark.parametrize(
    ("desired", "running", "expected"),
    [
        pytest.param({}, {}, [], id="nothing to do"),
        pytest.param({"a": 1}, {}, [Start("a")], id="a wanted stream is started"),
        pytest.param({}, {"a": Running(1, stopping=False)}, [Stop("a")], id="a stream that is not wanted is stopped"),
        pytest.param(
            {"a": 1}, {"a": Running(1, stopping=False)}, [], id="a stream that is as it should be is left alone"
        ),
        pytest.param({"a": 2}, {"a": Running(1, stopping=False)}, [Stop("a")], id="a changed stream is stopped first"),
        pytest.param(
            {"a": 2}, {"a": Running(1, stopping=True)}, [], id="... and not started while its worker may write"
        ),
        pytest.param({}, {"a": Running(1, stopping=True)}, [], id="a stopping worker is not asked twice"),
        pytest.param(
            {"b": 1}, {"a": Running(1, stopping=False)}, [Stop("a"), Start("b")], id="stops come before starts"
        ),
    ],
)
def test_plan(desired, running, expected):
    assert plan(desired, running) == expected
