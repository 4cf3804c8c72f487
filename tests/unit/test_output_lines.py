"""What a script prints and logs is kept, bounded, and its end is beside an error."""

from __future__ import annotations

import pytest

from sluice.engine.status import Monitor
from sluice.errors import ScriptError, TransformError
from sluice.host.settings import Settings
from sluice.scripting import variety
from sluice.scripting.process import TransformProcess
from sluice.scripting.variety import Variety
from sluice.values.configuration import DEFAULT
from sluice.values.output_lines import MAX_LINE, MAX_OUTPUT_LINES, OutputLines
from tests.unit.test_transform_process import batch, transform

SETTINGS = Settings(script_timeout=60.0, transform_timeout=30.0)


def process_of(source: str, lines: OutputLines) -> TransformProcess:
    return TransformProcess(transform(source), SETTINGS, lambda: False, DEFAULT, lines)


def texts(lines: OutputLines) -> list[str]:
    return [line for _, line in lines.latest()]


SPEAKING = """
import logging, sys

log = logging.getLogger("shop")
print("loaded")

def stream(batch):
    print("batch of", len(batch))
    log.info("an info")
    log.debug("a detail")
    print("to stderr", file=sys.stderr)
    if batch == [b"bad"]:
        raise ValueError("no good")
    return []
"""


def test_what_is_printed_and_logged_is_there_after_the_answer():
    lines = OutputLines()
    with process_of(SPEAKING, lines) as process:
        assert texts(lines) == ["loaded"]
        process.pack([batch(b"1", b"2")])
        assert texts(lines) == ["loaded", "batch of 2", "INFO shop: an info", "to stderr"]
    assert all(time.endswith("Z") for time, _ in lines.latest())


def test_a_script_may_configure_its_log():
    lines = OutputLines()
    source = "import logging\nlogging.basicConfig(level='DEBUG', format='%(message)s!')\n"
    with process_of(source + "logging.debug('mine')\ndef stream(batch): return []", lines):
        assert texts(lines) == ["mine!"]


def test_the_end_of_it_is_beside_an_error():
    with process_of(SPEAKING, OutputLines()) as process:
        with pytest.raises(TransformError) as caught:
            process.rows(batch(b"bad"))
        assert str(caught.value).endswith(
            "ValueError: no good (line 13); it wrote: loaded batch of 1 INFO shop: an info to stderr"
        )
        quiet = process.pack([batch(b"1")])
        assert quiet.error is None
    with pytest.raises(ScriptError, match=r"ValueError: x \(line 2\); it wrote: before$"):
        process_of("print('before')\nraise ValueError('x')", OutputLines())
    silent = "print('before')\ndef stream(batch): raise ValueError('x')"
    with (
        process_of(silent, OutputLines()) as process,
        pytest.raises(TransformError, match=r"ValueError: x \(line 2\)$"),
    ):
        process.rows(batch(b"1"))


def test_lines_are_put_together_cut_and_bounded():
    lines = OutputLines()
    lines.feed(b"a\x1b[31mb ")
    assert texts(lines) == []
    lines.feed("ä\r\n\n".encode()[:2])
    lines.feed("ä\r\n\n".encode()[2:] + b"\xff" + b"x" * 5 * MAX_LINE)
    assert texts(lines) == ["a [31mb ä"]
    lines.end()
    assert texts(lines)[1] == "\N{REPLACEMENT CHARACTER}" + "x" * (MAX_LINE - 1)
    lines.feed(b"".join(b"%d\n" % number for number in range(1000)))
    assert texts(lines) == [str(number) for number in range(1000 - MAX_OUTPUT_LINES, 1000)]
    assert [line for _, line in lines.latest(2)] == ["998", "999"]


def test_the_lines_survive_a_reload_of_the_modules():
    before, after = Monitor(10), Monitor(10)
    before.lines.feed(b"a\n")
    after.take_over(before.handed_over())
    assert after.lines.latest() == before.lines.latest() != []


VALUES_IN_TEXTS = """
def stream(batch):
    return [(f"CREATE (:N {{id: {n}}})", {}) for n in range(int(batch[0]), int(batch[0]) + 300)]
"""


def test_values_in_texts_are_warned_of_once():
    lines = OutputLines()
    with process_of(VALUES_IN_TEXTS, lines) as process:
        process.pack([batch(b"0")], fold=True)
        assert texts(lines) == []
        process.pack([batch(b"1000")], fold=True)
        process.pack([batch(b"2000")], fold=True)
    (warning,) = texts(lines)
    assert warning.startswith(
        "WARNING sluice: the texts of this transform's queries differ from each other (600 among 600)"
    )
    assert warning.endswith("such as: CREATE (:N {id: 1299})")


def test_texts_that_are_few_are_not_watched_for_ever(capsys: pytest.CaptureFixture[str]):
    watched = Variety()
    assert not watched.settled([("a", {})] * variety.ENOUGH)
    assert watched.settled([("b", {})])
    many = Variety()
    assert not many.settled([("a", {})] * 2 * variety.MANY)
    assert many.settled([(f"text {number}", {}) for number in range(variety.MANY)])
    assert capsys.readouterr().err == ""
