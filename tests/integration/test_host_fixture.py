"""What every host gives the other tests, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import neo4j
import pytest
from neo4j.exceptions import Neo4jError

from tests.eventually import eventually
from tests.hosts import Host, ServerHost

Run = Callable[..., list[dict[str, Any]]]
MakeHost = Callable[..., ServerHost]


def test_queries_take_parameters_and_give_dictionaries(run: Run, label: str) -> None:
    run(f"CREATE (:{label} {{n: $n}})", n=1)
    assert run(f"MATCH (v:{label}) RETURN v.n AS n, v") == [{"n": 1, "v": {"n": 1}}]


def test_the_driver_rolls_back(driver: neo4j.Driver, run: Run, label: str) -> None:
    with driver.session() as session, session.begin_transaction() as transaction:
        transaction.run(f"CREATE (:{label})").consume()
        transaction.rollback()
    assert run(f"MATCH (v:{label}) RETURN count(v) AS count") == [{"count": 0}]


def test_our_module_is_loaded(run: Run) -> None:
    assert isinstance(run("CALL streams.show() YIELD name RETURN name"), list)


def test_an_unknown_procedure_is_an_error_of_the_host(host: Host) -> None:
    with pytest.raises(Neo4jError):
        host.run("CALL nobody.has_this()")


def test_what_was_committed_outlasts_a_kill_a_restart_and_a_pause(own_host: MakeHost) -> None:
    own = own_host()
    for number, upset in enumerate((own.kill, own.stop, own.pause), start=1):
        own.run("CREATE (:Kept {n: $n})", n=number)
        upset()
        if own.running:
            own.resume()
        else:
            own.start()
        assert own.run("MATCH (v:Kept) RETURN count(v) AS count") == [{"count": number}]


def test_a_host_of_ones_own_has_its_own_modules_environment_and_log(own_host: MakeHost, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "asked.py").write_text(
        "import os\n"
        "import mgp\n"
        "@mgp.read_proc\n"
        "def about(ctx: mgp.ProcCtx, name: str) -> mgp.Record(value=str):\n"
        "    return mgp.Record(value=os.environ.get(name, ''))\n"
    )
    own = own_host(env={"ASKED": "yes"}, query_modules=modules)
    assert own.run("CALL asked.about('ASKED') YIELD value RETURN value") == [{"value": "yes"}]
    assert own.query_modules != modules
    assert not (modules / "__pycache__").exists()
    eventually(own.log_text)
