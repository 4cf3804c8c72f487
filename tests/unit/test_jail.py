"""A transform runs in a process of its own: its queries come back as Bolt messages, its faults as one line."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from sluice.bolt.framing import MessageBuffer
from sluice.bolt.messages import Tag, parse
from sluice.errors import ScriptError, TransformError
from sluice.jail import Jail, Stopped
from sluice.model import Transform
from sluice.settings import Settings

SETTINGS = Settings(transform_timeout=10.0, transform_memory_mb=512)

TRANSFORMS = Path(__file__).parents[2] / "transforms"


def transform(source: str) -> Transform:
    return Transform("/srv/t.py", source, hashlib.sha256(source.encode()).hexdigest())


def shipped(name: str) -> Transform:
    return transform((TRANSFORMS / name).read_text(encoding="utf-8"))


def test_the_example_of_the_specification():
    with Jail(shipped("edges.py"), SETTINGS) as jail:
        assert jail.rows([b"1", b"1 2", b"", b"1 2 3"]) == [
            ("CREATE (:Node {id: $id})", {"id": "1"}),
            (
                "MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m)",
                {"from_id": "1", "to_id": "2"},
            ),
        ]


def test_json_upserts():
    with Jail(shipped("json_upsert.py"), SETTINGS) as jail:
        assert jail.rows([b'{"id": 7, "name": "Ada"}', None, b"null"]) == [
            ("MERGE (n:Entity {id: $id}) SET n += $properties", {"id": 7, "properties": {"name": "Ada"}})
        ]


def test_csv_rows():
    with Jail(shipped("csv_rows.py"), SETTINGS) as jail:
        rows = jail.rows([b'ann,bob,12.5\n"bo, b",ann,1\n'])
    assert [parameters for _, parameters in rows] == [
        {"from": "ann", "to": "bob", "amount": 12.5},
        {"from": "bo, b", "to": "ann", "amount": 1.0},
    ]


def test_packed_queries_are_a_run_and_a_pull_each():
    with Jail(shipped("edges.py"), SETTINGS) as jail:
        packed = jail.pack([b"1", b"2"])
    messages = [parse(message) for message in MessageBuffer(1 << 20).feed(packed.frames)]
    assert packed.size == 2
    assert [message.tag for message in messages] == [Tag.RUN, Tag.PULL, Tag.RUN, Tag.PULL]
    assert messages[2].fields[:2] == ["CREATE (:Node {id: $id})", {"id": "2"}]


def test_a_transform_sees_no_variable_that_may_hold_a_secret(monkeypatch):
    monkeypatch.setenv("SLUICE_LOOPBACK_PASSWORD", "s3cret")
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    source = "import os\ndef stream(batch):\n    return [('RETURN $e', {'e': dict(os.environ)})]"
    with Jail(transform(source), SETTINGS) as jail:
        ((_, parameters),) = jail.rows([b"1"])
    assert parameters["e"]["LC_ALL"] == "C.UTF-8"
    assert "s3cret" not in parameters["e"].values()


def test_a_transform_keeps_its_own_state_between_batches():
    source = "seen = []\ndef stream(batch):\n    seen.extend(batch)\n    return [('RETURN $n', {'n': len(seen)})]"
    with Jail(transform(source), SETTINGS) as jail:
        jail.pack([b"1", b"2"])
        assert jail.rows([b"3"]) == [("RETURN $n", {"n": 3})]


def test_what_a_transform_prints_or_reads_does_not_disturb():
    source = (
        "import sys\ndef stream(batch):\n    print('x' * 100000)\n    return [('RETURN $r', {'r': sys.stdin.read()})]"
    )
    with Jail(transform(source), SETTINGS) as jail:
        assert jail.rows([b"1"]) == [("RETURN $r", {"r": ""})]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("def stream(batch)\n    pass", "SyntaxError: expected ':' (line 1)", id="syntax"),
        pytest.param("\n1 / 0", "ZeroDivisionError: division by zero (line 2)", id="raises"),
        pytest.param(
            "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (line 1)", id="import"
        ),
        pytest.param("x = 1", "it defines no function stream(batch)", id="no stream"),
        pytest.param("stream = 1", "its stream is not callable", id="not callable"),
        pytest.param("import os; os._exit(3)", "its process ended (exit status 3)", id="exits"),
        pytest.param("import os; os.kill(os.getpid(), 11)", "its process was ended by signal 11", id="crashes"),
    ],
)
def test_a_script_that_cannot_be_loaded_says_where(source: str, reason: str):
    with pytest.raises(ScriptError) as caught:
        Jail(transform(source), SETTINGS)
    assert str(caught.value) == f"bad transform /srv/t.py: {reason}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise KeyError('id')", "stream(batch) raised KeyError: 'id' (line 2)"),
        ("raise ValueError('a\\nb')", "stream(batch) raised ValueError: a b (line 2)"),
        ("raise SystemExit(1)", "stream(batch) raised SystemExit: 1 (line 2)"),
        ("return None", "stream(batch) must return a list of (query, parameters), got NoneType None"),
        ("return [1]", "item 0 of what stream(batch) returned must be (query, parameters), got int 1"),
        (
            "return [('a', {}), ('b',)]",
            "item 1 of what stream(batch) returned must be (query, parameters), got tuple ('b',)",
        ),
        ("return [(b'a', {})]", "the query of item 0 must be a str, got bytes b'a'"),
        ("return [('a', [])]", "the parameters of item 0 must be a dict, got list []"),
        ("return [('  ;', {})]", "the query of item 0 is empty"),
        ("return [('a', {'x': {1}})]", "the parameters of item 0 hold what a query cannot take: x: "),
        ("return [('a', {'x': [{'y': (1,)}]})]", "the parameters of item 0 hold what a query cannot take: x[0].y: "),
        ("return [('a', {'x': 2 ** 63})]", "the parameters of item 0 hold what a query cannot take: x: integer"),
        ("return [('a', {'x': {1: 2}})]", "the parameters of item 0 hold what a query cannot take: x"),
        ("x = []\n    while True: x.append(bytes(10 ** 7))", "stream(batch) raised MemoryError"),
    ],
)
def test_a_broken_contract_names_the_item_and_the_jail_goes_on(body: str, reason: str):
    with Jail(transform(f"def stream(batch):\n    {body}"), SETTINGS) as jail:
        for call in (jail.pack, jail.rows):
            with pytest.raises(TransformError) as caught:
                call([b"1"])
            assert str(caught.value).startswith(f"transform /srv/t.py: {reason}")
        assert not jail.closed


@pytest.mark.parametrize(
    "query", ["COMMIT", "commit", " ;\n COMMIT ;", "/* x */ COMMIT", "// x\nRollback", "BEGIN"], ids=repr
)
def test_transaction_control_is_refused(query: str):
    source = transform(f"def stream(batch):\n    return [({query!r}, {{}})]")
    with Jail(source, SETTINGS) as jail, pytest.raises(TransformError, match="a batch is one transaction"):
        jail.pack([b"1"])


def test_a_transform_that_does_not_end_is_ended():
    settings = Settings(transform_timeout=0.3)
    with Jail(transform("def stream(batch):\n    while True: pass"), settings) as jail:
        with pytest.raises(TransformError, match=r"stream\(batch\) did not end within 0.3 s"):
            jail.pack([b"1"])
        assert jail.closed


def test_a_transform_that_exits_is_a_fault_of_the_transform():
    with Jail(transform("import os\ndef stream(batch):\n    os._exit(7)"), SETTINGS) as jail:
        with pytest.raises(TransformError, match=r"its process ended \(exit status 7\)"):
            jail.pack([b"1"])
        assert jail.closed


def test_an_owner_who_wants_to_stop_does_not_wait_for_the_transform():
    began = time.monotonic()
    source = transform("import time\ndef stream(batch):\n    time.sleep(60)")
    wants_stop = iter([False] * 3)
    with Jail(source, SETTINGS, lambda: next(wants_stop, True)) as jail, pytest.raises(Stopped):
        jail.pack([b"1"])
    assert time.monotonic() - began < 30


def test_large_batches_pass_both_ways():
    source = "def stream(batch):\n    return [('CREATE (:N {x: $x})', {'x': m.decode()}) for m in batch]"
    payload = b"x" * 1_000_000
    with Jail(transform(source), SETTINGS) as jail:
        assert len(jail.pack([payload] * 20).frames) > 20_000_000
