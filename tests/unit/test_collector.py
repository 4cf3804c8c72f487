"""Python's collector is paused while messages are made, and never left paused by us."""

from __future__ import annotations

import gc
import threading

import pytest

from sluice.host.collector import collector_paused


def test_it_does_not_run_meanwhile_and_runs_afterwards():
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_runs_again_after_an_error():
    with pytest.raises(ValueError, match="no broker"), collector_paused():
        raise ValueError("no broker")
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_so():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_runs_after_pauses_of_several_threads_that_overlap():
    entered, left = threading.Event(), threading.Event()

    def other() -> None:
        with collector_paused():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=other)
    with collector_paused():
        thread.start()
        assert entered.wait(10)
    left.set()
    thread.join(10)
    assert gc.isenabled()
