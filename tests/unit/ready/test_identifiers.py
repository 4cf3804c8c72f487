"""Names of messages and options stay names, whatever they are."""

from __future__ import annotations

from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.cypher.lexer import Kind, tokens
from sluice.ready.identifiers import field, labelled, looked_for, quoted

NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=12) | st.sampled_from(
    ["`", "``", "a`b", "`) DETACH DELETE n //", "$x", "set", "MATCH", "a.b", "1", "\\u0060", "é"]
)


@given(NAMES)
def test_a_name_is_one_token_that_means_it(name: str):
    found = list(
        takewhile(lambda token: token.kind is not Kind.END, tokens(f"(n{labelled([name])}{looked_for([name], 'k')})"))
    )
    kinds = [token.kind for token in found if token.kind is not Kind.SYMBOL]
    assert [token.value for token in found if token.kind is Kind.QUOTED_NAME][:2] == [name, name]
    assert kinds[1:4] == [Kind.QUOTED_NAME, Kind.QUOTED_NAME, Kind.PARAMETER]
    assert [token.value for token in found][-3:] == [name, "}", ")"]


@pytest.mark.parametrize(
    ("name", "shown"), [("id", "$k.id"), ("set", "$k.`set`"), ("a b", "$k.`a b`"), ("é", "$k.`é`"), ("1", "$k.`1`")]
)
def test_a_field_has_backticks_only_if_it_needs_them(name: str, shown: str):
    assert field("k", name) == shown


@pytest.mark.parametrize("name", ["", "a\0b", None, 1, ["a"]])
def test_what_is_no_name_is_refused(name: object):
    with pytest.raises(ValueError, match="^a label must be a text that is not empty, got "):
        quoted(name, "a label")
