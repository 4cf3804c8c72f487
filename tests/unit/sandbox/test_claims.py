"""Who may change a vertex."""

from __future__ import annotations

import pytest

from sandbox.claims import Claims
from sandbox.native import SerializationError

VERTEX = 7


@pytest.fixture
def claims() -> Claims:
    return Claims()


def test_a_vertex_that_another_transaction_changes_cannot_be_claimed(claims: Claims) -> None:
    first, second = claims.begin(), claims.begin()
    claims.claim(first, VERTEX)
    claims.claim(first, VERTEX)

    with pytest.raises(SerializationError):
        claims.claim(second, VERTEX)


def test_a_vertex_that_was_changed_since_the_transaction_began_cannot_be_claimed(claims: Claims) -> None:
    first, second = claims.begin(), claims.begin()
    claims.claim(first, VERTEX)
    claims.end(first, committed=True)

    with pytest.raises(SerializationError):
        claims.claim(second, VERTEX)


def test_a_vertex_that_was_changed_before_the_transaction_began_can_be_claimed(claims: Claims) -> None:
    first = claims.begin()
    claims.claim(first, VERTEX)
    claims.end(first, committed=True)

    claims.claim(claims.begin(), VERTEX)


def test_what_is_rolled_back_stands_in_nobodys_way(claims: Claims) -> None:
    first, second = claims.begin(), claims.begin()
    claims.claim(first, VERTEX)
    claims.end(first, committed=False)

    claims.claim(second, VERTEX)


def test_what_no_open_transaction_can_run_into_is_forgotten(claims: Claims) -> None:
    for vertex in range(100):
        transaction = claims.begin()
        claims.claim(transaction, vertex)
        claims.end(transaction, committed=True)

    assert not claims._committed
