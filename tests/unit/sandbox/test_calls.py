"""Reading statements that begin with CALL."""

from __future__ import annotations

import pytest

from sandbox.calls import Call, Yield, parse_call
from sandbox.tokens import tokens_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("CALL m.p()", Call("m.p", (), None, ""), id="nothing but a call"),
        pytest.param("call m . p ( )", Call("m.p", (), None, ""), id="blanks anywhere, keywords in any case"),
        pytest.param("CALL m.`stop`('s')", Call("m.stop", ("'s'",), None, ""), id="a name in backticks"),
        pytest.param("CALL `a``b`.`c d`()", Call("a`b.c d", (), None, ""), id="names that need their backticks"),
        pytest.param(
            "CALL m.p('a, (b', [1, {x: 2}], $c, f(1, 2))",
            Call("m.p", ("'a, (b'", "[1, {x: 2}]", "$c", "f(1, 2)"), None, ""),
            id="commas and brackets inside of arguments",
        ),
        pytest.param("CALL m.p() YIELD *", Call("m.p", (), (), ""), id="all columns"),
        pytest.param(
            "CALL m.p() YIELD a, b AS c",
            Call("m.p", (), (Yield("a", "a"), Yield("b", "c")), ""),
            id="some columns, one by another name",
        ),
        pytest.param(
            "/* x */ CALL m.p() // y\nYIELD a RETURN a + 1 AS b ORDER BY b",
            Call("m.p", (), (Yield("a", "a"),), "RETURN a + 1 AS b ORDER BY b"),
            id="comments, and a statement that goes on",
        ),
        pytest.param("CALL { RETURN 1 AS x } RETURN x", None, id="a subquery is no call"),
        pytest.param("CALL m.p", None, id="no arguments"),
        pytest.param("CALL m.p('a'", None, id="brackets left open"),
        pytest.param("CALL m.p() YIELD", None, id="YIELD of nothing"),
        pytest.param("RETURN 1", None, id="something else"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_parse_call(text: str, expected: Call | None) -> None:
    assert parse_call(text, tokens_of(text)) == expected
