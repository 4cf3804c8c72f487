from __future__ import annotations

import pytest

from sluice_tools.shim.native_streams import MAX_NAMES, NativeStream, NativeStreams, native_stream_in


@pytest.mark.parametrize(
    ("query", "stream"),
    [
        ("CREATE KAFKA STREAM s TOPICS t TRANSFORM m.p", NativeStream("s", "CREATE KAFKA STREAM")),
        ("\n create\tPulsar  stream `a ``b``` TOPICS t", NativeStream("a `b`", "CREATE PULSAR STREAM")),
        ("CREATE STREAM s AS LOAD DATA", None),
        ("CREATE (:KAFKA)", None),
        ("CREATE KAFKA STREAMS s", None),
        ("RETURN 'CREATE KAFKA STREAM s'", None),
    ],
)
def test_what_makes_a_stream_of_memgraphs_own(query: str, stream: NativeStream | None) -> None:
    assert native_stream_in(query) == stream


def test_the_latest_are_remembered() -> None:
    streams = NativeStreams()
    for number in range(MAX_NAMES + 1):
        streams.add(NativeStream(f"s{number}", "CREATE KAFKA STREAM"))
    assert streams.made_by("s0") is None
    assert streams.made_by("s1") == streams.made_by(f"s{MAX_NAMES}") == "CREATE KAFKA STREAM"
