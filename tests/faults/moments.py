"""Where a transaction can be cut, or held."""

from __future__ import annotations

import enum


class Moment(enum.Enum):
    """Where in the life of a transaction, as the bytes between worker and server tell it."""

    BEFORE_BEGIN = "before BEGIN"
    AFTER_BEGIN = "after BEGIN"
    BEFORE_COMMIT = "before COMMIT"
    INSIDE_COMMIT = "inside COMMIT"
    AFTER_COMMIT = "after COMMIT, before its answer"
    AFTER_ANSWER = "after COMMIT was answered, before the worker hears of it"
