"""Every error is one line of text, and tells whether trying again may help."""

from __future__ import annotations

import pytest

from sluice import errors


def test_a_text_becomes_one_line():
    assert str(errors.UserError("a\n  b\tc")) == "a b c"


def test_what_cannot_be_printed_is_escaped():
    assert str(errors.UserError("a\0b \x1b[31mé \ud800")) == "a\\x00b \\x1b[31mé \\ud800"


def test_a_long_text_is_cut():
    assert len(str(errors.UserError("x" * 10_000))) == 500


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (errors.SettingError("x"), False),
        (errors.TransformError("x"), False),
        (errors.BrokerError("x"), True),
        (errors.BrokerError("x", retryable=False), False),
        (errors.QueryRefused("x", code="c"), False),
        (errors.TransientFailure("x", code="c"), True),
        (errors.ConnectionLost("x"), True),
        (errors.ConflictError("x"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_be_tried_again(error, retryable):
    assert error.retryable is retryable


def test_the_tree_in_the_docstring_names_every_class():
    classes = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert errors.__doc__ is not None
    for name in classes:
        assert name in errors.__doc__, name
