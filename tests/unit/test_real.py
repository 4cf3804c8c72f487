"""`make real`: what is read from the steps, the table, and that a step which fails keeps no other from running."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

import pytest

from tests import real
from tests.hosts.options import setting
from tests.real import Outcome, Row, Step, faults_outcome, ingest_outcome, junit_outcome, run_step, table

REPORT = """<?xml version="1.0"?><testsuites><testsuite name="pytest">
<testcase classname="tests.integration.test_a" name="test_one"/>
<testcase classname="tests.integration.test_a" name="test_two[x]"><failure message="m">text</failure></testcase>
<testcase classname="tests.integration.test_a" name="test_two[x]"><error message="at teardown">text</error></testcase>
<testcase classname="tests.integration.test_b" name="test_three"><skipped message="m"/></testcase>
</testsuite></testsuites>"""


def test_tests_are_counted_and_those_that_failed_are_named():
    assert junit_outcome(REPORT) == Outcome(False, "1 passed, 1 failed, 1 skipped: `test_a::test_two[x]`")
    passed = "<testsuite><testcase classname='t' name='a'/><testcase classname='t' name='b'/></testsuite>"
    assert junit_outcome(passed) == Outcome(True, "2 passed, 0 failed, 0 skipped")


def test_of_many_that_failed_the_first_are_named():
    cases = "".join(f"<testcase classname='t' name='n{number:02}'><failure/></testcase>" for number in range(25))
    said = junit_outcome(f"<testsuite>{cases}</testsuite>").text
    assert said.startswith("0 passed, 25 failed, 0 skipped: `t::n00`, `t::n01`")
    assert said.endswith("`t::n09` and 15 more")


@pytest.mark.parametrize("text", ["", "<testsuite", "<testsuite></testsuite>"])
def test_without_a_report_nothing_has_passed(text):
    with pytest.raises(ValueError, match="no (report of tests|test was run)"):
        junit_outcome(text)


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (
            "total: 539960 messages, 92 host kills, 0 lost, 0 twice, 0 misordered, 0 keys doubled; every promise kept",
            Outcome(True, "539,960 messages, 92 host kills, 0 lost, 0 twice, 0 misordered, 0 keys doubled"),
        ),
        (
            "total: 100 messages, 1 host kills, 0 lost, 7 twice; FAILED: kill (seed 1), all, 4 lanes (seed 1)",
            Outcome(False, "100 messages, 1 host kills, 0 lost, 7 twice; FAILED: kill (seed 1), all, 4 lanes (seed 1)"),
        ),
        (
            "total: 100 messages, 1 host kills, 0 lost, 0 twice, 10 keys doubled; every promise kept",
            Outcome(False, "100 messages, 1 host kills, 0 lost, 0 twice, 10 keys doubled"),
        ),
        (
            "total: 100 messages, 1 host kills, 0 lost, 0 twice; FAILED: broker",
            Outcome(False, "100 messages, 1 host kills, 0 lost, 0 twice; FAILED: broker"),
        ),
    ],
)
def test_the_total_of_the_fault_rounds_is_read(line, outcome):
    assert faults_outcome(f"seed 1: ...\nok   kill 20 messages\n{line}\n") == outcome


def test_fault_rounds_that_did_not_end_have_not_passed():
    with pytest.raises(ValueError, match="did not come to its end"):
        faults_outcome("seed 1: --seed 1 replays it\nok   kill  20 messages, 0 lost, 0 twice\n")


def test_rates_are_medians_and_the_ratio_is_that_of_the_rounds():
    rates = {"sluice": [300_000.0, 100_000.0, 200_000.0], "native": [100_000.0, 50_000.0, 20_000.0]}
    cpu = {"sluice": [8.0, 9.0, 7.0], "native": [30.0, 20.0, 25.04]}
    results = {"ingest": [{"workload": "vertices", "rates": rates, "cpu": cpu}]}
    said = "vertices 50,000 → 200,000 messages/s (3.0), 25.0 → 8.0 µs CPU"
    assert ingest_outcome(results) == Outcome(True, said)


@pytest.mark.parametrize("results", [{}, {"ingest": []}, {"ingest": [{"workload": "x", "rates": {"sluice": [1.0]}}]}])
def test_what_was_not_measured_has_not_passed(results):
    with pytest.raises((ValueError, KeyError)):
        ingest_outcome(results)


def test_the_table_is_markdown():
    rows = [Row("integration", Outcome(True, "2 passed"), 12.4), Row("faults", Outcome(False, "a|b"), 0.2)]
    assert table(rows, version="3.12.0", date=datetime.date(2026, 11, 29), machine="2 cores, x86_64") == (
        "2026-11-29, Memgraph 3.12.0, 2 cores, x86_64:\n\n"
        "| step | result | what | minutes |\n"
        "|---|---|---|---|\n"
        "| integration | passed | 2 passed | 12 |\n"
        "| faults | **failed** | a/b | 0 |"
    )


def script(name: str, code: str, read=lambda output: Outcome(True, output.strip())) -> Step:
    return Step(name, [sys.executable, "-c", code], read)


def test_a_step_has_passed_if_what_it_says_is_well_and_its_exit_status_too(tmp_path):
    assert run_step(script("a", "print('fine')"), tmp_path, 60).outcome == Outcome(True, "fine")
    assert (tmp_path / "a.log").read_text() == "fine\n"
    failed = run_step(script("b", "print('fine'); raise SystemExit(3)"), tmp_path, 60)
    assert failed.outcome == Outcome(False, "exit status 3; fine")
    broken = run_step(script("c", "raise SystemExit(4)", faults_outcome), tmp_path, 60)
    assert broken.outcome == Outcome(False, "exit status 4, it did not come to its end: see c.log")


def test_a_step_that_does_not_end_is_told_to(tmp_path):
    code = "import sys, time\ntry:\n    print('up', flush=True); time.sleep(600)\nfinally:\n    print('cleaned up')\n"
    row = run_step(script("slow", code), tmp_path, 3)
    assert not row.outcome.passed
    assert row.outcome.text.startswith("it did not end within 0 minutes; ")
    assert "cleaned up" in (tmp_path / "slow.log").read_text()


def test_all_steps_are_run_though_one_fails_and_the_exit_status_tells(tmp_path, monkeypatch, capsys):
    binary = tmp_path / "memgraph"
    binary.write_text("#!/bin/sh\necho memgraph version 3.12.0+106\n", encoding="utf-8")
    binary.chmod(0o755)
    made = [script("integration", "raise SystemExit(1)"), script("faults", "print('fine')")]
    monkeypatch.setattr(real, "steps", lambda _: made)
    output = tmp_path / "results"
    words = ["--memgraph-bin", str(binary), "--output", str(output)]
    assert real.main(words) == 1
    summary = (output / "summary.md").read_text("utf-8")
    assert "Memgraph 3.12.0+106" in summary
    assert "| integration | **failed** |" in summary
    assert "| faults | passed | fine |" in summary
    assert summary in capsys.readouterr().out
    (output / "integration.xml").write_text(REPORT, encoding="utf-8")
    made.pop(0)
    assert real.main(words) == 0
    assert not (output / "integration.xml").exists(), "of an earlier run"
    made.clear()
    assert real.main(words) == 1


def test_every_step_gets_the_binary_its_packages_and_the_settings(tmp_path):
    words = [
        "--memgraph-bin",
        "/opt/memgraph",
        "--memgraph-pythonpath",
        "/opt/packages",
        "--setting",
        "SLUICE_FOLD=false",
    ]
    options = real.parser().parse_args([*words, "--output", str(tmp_path)])
    found = real.steps(options)
    assert [step.name for step in found] == ["integration", "folding", "faults", "ingest"]
    for step in found:
        given = {"--memgraph-bin=/opt/memgraph", "--memgraph-pythonpath=/opt/packages", "--setting=SLUICE_FOLD=false"}
        assert given <= set(step.command)
    (tmp_path / "integration.xml").write_text(REPORT, encoding="utf-8")
    assert found[0].read("") == junit_outcome(REPORT)
    (tmp_path / "bench").mkdir()
    rates = {"sluice": [2.0], "native": [1.0]}
    results = {"ingest": [{"workload": "edges", "rates": rates, "cpu": rates}]}
    (tmp_path / "bench" / "results.json").write_text(json.dumps(results), encoding="utf-8")
    assert found[3].read("").passed
    options = real.parser().parse_args([*words, "--only", "faults"])
    assert [step.name for step in real.steps(options)] == ["faults"]


def test_a_setting_is_one_of_ours():
    assert setting("SLUICE_PYTHON=/opt/bin/python=x") == ("SLUICE_PYTHON", "/opt/bin/python=x")
    for text in ("SLUICE_PYTHON", "PATH=/bin", ""):
        with pytest.raises(ValueError, match="expected SLUICE_NAME=value"):
            setting(text)


def test_a_binary_that_does_not_say_its_version_is_of_an_unknown_one(tmp_path):
    assert real.version_of(Path("/bin/true")) == "of unknown version"
