"""What a transform process gives as queries is what the server is sent, or it is refused: nothing rides along."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.bolt import messages
from sluice.bolt.framing import frame
from sluice.bolt.packstream import pack, unpack
from sluice.bolt.values import MAX_DEPTH, Structure
from sluice.errors import RemoteProtocolError
from sluice.scripting import bulk_walk
from sluice.scripting.bulk_walk import check_queries
from sluice.scripting.frames import DISCARD_ALL
from sluice.scripting.walk import check_one_by_one, check_values
from tests.fuzz.wire import SMALL_WINDOWS

RUN = messages.run("RETURN $x", {"x": 1})

TEXTS = st.one_of(st.text(max_size=20), st.text("aé", min_size=10, max_size=400))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.integers(-20, 200), st.floats(), TEXTS
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(st.integers(-(2**40), 2**40), max_size=24), st.lists(SCALARS, max_size=24)),
    lambda inner: st.one_of(st.lists(inner, max_size=9), st.dictionaries(TEXTS, inner, max_size=18)),
    max_leaves=8,
)
PARAMETERS = st.dictionaries(TEXTS, VALUES, max_size=4)
QUERIES = st.lists(st.tuples(st.sampled_from(["RETURN 1", "CREATE (:N {x: $x})", "é" * 300]), PARAMETERS), max_size=3)


def framed(*sent: bytes) -> bytes:
    """Messages, each followed by a DISCARD."""
    return b"".join(frame(message) + DISCARD_ALL for message in sent)


def unpacks(data: bytes) -> bool:
    """Whether there is a value, with nothing after it; of texts that are not UTF-8 no more is asked."""
    try:
        unpack(data)
    except RemoteProtocolError as error:
        return "UTF-8" in str(error)
    return True


def refusal(frames: bytes, count: int = 1) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        check_queries(frames, count)
    return str(caught.value)


@settings(deadline=None)
@given(QUERIES)
def test_queries_pass_as_they_are_packed(queries: list[tuple[str, dict]]):
    check_queries(framed(*(messages.run(text, parameters) for text, parameters in queries)), len(queries))


@settings(deadline=None)
@given(QUERIES, st.integers(0, 10**9), st.binary(min_size=1, max_size=4))
def test_a_part_of_them_does_not_nor_do_more(queries: list[tuple[str, dict]], place: int, more: bytes):
    frames = framed(*(messages.run(text, parameters) for text, parameters in queries))
    refusal(frames, len(queries) + 1)
    refusal(frames + more, len(queries))
    if frames:
        refusal(frames[: place % len(frames)], len(queries))
        refusal(frames, len(queries) - 1)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_whatever_passes_as_a_value_is_one(data: bytes):
    try:
        check_values(data)
    except RemoteProtocolError:
        return
    assert unpacks(data)


@settings(deadline=None)
@given(PARAMETERS, st.integers(0, 10**9), st.integers(0, 255))
def test_a_changed_byte_never_moves_the_end_of_a_message(parameters: dict, place: int, byte: int):
    """Messages of which one byte is another pass only if they end where they say, with nothing after them."""
    run = bytearray(messages.run("RETURN 1", parameters))
    run[place % len(run)] = byte
    try:
        check_queries(framed(bytes(run)), 1)
    except RemoteProtocolError:
        return
    assert unpacks(bytes(run))
    assert run.startswith(b"\xb3\x10")
    assert run.endswith(b"\xa0")


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        pytest.param(
            framed(RUN + messages.commit()), "does not end with an empty map", id="COMMIT in the tail of a message"
        ),
        pytest.param(
            framed(RUN + messages.run("COMMIT")), "does not end with an empty map", id="RUN in the tail of a message"
        ),
        pytest.param(frame(RUN) + frame(messages.commit()), "not followed by its DISCARD", id="COMMIT"),
        pytest.param(frame(RUN) + frame(messages.pull()), "not followed by its DISCARD", id="PULL"),
        pytest.param(frame(RUN) + frame(messages.discard(-1, 7)), "not followed by its DISCARD", id="another result"),
        pytest.param(frame(RUN) + b"\0\0" + DISCARD_ALL, "not followed by its DISCARD", id="an empty chunk"),
        pytest.param(b"\0\0" + framed(RUN), "a query is missing", id="an empty chunk before"),
        pytest.param(framed(RUN) + frame(messages.reset()), "6 bytes follow the last query", id="RESET after"),
        pytest.param(framed(messages.begin()), "is not a RUN", id="BEGIN"),
        pytest.param(framed(messages.rollback()), "is not a RUN", id="ROLLBACK"),
        pytest.param(framed(messages.run("RETURN 1", {}, {"db": "other"})), "an empty map", id="another database"),
        pytest.param(framed(messages.run("COMMIT")), "is COMMIT: a batch is one transaction", id="COMMIT as text"),
        pytest.param(framed(messages.run(" ; rollback")), "is ROLLBACK: a batch", id="ROLLBACK as text"),
        pytest.param(framed(b"\xb3\x10\x81\xff\xa0\xa0"), "is not UTF-8", id="a text that is none"),
        pytest.param(framed(b"\xb3\x10\x01\xa0\xa0"), "a text begins with the byte 01", id="no text"),
        pytest.param(framed(b"\xb3\x10\x81x\x90\xa0"), "are not a map", id="no parameters"),
        pytest.param(framed(b"\xb3\x10\x81x\xa1\x01\x01\xa0"), "a text begins with", id="a key that is none"),
        pytest.param(
            framed(messages.run("x", {"x": Structure(0x4E, [1])})), "has the tag 4E and 1 fields", id="a structure"
        ),
        pytest.param(framed(b"\xb3\x10\x81x\xa1\x81x\xcc\x01x\xa0"), "begins with the byte CC", id="bytes"),
        pytest.param(framed(b"\xb3\x10\x81x\xa1\x81x\xc4\xa0"), "begins with the byte C4", id="no value"),
        pytest.param(framed(b"\xb3\x10\x81x\xa1\x81x\x91\xa0"), "does not end", id="a list that takes the end"),
        pytest.param(framed(b"\xb3\x10\x81x\xa1\x81x\xd4\x7f\xa0"), "127 values are announced", id="a list of more"),
        pytest.param(framed(b"\xb3\x10\x81x\xd8\x7f\xa0"), "127 values are announced", id="a map of more"),
        pytest.param(framed(b"\xb3\x10\x81x\xa1\x81x\xd0\x7fabc\xa0"), "does not end", id="a longer text"),
        pytest.param(
            framed(b"\xb3\x10\x81x\xa1\x81x" + b"\x91" * MAX_DEPTH + b"\x01\xa0"), "deeper than", id="nested too deep"
        ),
        pytest.param(b"\xff\xff" + RUN, "is missing, or cut off", id="a chunk of more"),
    ],
)
def test_what_would_do_more_than_a_query_is_refused(frames: bytes, reason: str):
    assert reason in refusal(frames)


def test_a_refused_query_is_told_by_its_number():
    assert refusal(framed(RUN, RUN, messages.run("BEGIN")), 3).startswith("query 2 is BEGIN")
    assert refusal(framed(RUN, RUN + b"\xa0"), 2).startswith("query 1 does not end with an empty map")


def test_what_follows_a_map_is_not_taken_for_more_of_it():
    inner = {"a": 1}
    rows = [inner, "b", 2, "c", 3]
    check_values(pack(rows))
    check_queries(framed(messages.run("RETURN 1", {"x": rows}), messages.run("RETURN 1", {"x": inner, "b": 2})), 2)


@pytest.mark.parametrize("size", [15, 16, 300, 70_000])
@pytest.mark.parametrize("item", [1, 10**6, 1.5, "abc", "é" * 100, None, [1, "x"], {"a": "b", "c": None}], ids=repr)
def test_lists_of_one_kind_of_value_end_where_they_say(size: int, item: object):
    packed = pack([item] * size)
    check_values(packed)
    for wrong in (packed[:-1], packed + b"\x01"):
        with pytest.raises(RemoteProtocolError):
            check_values(wrong)


def test_a_query_that_ends_where_its_parameters_should_begin_is_refused():
    head = RUN[: RUN.index(b"\xa1")]
    assert "cut off" in refusal(framed(RUN) + (len(head)).to_bytes(2, "big") + head, 2)


VALUES_OF_ALIKE = ((1, "a"), (3, "b"), (None, "c"), (700, 2))
ALIKE = framed(*(messages.run("RETURN $x", {"x": x, "y": [y]}) for x, y in VALUES_OF_ALIKE))
TELLING = (*range(18), 0x7F, *range(0x80, 0x84), *range(0x90, 0x93), *range(0xA0, 0xA4), *range(0xC0, 0xCC), 0xD0)
"Bytes that begin values of all kinds, and some sizes."


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of two queries, the regular expressions of which are compiled at once."""
    for name, value in SMALL_WINDOWS.items():
        monkeypatch.setattr(bulk_walk, name, value)


def passes_one_by_one(frames: bytes, count: int) -> bool:
    try:
        check_one_by_one(frames, count)
    except RemoteProtocolError:
        return False
    return True


@pytest.fixture
def walked(monkeypatch):
    """The queries that are walked."""
    found: list[bytes] = []
    check_piece = bulk_walk._check

    def check(piece: bytes) -> int:
        found.append(piece)
        return check_piece(piece)

    monkeypatch.setattr(bulk_walk, "_check", check)
    return found


def test_a_changed_byte_passes_in_a_window_only_if_it_does_by_itself(small_windows, walked):
    in_windows = 0
    for place in range(len(ALIKE)):
        for byte in TELLING:
            changed = ALIKE[:place] + bytes((byte,)) + ALIKE[place + 1 :]
            walked.clear()
            if bulk_walk.pass_in_windows(changed, 4):
                assert passes_one_by_one(changed, 4), changed
                in_windows += len(walked) == 1
    assert in_windows > 100  # of which only the first query was walked


def test_a_query_inside_a_text_is_no_query_nor_is_the_one_that_it_cuts_off(small_windows, monkeypatch):
    """Two pieces of one text, each of the size that it announces; together they might be one query with a long text."""
    monkeypatch.setattr(bulk_walk, "_SCALAR", rb"(?:[\x00-\x7f]|\xd0\x1f.{31})")
    query = messages.run("RETURN $x", {"x": 1})
    cut_off = query[:-2] + b"\xd0\x1f\xa0"
    together = framed(cut_off, query)[2 : 2 - len(bulk_walk.END_OF_QUERY)]
    assert re.fullmatch(re.escape(query[:-2]) + bulk_walk._SCALAR + b"\xa0\0", together, re.DOTALL)
    frames = framed(query, cut_off, query)
    assert not passes_one_by_one(frames, 3)
    assert not bulk_walk.pass_in_windows(frames, 3)


def test_the_end_of_a_query_does_not_overlap_with_itself():
    end = bulk_walk.END_OF_QUERY
    assert not any(end.startswith(end[start:]) for start in range(1, len(end)))


@pytest.mark.parametrize(
    "parameters",
    [
        lambda i: {"id": i, "name": f"name {i}", "seen": i * 1000, "weight": i / 7},
        lambda i: {"row": {"id": str(i) * 9, "tags": ["a", i], "none": None}},
        lambda i: {},
    ],
)
def test_queries_that_are_alike_are_not_walked_once_their_form_is_known(parameters, walked, monkeypatch):
    """... and then they are passed by a regular expression, but for the first of each text."""
    monkeypatch.setattr(bulk_walk, "WORTHWHILE", 0)
    queries = [messages.run(f"RETURN {i % 2}", parameters(i)) for i in range(200)]
    check_queries(framed(*queries), 200)
    assert len(walked) == 2
    queries[137] = messages.run("COMMIT")
    assert "query 137 is COMMIT" in refusal(framed(*queries), 200)


@pytest.mark.parametrize("parts", [(b"x" * (bulk_walk.MAX_LITERAL + 1),), (None,) * (bulk_walk.MAX_VALUES + 1)])
def test_what_is_too_much_for_a_regular_expression_is_walked(parts):
    assert bulk_walk._Layout(9, parts).pattern(10**9) is None
