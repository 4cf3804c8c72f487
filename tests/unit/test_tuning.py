"""The numbers that the package is tuned by say what they are."""

from __future__ import annotations

from tests.house import modules
from tests.tuning import constants

FOUND = constants(modules())


def test_every_number_with_a_fraction_says_what_it_is_and_in_which_unit() -> None:
    times = [constant for constant in FOUND if isinstance(constant.value, float)]
    assert len(times) > 40
    assert [constant.name for constant in times if not constant.text] == []


def test_a_number_is_found_with_its_value_and_its_text() -> None:
    (port,) = [constant for constant in FOUND if constant.name == "sluice.scripting.child_process.READ_SIZE"]
    assert (port.value, port.in_seconds) == (1 << 16, False)
    assert port.text
