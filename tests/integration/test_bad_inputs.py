"""Whatever is mistyped: one line in time, nothing left behind, and the server is alive."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import neo4j
import pytest

from tests.eventually import slack
from tests.hosts import Host
from tests.integration.bad_inputs import BadInput, Place, bad_inputs
from tests.integration.test_kit import SHOW, Run, Stream, metadata
from tests.kafka import KafkaBroker

PATIENCE = 15.0
"Seconds in which each has to be answered."


@pytest.mark.soak
def test_what_is_mistyped_is_refused_in_a_line_and_leaves_nothing(
    host: Host, run: Run, kafka: KafkaBroker, tmp_path: Path, new_stream_name: Callable[[], str]
) -> None:
    stream = Stream(run, kafka, tmp_path, new_stream_name())
    stream.create()
    place = Place(
        stream.name,
        new_stream_name(),
        kafka.bootstrap,
        stream.topic,
        stream.script("def stream(b): return []"),
        str(tmp_path),
    )
    before, streams = metadata(run), run(SHOW)
    wrong: dict[str, str] = {}
    cases = list(bad_inputs(place))
    with host.driver().session() as session:
        for case in cases:
            if (fault := _fault(session, case)) is not None:
                wrong[f"{case.kind}: {case.parameters}"] = fault
    assert wrong == {}
    assert (metadata(run), run(SHOW)) == (before, streams)
    assert run("RETURN 1 AS one") == [{"one": 1}]
    assert len(cases) >= 500


def _fault(session: neo4j.Session, case: BadInput) -> str | None:
    """What is wrong with how the case was answered."""
    began = time.monotonic()
    try:
        rows = session.run(case.statement, case.parameters).data()
    except neo4j.exceptions.Neo4jError as error:
        text = str(error.message).strip()
    except neo4j.exceptions.DriverError as error:
        return f"not refused by the server: {error}"
    else:
        return f"taken: {rows}"
    seconds = time.monotonic() - began
    if seconds > PATIENCE * slack():
        return f"{seconds:.1f} s: {text}"
    last = text.splitlines()[-1]
    if "report it" in text or "Traceback" in last or not last.strip():
        return text
    return None
