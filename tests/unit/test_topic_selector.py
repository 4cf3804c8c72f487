"""Which topics a stream reads: names, patterns, and what is left out of them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SettingError
from sluice.values.topic_pattern import TopicPattern
from sluice.values.topic_selector import TopicSelector, only_topic

THERE = ["__consumer_offsets", "letters", "orders", "orders.eu", "orders.us", "users"]


@pytest.mark.parametrize(
    ("text", "names", "matching"),
    [
        pytest.param("orders", ("orders",), set(), id="a name"),
        pytest.param("orders,users", ("orders", "users"), set(), id="a list"),
        pytest.param(" orders, users ", ("orders", "users"), set(), id="a list with blanks"),
        pytest.param(r"^orders\..*", (), {"orders.eu", "orders.us"}, id="a pattern"),
        pytest.param("^orders", (), {"orders", "orders.eu", "orders.us"}, id="a pattern is of the beginning"),
        pytest.param("users,^orders$", ("users",), {"orders"}, id="a name and a pattern"),
        pytest.param("^orders.{2,3}$,^u{1,2}sers", (), {"orders.eu", "orders.us", "users"}, id="commas in braces"),
        pytest.param("^.*", (), {"orders", "orders.eu", "orders.us", "users"}, id="neither internal nor dead letters"),
        pytest.param("^__.*", (), {"__consumer_offsets"}, id="internal ones if it says so"),
    ],
)
def test_what_topic_says(text: str, names: tuple[str, ...], matching: set[str]) -> None:
    selector = TopicSelector(text, "letters")
    assert selector.names == names
    assert selector.has_patterns is bool(matching)
    assert selector.matching(THERE) == matching
    assert selector.matching(THERE[:3]) == matching & set(THERE[:3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,,b", "TOPIC has an empty name in its list, got 'a,,b'"),
        ("a,", "TOPIC has an empty name in its list, got 'a,'"),
        ("a, a", "TOPIC names a twice, got 'a, a'"),
        ("^a(", "the pattern ^a( for topics is invalid: ( without )"),
        ("b,^a)", "the pattern ^a) for topics is invalid: ) without ("),
        ("^[a", "the pattern ^[a for topics is invalid: [ without ]"),
        ("^[b-a]", "the pattern ^[b-a] for topics is invalid: b-a ends before it begins"),
        ("^[[:x:]]", "the pattern ^[[:x:]] for topics is invalid: [:x:] is not known, only alpha, digit, alnum, lower, "
                     "upper"),
        ("^a**", "the pattern ^a** for topics is invalid: * is followed by another repetition"),
        ("^(*)", "the pattern ^(*) for topics is invalid: * has nothing before it to repeat; \\* is the character"),
        ("^a{2,1}", "the pattern ^a{2,1} for topics is invalid: {2,1} ends before it begins"),
        ("^a{", "the pattern ^a{ for topics is invalid: { does not begin {m}, {m,} or {m,n}, of at most 999 times; "
                "\\{ is the character"),
        ("^\\b", "the pattern ^\\b for topics is invalid: \\b is not known"),
        ("^a\\", "the pattern ^a\\ for topics is invalid: \\ is at its end"),
        ("^(a{99}){99}", "the pattern ^(a{99}){99} for topics is invalid: it is too large"),
        ("^" + "(" * 21 + ")" * 21, "too many ( inside each other"),
    ],
)  # fmt: skip
def test_what_topic_cannot_say_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        TopicSelector(text, None)
    assert str(caught.value).endswith(message)


def test_a_stream_that_can_only_ever_read_one_topic_is_known_by_its_text() -> None:
    assert only_topic("orders.eu") == "orders.eu"
    assert [only_topic(text) for text in ("", "a,b", "^a", "^a{1,2}")] == ["", "", "", ""]


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\.", "-", r"\d", "[a-c.]", "^", "$"])
TIMES = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{1,}", "{0,2}", "{0}"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, TIMES).map(lambda pair: f"({pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@given(PATTERNS.map("^{}".format), st.text("ab.-1", max_size=7))
def test_a_pattern_matches_what_it_would_as_a_regular_expression(text: str, name: str) -> None:
    assert TopicPattern(text).matches(name) == bool(re.search(text, name))


@pytest.mark.parametrize("text", ["^(a+)+$", "^(a|a)*$", "^(.*a){12}$", "^(a?){99}a{99}$"])
def test_no_pattern_takes_long(text: str) -> None:
    began = time.thread_time()
    assert not TopicPattern(text).matches("a" * 248 + "!")
    assert time.thread_time() - began < 1.0
