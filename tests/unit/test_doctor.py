"""What `sluice doctor` makes of what it meets, without a server: addresses, signatures, Kafka, scripts, its lines."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from typer.testing import CliRunner, Result

import sluice
from sandbox.mock_broker import MockBroker
from sluice.errors import ConnectionLost, QueryRefused, SettingError
from sluice.host.settings import Settings
from sluice.procedures.look import NOT_YET
from sluice.supervising.server_watch import NO_TRANSACTIONS
from sluice.values.model import NOT_ASKED, PROBE
from sluice_tools.cli import app
from sluice_tools.doctor import module
from sluice_tools.doctor.bolt import Target, parse_uri
from sluice_tools.doctor.checks import Check, CheckFailed, Finding, Outcome, examine, fix, note
from sluice_tools.doctor.command import line_of
from sluice_tools.doctor.kafka import Cluster
from sluice_tools.doctor.module import Signature
from sluice_tools.doctor.server import Server
from sluice_tools.doctor.streams import Clusters, examine_merges, examine_sign_in
from sluice_tools.doctor.transform import examine_admission, examine_confinement, examine_transform
from sluice_tools.install.copies import MODULE, brought
from sluice_tools.shim.settings import Address
from tests.ports import free_port


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "80", "NO_COLOR": "1"})


@pytest.mark.parametrize(
    ("text", "scheme", "address"),
    [
        ("bolt://127.0.0.1:7688", "bolt", ("127.0.0.1", 7688)),
        ("bolt+s://graph.example.org", "bolt+s", ("graph.example.org", 7687)),
        ("bolt+ssc://[::1]:1/", "bolt+ssc", ("::1", 1)),
        ("localhost:7687", "bolt", ("localhost", 7687)),
    ],
)
def test_addresses_are_written_as_drivers_write_them(text: str, scheme: str, address: tuple[str, int]):
    assert parse_uri(text) == (scheme, Address(*address))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://127.0.0.1", "http:// is none of bolt://"),
        ("bolt://127.0.0.1:70000", "port"),
        ("bolt://", "not an address"),
        ("bolt://host:1/db", "not an address"),
        ("bolt://me:s3cret@host", "the URI must not contain a user and password"),
    ],
)
def test_what_is_no_address_is_refused(text: str, words: str):
    with pytest.raises(SettingError, match=words) as caught:
        parse_uri(text)
    assert "s3cret" not in str(caught.value)
    result = run("--uri", text)
    assert (result.exit_code, "--uri" in result.stderr) == (2, True)


def test_a_password_is_not_in_what_is_shown_of_the_target():
    assert "s3cret" not in repr(Target("bolt", Address("h", 1), "me", "s3cret"))


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        pytest.param("streams.stop(name :: STRING) :: ()", Signature(("name",), ()), id="no columns"),
        pytest.param(
            "streams.start(name :: STRING, limit_batches = null :: INTEGER?) :: ()",
            Signature(("name", "limit_batches"), ()),
            id="a default",
        ),
        pytest.param(
            "streams.test(name :: STRING, limit_batches = 1 :: INTEGER) :: (query :: STRING, params :: MAP)",
            Signature(("name", "limit_batches"), ("params", "query")),
            id="columns in any order",
        ),
        pytest.param(
            "streams.x(a = 'b :: c, d' :: STRING, e = {} :: MAP?) :: (f :: LIST OF STRING)",
            Signature(("a", "e"), ("f",)),
            id="a default that looks like arguments",
        ),
        pytest.param("streams.show() :: (uri :: STRING)", Signature((), ("uri",)), id="no arguments"),
    ],
)
def test_signatures_are_read_as_the_server_gives_them(text: str, signature: Signature):
    assert module.parse_signature(text) == signature


def test_the_signatures_to_expect_are_those_of_the_module():
    own = module.own_signatures()
    assert own["show"] == Signature((), ("name", "status", "topic", "transform", "uri"))
    assert own["start"] == Signature(("name", "limit_batches"), ())
    assert {"create", "drop", "show", "start", "stop", "start_all", "stop_all", "test"} <= set(own)
    assert len(own) == brought()[MODULE].read_text().count("\n@mgp.")


ONE, OTHER = Signature(("name",), ()), Signature(("name", "more"), ())


@pytest.mark.parametrize(
    ("loaded", "expected"),
    [
        pytest.param({"a": ONE}, "", id="the same"),
        pytest.param({}, "has no streams.a", id="an older one"),
        pytest.param({"a": ONE, "b": ONE}, "has streams.b, which this version has not", id="a newer one"),
        pytest.param({"a": OTHER}, "has another streams.a", id="another one"),
    ],
)
def test_a_module_of_another_version_is_told_by_its_procedures(loaded: dict[str, Signature], expected: str):
    assert module.difference(loaded, {"a": ONE}) == expected


def test_the_version_beside_a_module_is_read_where_it_is_on_this_machine(tmp_path: Path):
    (tmp_path / "sluice").mkdir()
    (tmp_path / "sluice" / "__init__.py").write_text('"""Text."""\n\n__version__ = "3.2.1"\n')
    assert module.version_beside(str(tmp_path / "streams.py")) == "3.2.1"
    assert module.version_beside("/nowhere/streams.py") is None
    assert "memgraph-sluice==3.2.1" in module.remedy("3.2.1")


def failing() -> str:
    raise CheckFailed("no")


def losing() -> str:
    raise ConnectionLost("closed")


def findings_of(*checks: Check) -> list[tuple[str, str, str]]:
    return [(finding.check, finding.outcome.value, finding.text) for finding in examine(checks)]


def test_a_check_is_skipped_if_one_that_it_needs_failed_or_was_skipped():
    assert findings_of(
        Check("a", (), failing, "mend it"),
        Check("b", ("a",), lambda: "well"),
        Check("c", ("b",), lambda: "well"),
        Check("d", (), lambda: note("hm")),
        Check("e", ("d",), lambda: None),
        Check("f", ("e", "d"), lambda: fix("wrong")),
        Check("g", ("f",), lambda: "well"),
    ) == [
        ("a", "fix", "no"),
        ("b", "skipped", "not looked at: see a"),
        ("c", "skipped", "not looked at: see a"),
        ("d", "note", "hm"),
        ("f", "fix", "wrong"),
        ("g", "ok", "well"),
    ]


def test_a_lost_connection_fails_what_the_check_needed():
    assert findings_of(
        Check("a", (), lambda: "well"),
        Check("b", ("a",), losing),
        Check("c", ("a",), lambda: "well"),
        Check("d", (), lambda: "well"),
    ) == [
        ("a", "ok", "well"),
        ("b", "fix", "the connection was lost: closed"),
        ("c", "skipped", "not looked at: see b"),
        ("d", "ok", "well"),
    ]


@pytest.mark.parametrize(("remedy", "expected"), [("", "mend it"), ("do this", "do this")])
def test_a_remedy_is_the_hint_of_the_row_unless_the_check_knows_better(remedy: str, expected: str):
    (finding,) = examine([Check("a", (), lambda: fix("wrong", remedy), "mend it")])
    assert finding.remedy == expected


def test_rows_of_one_name_are_told_apart_by_what_they_are_about():
    cluster = Cluster(f"127.0.0.1:{free_port()}", 1)
    found = findings_of(*cluster.checks("t"), *cluster.checks("u"), Check("topic", ("kafka, h:1",), lambda: "well"))
    assert [(check, verdict) for check, verdict, _ in found] == [
        ("kafka", "fix"),
        ("topic", "skipped"),
        ("topic", "skipped"),
        ("topic", "ok"),
    ]
    assert found[1][2] == f"not looked at: see kafka, {cluster.uri}"


class FakeServer(Server):
    """A server that is reached, and answers by a table: the beginning of a query -> rows, or what it raises."""

    def __init__(self, answers: dict[str, list[dict] | Exception]) -> None:
        super().__init__(Target("bolt", Address("h", 1)), pause=lambda _: None)
        self.answers = answers
        self._connection = type(
            "FakeConnection", (), {"version": (5, 2), "server": "Fake/1", "close": lambda _: None}
        )()

    def fetch(self, query: str, *, patience: float = 0.0, **parameters: object) -> list[dict]:
        answer = next(answer for beginning, answer in self.answers.items() if query.startswith(beginning))
        if isinstance(answer, Exception):
            raise answer
        return answer


def result(found: Finding | str | None) -> Finding:
    """What a check's function found, where it is alone."""
    assert found is not None
    return Finding(Outcome.OK, found) if isinstance(found, str) else found


def refused(text: str) -> QueryRefused:
    return QueryRefused(text, code="Memgraph.ClientError.MemgraphError.MemgraphError")


def walked(monkeypatch, **answers: list[dict] | Exception) -> dict[str, Finding]:
    """The findings about a server that is well, but for `answers`."""
    signatures = [
        {
            "name": f"streams.{name}",
            "signature": f"streams.{name}({', '.join(f'{argument} :: STRING' for argument in signature.arguments)}) :: "
            f"({', '.join(f'{column} :: STRING' for column in signature.columns)})",
            "path": "/nowhere/streams.py",
        }
        for name, signature in module.own_signatures().items()
    ]
    well: dict[str, list[dict] | Exception] = {
        "SHOW_VERSION": [{"version": "3.13.1"}],
        "SHOW_REPLICATION": [{"replication role": "main"}],
        "SHOW_CONSTRAINT": [{"constraint type": "unique", "label": "Person", "properties": "id"}],
        "RETURN_timestamp": [{"now": int(time.time() * 1e6)}],
        "CALL_mg.procedures": signatures,
        "CALL_streams.show": [],
        "CALL_streams.settings": [{"name": PROBE, "value": "as expected, asked in 5.0 ms"}],
        "CALL_streams.version": [{"version": sluice.__version__, "trouble": None}],
        "CALL_streams.interpreter": [{"path": "/usr/bin/python3.12", "version": "3.12.3", "trouble": None}],
    }
    server = FakeServer({name.replace("_", " ", 1): answer for name, answer in {**well, **answers}.items()})
    monkeypatch.setattr("sluice_tools.doctor.server.connect", lambda *_: server._connection)
    monkeypatch.setattr("sluice_tools.doctor.server.LOOPBACK_PATIENCE", 0.0)
    findings = list(examine(server.checks()))
    assert [finding.check for finding in findings] == [check.name for check in server.checks()]
    return {finding.check: finding for finding in findings}


def test_a_server_that_is_well(monkeypatch):
    assert {finding.outcome for finding in walked(monkeypatch).values()} == {Outcome.OK}


@pytest.mark.parametrize(
    ("answers", "check", "text", "remedy"),
    [
        pytest.param(
            {"SHOW_VERSION": [{"version": "2.13.0"}]}, "server", "older than 2.14", "upgrade Memgraph", id="too old"
        ),
        pytest.param(
            {"SHOW_VERSION": [{"version": "2.14.1"}]},
            "server",
            "uniqueness constraints are not safe in Memgraph 2.14.1",
            "3.1",
            id="a version in which constraints are not safe",
        ),
        pytest.param({"CALL_mg.procedures": []}, "module", "no module streams", "sluice install", id="no module"),
        pytest.param(
            {"CALL_streams.version": [{"version": "9.9", "trouble": None}]},
            "module",
            "has loaded sluice 9.9",
            "memgraph-sluice==9.9",
            id="another version",
        ),
        pytest.param(
            {"CALL_mg.procedures": refused("not authorized")}, "module", "not authorized", "GRANT", id="may not look"
        ),
        pytest.param(
            {"CALL_streams.show": refused("streams.show: Traceback ... sluice.errors.SettingError: SLUICE_X is bad")},
            "procedures",
            "streams.show fails: SettingError: SLUICE_X is bad",
            "set it right in the server's environment",
            id="a wrong setting",
        ),
        pytest.param(
            {"CALL_streams.show": refused("You are not authorized to execute this query")},
            "procedures",
            "not authorized",
            "GRANT",
            id="may not call",
        ),
        pytest.param(
            {"CALL_streams.version": [{"version": sluice.__version__, "trouble": NOT_YET}]},
            "loopback",
            "has not read the graph yet",
            "SLUICE_LOOPBACK_USER",
            id="no loopback",
        ),
        pytest.param(
            {"CALL_streams.version": [{"version": sluice.__version__, "trouble": "it is refused"}]},
            "loopback",
            "it is refused",
            "SLUICE_LOOPBACK_PASSWORD_FILE",
            id="a loopback that was lost",
        ),
        pytest.param(
            {"CALL_streams.version": [{"version": sluice.__version__, "trouble": NO_TRANSACTIONS}]},
            "loopback",
            "reaches its server, and no stream runs: the storage mode is IN_MEMORY_ANALYTICAL",
            "do as it says",
            id="a storage mode",
        ),
        pytest.param(
            {"RETURN_timestamp": [{"now": 1_000_000_000_000_000}]}, "clocks", "differ by", "time", id="a clock"
        ),
        pytest.param(
            {"CALL_streams.show": ConnectionLost("closed")},
            "procedures",
            "connection was lost",
            "log",
            id="a lost server",
        ),
    ],
)
def test_what_is_wrong_with_a_server_is_named_with_its_remedy(monkeypatch, answers, check, text, remedy):
    finding = walked(monkeypatch, **answers)[check]
    assert finding.outcome is Outcome.FIX
    assert text in finding.text
    assert remedy in finding.remedy


def test_the_columns_of_every_procedure_are_known():
    own = module.own_signatures()
    assert own["seek"].columns == ("effect", "from", "messages", "partition", "to", "topic")
    assert own["settings"] == Signature((), ("name", "value"))
    assert own["try_transform"] == Signature(("uri", "messages", "options"), ("params", "query"))


def test_a_replica_is_nothing_to_mend(monkeypatch):
    findings = walked(monkeypatch, SHOW_REPLICATION=[{"replication role": "replica"}])
    assert findings["role"].outcome is Outcome.NOTE
    assert findings["loopback"].outcome is Outcome.NOTE


def test_the_interpreter_of_transforms_is_shown(monkeypatch):
    finding = walked(monkeypatch)["interpreter"]
    assert (finding.outcome, finding.text) == (Outcome.OK, "transforms run in /usr/bin/python3.12, Python 3.12.3")
    trouble = "no interpreter was found that can run transforms: /x/python3 ended with exit status 127"
    answers = {"CALL_streams.interpreter": [{"path": None, "version": None, "trouble": trouble}]}
    finding = walked(monkeypatch, **answers)["interpreter"]
    assert (finding.outcome, finding.text) == (Outcome.FIX, trouble)
    assert "SLUICE_PYTHON" in finding.remedy
    unknown = {"CALL_streams.interpreter": refused("there is no procedure named 'streams.interpreter'")}
    assert walked(monkeypatch, **unknown)["interpreter"].outcome is Outcome.NOTE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NOT_ASKED, "has not asked the server"),
        (
            "on this server MERGE finds nothing (2)",
            "less is folded, or nothing runs: on this server MERGE finds nothing (2)",
        ),
    ],
)
def test_what_the_server_was_found_to_do_otherwise_is_told(monkeypatch, value, text):
    finding = walked(monkeypatch, **{"CALL_streams.settings": [{"name": PROBE, "value": value}]})["probe"]
    assert finding.outcome is Outcome.NOTE
    assert text in finding.text


def test_what_comes_behind_a_fault_is_not_looked_at(monkeypatch):
    findings = walked(monkeypatch, **{"CALL_mg.procedures": []})
    assert findings["loopback"].outcome is Outcome.SKIPPED
    assert "see module" in findings["loopback"].text


def test_a_finding_is_one_line_that_a_terminal_does_not_obey():
    line = line_of(Finding(Outcome.FIX, "text\x1b[31m\nmore", "do this", "bolt"))
    assert line == "fix      bolt        text\\x1b[31m\\nmore. To do: do this"


def test_json_has_everything_and_the_exit_code_tells(tmp_path: Path):
    port = free_port()
    result = run("--uri", f"bolt://127.0.0.1:{port}", "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (report["well"], report["server"]) == (False, f"bolt://127.0.0.1:{port}")
    assert [check["check"] for check in report["checks"]] == [
        *(check.name for check in Server(Target("bolt", Address("h", 1))).checks()),
        "scripts",
        "sandbox",
    ]
    assert report["checks"][0]["verdict"] == "fix"
    assert "--uri" in report["checks"][0]["remedy"]


@pytest.mark.parametrize("given", [["--kafka", "h:1"], ["--topic", "t"], ["--password-file", "/nowhere"]])
def test_half_a_question_is_refused(given: list[str]):
    assert run(*given).exit_code == 2


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of somebody who takes connections and says nothing that Kafka or Bolt would."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                with client:
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        thread.join()


def test_what_speaks_no_bolt_is_named(silent: int):
    result = run("--uri", f"bolt://127.0.0.1:{silent}", "--timeout", "1")
    assert "does not speak Bolt" in result.stdout
    assert "Bolt port (Memgraph's is 7687" in result.stdout


def test_topics_of_a_list_are_looked_for_one_by_one_and_those_of_a_pattern_named():
    with MockBroker() as broker:
        for topic in ("orders", "orders.eu", "users"):
            broker.create_topic(topic, 1)
        _, orders, gone, matching = examine(broker_checks(broker, "orders,gone,^orders"))
        assert (orders.outcome, gone.outcome, matching.outcome) == (Outcome.OK, Outcome.FIX, Outcome.OK)
        assert matching.text.endswith("matches orders, orders.eu")
        _, none = examine(broker_checks(broker, "^nothing"))
        assert (none.outcome, "has no topic that ^nothing matches" in none.text) == (Outcome.NOTE, True)
        _, wrong = examine(broker_checks(broker, "a,,b"))
        assert (wrong.outcome, wrong.text) == (Outcome.NOTE, "TOPIC has an empty name in its list, got 'a,,b'")


def broker_checks(broker: MockBroker, topics: str) -> list[Check]:
    return Cluster(broker.bootstrap, 5).checks(topics)


def test_a_cluster_that_is_well_has_the_topic():
    with MockBroker() as broker:
        broker.create_topic("people", 3)
        cluster = Cluster(broker.bootstrap, 5)
        kafka, topic = examine(cluster.checks("people"))
        assert (kafka.outcome, topic.outcome) == (Outcome.OK, Outcome.OK)
        assert "3 partitions" in topic.text
        (missing,) = examine(cluster.checks("peple"))
        assert missing.outcome is Outcome.FIX
        assert "there is people" in missing.text
        assert f"kafka-topics.sh --bootstrap-server {broker.bootstrap} --create --topic peple" in missing.remedy


def test_brokers_that_are_away_are_named():
    kafka, topic = examine(Cluster(f"127.0.0.1:{free_port()}", 1).checks("t"))
    assert (kafka.outcome, topic.outcome) == (Outcome.FIX, Outcome.SKIPPED)
    assert "Connection refused" in kafka.text
    assert "start Kafka" in kafka.remedy


def test_what_is_no_kafka_is_named(silent: int):
    kafka, topic = examine(Cluster(f"127.0.0.1:{silent}", 1).checks("t"))
    assert (kafka.outcome, topic.outcome) == (Outcome.FIX, Outcome.SKIPPED)
    assert "does not answer as Kafka does" in kafka.text
    assert "9092" in kafka.remedy


def test_settings_that_librdkafka_refuses_are_named():
    with MockBroker() as broker:
        kafka, _ = examine(Cluster(broker.bootstrap, 1, {"no.such.setting": "1"}).checks("t"))
    assert "no.such.setting" in kafka.text
    assert "librdkafka refuses it" in kafka.remedy


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (KafkaError._AUTHENTICATION, "sasl.password"),
        (KafkaError._SSL, "ssl.ca.location"),
        (KafkaError._TRANSPORT, "security.protocol"),
    ],
)
def test_what_a_broker_refuses_has_its_own_remedy(code: int, words: str):
    assert words in Cluster("h:1", 1)._refused(KafkaError(code)).finding.remedy


def test_secrets_of_a_stream_are_not_looked_up_on_this_machine(tmp_path: Path):
    (tmp_path / "key").write_text("s3cret")
    config = json.dumps({"sasl.password": f"file:{tmp_path / 'key'}"})
    with pytest.raises(SettingError, match=r"sasl\.password") as caught:
        Clusters(1).get("evil:9092", "s", config)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "verdict", "words"),
    [
        pytest.param("def stream(batch):\n    return []\n", Outcome.OK, "has a function stream", id="a function"),
        pytest.param("from mine import stream\n", Outcome.OK, "has a function stream", id="imported"),
        pytest.param("stream = print\n", Outcome.OK, "has a function stream", id="assigned"),
        pytest.param("def streams(batch):\n    return []\n", Outcome.NOTE, "defines no stream", id="none"),
        pytest.param("def stream(batch:\n", Outcome.FIX, "no Python", id="no Python"),
    ],
)
def test_a_script_is_read_and_not_run(tmp_path: Path, text: str, verdict: Outcome, words: str):
    path = tmp_path / "transform.py"
    path.write_text(f"{text}\n'{tmp_path}'\n")
    finding = result(examine_transform(str(path), Settings()))
    assert finding.outcome is verdict
    assert words in finding.text


def test_a_script_that_is_not_there_is_named(tmp_path: Path):
    finding = result(examine_transform(str(tmp_path / "none.py"), Settings()))
    assert finding.outcome is Outcome.FIX
    assert "Couldn't get the transform script" in finding.text
    assert "put the script where the URI says" in finding.remedy


def test_a_script_that_the_server_would_refuse_is_named_with_the_setting():
    finding = result(examine_transform("http://me:hunter2@scripts.example.org/a.py", Settings()))
    assert "hunter2" not in finding.text
    assert "user and password" in finding.text
    finding = result(
        examine_transform("https://scripts.example.org/a.py", Settings(), "https://scripts.example.org/kafka")
    )
    assert finding.outcome is Outcome.FIX
    assert "does not allow it; it allows https://scripts.example.org/kafka" in finding.text
    assert "SLUICE_TRANSFORM_ALLOW" in finding.remedy


def test_what_vouches_for_scripts_is_told():
    assert "key /data/.sluice_signing.key," in result(examine_admission("/data/.sluice_signing.key", "")).text
    listed = result(examine_admission("/data/.sluice_signing.key", "/etc/SHA256SUMS"))
    assert listed.text.startswith("only scripts that /etc/SHA256SUMS lists run")
    assert result(examine_admission(None, None)).outcome is Outcome.NOTE


@pytest.mark.parametrize(
    ("told", "outcome", "text"),
    [
        (None, Outcome.NOTE, "does not report"),
        ("off; this machine has no Landlock, seccomp", Outcome.NOTE, "SLUICE_TRANSFORM_SANDBOX=auto confines them"),
        ("kept from files, network; this machine has x", Outcome.OK, "transforms are kept from files, network;"),
        ("kept from network, not from files; this machine has x", Outcome.NOTE, "not from files"),
        ("refused: SLUICE_TRANSFORM_SANDBOX is on, and x", Outcome.FIX, "no transform runs: refused: "),
    ],
)
def test_what_transforms_are_kept_from_is_told(told: str | None, outcome: Outcome, text: str):
    finding = result(examine_confinement(told))
    assert finding.outcome is outcome
    assert text in finding.text


STATEMENT = "CREATE CONSTRAINT ON (n:Person) ASSERT n.id IS UNIQUE;"


@pytest.mark.parametrize(("version", "upgrade"), [((2, 14), True), ((3, 12), False), (None, False)], ids=str)
def test_what_other_clients_could_create_twice_is_noted_and_what_ends_that(version, upgrade):
    server = FakeServer({"CALL streams.info": [{"merges": {"unprotected": [STATEMENT]}}]})
    server.version = version
    finding = result(examine_merges(server, "people"))
    assert finding.outcome is Outcome.NOTE
    assert finding.text.startswith("people merges vertices")
    assert STATEMENT in finding.text
    assert ("upgrade to Memgraph 3.1" in finding.text) is upgrade


@pytest.mark.parametrize(
    "answer",
    [[{"merges": {"unprotected": []}}], [], QueryRefused("there is no column merges", code="")],
    ids=["protected", "no stream", "an older module"],
)
def test_where_nothing_can_be_created_twice_nothing_is_noted(answer):
    assert examine_merges(FakeServer({"CALL streams.info": answer}), "people") is None


def test_what_a_stream_signs_in_with_is_listed_and_what_is_missing_is_to_be_corrected():
    there = [
        {"part": "region", "found": "eu-west-1", "trouble": None},
        {"part": "credentials", "found": "found by way of env", "trouble": None},
    ]
    finding = result(examine_sign_in(FakeServer({"CALL streams.sign_in": there}), "people"))
    assert finding.outcome is Outcome.OK
    assert "(region: eu-west-1, credentials: found by way of env)" in finding.text
    missing = [*there, {"part": "clock", "found": None, "trouble": "the server's clock is 400 s fast by AWS's"}]
    finding = result(examine_sign_in(FakeServer({"CALL streams.sign_in": missing}), "people"))
    assert (finding.outcome, finding.text) == (
        Outcome.FIX,
        "people cannot sign in: the server's clock is 400 s fast by AWS's",
    )


@pytest.mark.parametrize("answer", [[], QueryRefused("there is no procedure", code="")], ids=["plain", "older"])
def test_where_nothing_is_signed_in_with_nothing_is_said(answer):
    assert examine_sign_in(FakeServer({"CALL streams.sign_in": answer}), "people") is None


def test_brokers_that_the_server_alone_can_sign_in_to_are_not_looked_at_from_here():
    config = '{"security.protocol": "SASL_SSL", "sasl.mechanism": "AWS_MSK_IAM"}'
    with pytest.raises(SettingError, match="has what the server alone has in its config: sasl.mechanism"):
        Clusters(1.0).get("h:9098", "s", config)
