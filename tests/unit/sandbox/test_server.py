"""Starting, stopping, killing and reloading."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from neo4j.exceptions import ClientError

from sandbox.host import SandboxFailed, SandboxHost
from sluice.bolt import messages
from sluice.bolt.client import Connection
from sluice.bolt.framing import frame
from tests.eventually import eventually
from tests.unit.sandbox.conftest import MODULES, Run, open_driver, run_with

Start = Callable[..., SandboxHost]


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_was_committed_is_there_after_a_restart_and_nothing_else(start: Start, end: str) -> None:
    host = start()
    with open_driver(host) as driver:
        (made,) = run_with(driver, "CALL fake.make('Kept', {name: 'first'}) YIELD id")
        with driver.session() as session:
            transaction = session.begin_transaction()
            transaction.run("CREATE (:Kept {name: 'open'})").consume()
            run_with(driver, "CREATE (:Kept {name: 'second'})-[:TO]->(:Kept {name: 'third'})")
            getattr(host, end)()
    host.start()
    with open_driver(host) as driver:
        names = run_with(driver, "MATCH (n:Kept) RETURN n.name AS name ORDER BY name")
        (first,) = run_with(driver, "CALL fake.look_up($id) YIELD properties", **made)
        edges = run_with(driver, "MATCH (:Kept)-[r:TO]->(:Kept) RETURN count(r) AS n")

    assert [row["name"] for row in names] == ["first", "second", "third"]
    assert first == {"properties": {"name": "first"}}
    assert edges == [{"n": 1}]


def test_nothing_is_left_running_after_a_kill(start: Start) -> None:
    host = start()
    (child,) = children_of(host.pid)
    host.kill()

    assert eventually(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())


def test_the_sandbox_ends_when_the_graph_does(start: Start) -> None:
    host = start()
    os.kill(children_of(host.pid)[0], signal.SIGKILL)

    assert eventually(lambda: not Path(f"/proc/{host.pid}").exists() or not children_of(host.pid))
    host.stop()
    assert "the graph's process ended" in host.log_text()


def test_a_clean_stop_runs_exit_handlers_in_good_time(start: Start, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    host = start(env={"FAKE_AT_EXIT": str(proof)})
    with Connection.open("127.0.0.1", host.port) as connection:
        connection.send(frame(messages.run("CALL fake.wait_until_aborted()")) + frame(messages.pull()))
        connection.receive(1)
        began = time.monotonic()
        host.stop()

    assert time.monotonic() - began < 8
    assert proof.exists()


def test_a_module_that_cannot_be_loaded_is_logged_and_keeps_no_other_from_being_loaded(
    host: SandboxHost, run: Run
) -> None:
    assert "broken on purpose" in host.log_text()
    assert run("CALL fake.quiet()") == []


def test_modules_are_loaded_before_bolt_listens(start: Start, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "knocks.py").write_text(
        "import socket, sys\n"
        "import mgp\n"
        "port = int(open('/proc/self/cmdline').read().split('\\0--bolt-port\\0')[1].split('\\0')[0])\n"
        "with socket.socket() as probe:\n"
        "    ANSWER = probe.connect_ex(('127.0.0.1', port))\n"
        "@mgp.read_proc\n"
        "def answer() -> mgp.Record(errno=int):\n"
        "    return mgp.Record(errno=ANSWER)\n"
    )
    host = start(modules=tmp_path / "modules")
    with open_driver(host) as driver:
        (row,) = run_with(driver, "CALL knocks.answer() YIELD errno")

    assert os.strerror(row["errno"]) == "Connection refused"


def test_a_port_that_is_taken_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host = SandboxHost(tmp_path, MODULES, port=taken.getsockname()[1])
        monkeypatch.setattr(host, "_listens", lambda: False)  # somebody does, but not the sandbox
        with pytest.raises(SandboxFailed, match="Address already in use"):
            host.start()


@pytest.mark.parametrize("query", ["CALL mg.load_all()", "CALL mg.load('fake')"])
def test_a_reload_replaces_the_module_and_what_it_imports(run: Run, query: str) -> None:
    columns = "YIELD loaded, helper, threading"
    (before,) = run(f"CALL fake.state() {columns}")
    run(query)
    (after,) = run(f"CALL fake.state() {columns}")

    assert after["loaded"] > before["loaded"]
    assert after["helper"] != before["helper"]
    assert after["threading"] != before["threading"]


def test_a_module_that_is_not_there_cannot_be_reloaded(run: Run) -> None:
    with pytest.raises(ClientError, match=r"mg.load: Failed to \(re\)load the module"):
        run("CALL mg.load('nothing')")


def test_procedures_are_listed(run: Run) -> None:
    rows = run("CALL mg.procedures() YIELD name, signature, is_write RETURN * ORDER BY name")

    assert {"name": "mg.load_all", "signature": "mg.load_all() :: ()", "is_write": False} in rows
    assert {
        "name": "fake.repeat",
        "signature": "fake.repeat(text :: STRING, times = 2 :: INTEGER) :: (text :: STRING, number :: INTEGER)",
        "is_write": False,
    } in rows
