"""Reloading query modules while streams run: nothing lost, nothing twice, never two workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sluice.persistence.sink import FENCE_TEXT
from tests.eventually import eventually
from tests.hosts.host import QUERY_MODULES
from tests.integration.test_kit import OwnHost, Stream, numbers, transforms_running
from tests.kafka import KafkaBroker

OTHER = """
import json
import re
import threading

import mgp


@mgp.read_proc
def answer(ctx: mgp.ProcCtx) -> mgp.Record(number=int):
    return mgp.Record(number=42)
"""

EARLY = """
import mgp


@mgp.read_proc
def answer(ctx: mgp.ProcCtx) -> mgp.Record(number=int):
    return mgp.Record(number=42)


Record = mgp.Record


@mgp.read_proc
def taken_at_import(ctx: mgp.ProcCtx) -> mgp.Record(number=int):
    return Record(number=43)
"""

SLOWLY = """
import time


def stream(batch):
    time.sleep(0.005)
    return [("CREATE (:LABEL {value: $value})", {"value": message.decode()}) for message in batch]
"""
"So that there is something left to do after a reload."


@pytest.mark.parametrize("statement", ["CALL mg.load_all()", "CALL mg.load('streams')"])
def test_a_reload_during_ingestion_loses_nothing_and_repeats_nothing(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path, statement: str
) -> None:
    host = own_host()
    stream, stopped = (Stream(host.run, kafka, tmp_path, name) for name in ("reloaded", "stopped"))
    stopped.create()
    stream.create(SLOWLY, size=5)
    stream.start()
    most = 0
    for turn in range(3):
        before = stream.count
        stream.send(numbers(1000 * turn, 1000 * turn + 1000))
        stream.await_at_least(before + 1)
        host.run(statement)
        assert (stream.status, stopped.status) == ("running", "stopped")
        most = max(most, transforms_running(host))
    while stream.count < 3000:
        most = max(most, transforms_running(host))
    assert stream.values == numbers(0, 3000)
    assert most == 1
    assert FENCE_TEXT not in host.log_text()
    _all_procedures_work(Stream(host.run, kafka, tmp_path, "after", topic=stopped.topic))
    stream.stop()
    eventually(lambda: transforms_running(host), equals=0)


def test_reloading_another_module_leaves_the_procedures_working(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(QUERY_MODULES, modules, ignore=shutil.ignore_patterns("__pycache__"))
    (modules / "other.py").write_text(OTHER, encoding="utf-8")
    host = own_host(query_modules=modules)
    stream = Stream(host.run, kafka, tmp_path, "steady")
    stream.create()
    stream.start()
    stream.send(numbers(0, 5))
    stream.await_values(numbers(0, 5))
    host.run("CALL mg.load('other')")
    assert host.run("CALL other.answer() YIELD number") == [{"number": 42}]
    stream.send(numbers(5, 10))
    stream.await_values(numbers(0, 10))
    _all_procedures_work(Stream(host.run, kafka, tmp_path, "after"))


def test_reloading_this_module_leaves_those_of_others_working(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path
) -> None:
    modules = tmp_path / "modules"
    shutil.copytree(QUERY_MODULES, modules, ignore=shutil.ignore_patterns("__pycache__"))
    (modules / "early.py").write_text(EARLY, encoding="utf-8")
    host = own_host(query_modules=modules)
    for _ in range(2):
        host.run("CALL mg.load('streams')")
        assert host.run("CALL early.answer() YIELD number") == [{"number": 42}]
        assert host.run("CALL early.taken_at_import() YIELD number") == [{"number": 43}]
    _all_procedures_work(Stream(host.run, kafka, tmp_path, "after"))


def _all_procedures_work(stream: Stream) -> None:
    stream.create()
    stream.send(numbers(0, 3))
    assert [row["params"]["value"] for row in stream.test()] == numbers(0, 3)
    stream.start()
    stream.await_values(numbers(0, 3))
    stream.stop()
    assert stream.status == "stopped"
    stream.drop()
    assert stream.status is None
