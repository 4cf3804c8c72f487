"""A batch as it is folded, in either of the forms in which rows are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sluice.folding import Folder, ordering, unwinding
from tests.unit.folding.batches import Query


def folded(batch: list[Query], *, by_columns: bool) -> list[Query]:
    """
    The batch folded, by a folder that has met its texts before.

    Args:
        by_columns: whether rows go in columns, as they do where there are many.
    """
    folder = Folder()
    folder.fold(batch)
    with few_in_columns() if by_columns else few_in_order():
        return [(item.text, dict(item.parameters)) for item in folder.fold(batch)]


@contextmanager
def few_in_order() -> Iterator[pytest.MonkeyPatch]:
    """Few rows go in the order of an index, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "MIN_ROWS", 2)
        yield patch


@contextmanager
def few_in_columns() -> Iterator[None]:
    """... and in columns, and few of them in each part."""
    with few_in_order() as patch:
        patch.setattr(unwinding, "MIN_ROWS", 2)
        patch.setattr(unwinding, "PART", 3)
        yield
