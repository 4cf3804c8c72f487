"""A transform runs in a process of its own: its queries come back as Bolt messages, its faults as one line."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import Message

from sluice.bolt import messages
from sluice.bolt.framing import MAX_CHUNK, MessageBuffer
from sluice.bolt.messages import Tag, parse
from sluice.errors import ScriptError, Stopped, TransformError
from sluice.host.settings import Settings
from sluice.scripting.channel import Patience
from sluice.scripting.child_process import Output
from sluice.scripting.packing import pack_queries
from sluice.scripting.process import PackedQueries, TransformProcess
from sluice.values.batch import Batch
from sluice.values.model import Transform
from sluice.values.output_lines import OutputLines
from sluice.values.record import Record, Records

SETTINGS = Settings(script_timeout=60.0, transform_timeout=30.0, transform_memory_mb=512)

TRANSFORMS = Path(__file__).parents[2] / "transforms"


def transform(source: str) -> Transform:
    return Transform("/srv/t.py", source, hashlib.sha256(source.encode()).hexdigest())


def batch(*payloads: bytes | None) -> Records:
    return Records(Record(value, b"k", [], "t", 0, offset, 1) for offset, value in enumerate(payloads))


def packed(transform_process: TransformProcess, *payloads: bytes | None) -> PackedQueries:
    """The queries of one batch. Raises what went wrong with it."""
    queries = transform_process.pack([batch(*payloads)])
    if queries.error is not None:
        raise queries.error
    return queries


MESSAGES = """
def stream_messages(batch):
    return [("RETURN $m", {"m": repr((m.value, m.key, m.headers, m.topic, m.partition, m.offset, m.timestamp))})
            for m in batch]
"""


def test_a_transform_may_ask_for_all_that_there_is_of_a_message():
    whole = [
        Record(b"v", b"k", [("h", b"\xff"), ("h", None)], "t", 3, 2**40, 1_700_000_000_123),
        Record(None, None, [], "t", 0, 0, None),
    ]
    with TransformProcess(transform(MESSAGES), SETTINGS) as transform_process:
        assert transform_process.rows(Records(whole)) == [
            ("RETURN $m", {"m": repr(tuple(message))}) for message in whole
        ]
        assert transform_process.rows(Records()) == []
        assert transform_process.pack([Records(whole), Records(whole[:1])]).given == 3
        messages = [
            Message(topic="t", partition=3, offset=2**40, key=b"k", value=b"v", headers=whole[0].headers,
                    timestamp=(1, 1_700_000_000_123)),
            Message(topic="t", partition=0, offset=0, value=None),
        ]  # fmt: skip
        assert transform_process.rows(Batch(messages)) == transform_process.rows(Records(whole))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise KeyError('id')", "stream_messages(batch) raised KeyError: 'id' (line 2)"),
        ("return None", "stream_messages(batch) must return a list of (query, parameters), got NoneType None"),
        ("return [1]", "item 0 of what stream_messages(batch) returned must be (query, parameters), got int 1"),
        ("while True: pass", "stream_messages(batch) did not end within 1 s"),
    ],
)
def test_errors_call_the_transform_by_its_name(body, reason):
    source = f"def stream_messages(batch):\n    {body}\n"
    with TransformProcess(transform(source), Settings(transform_timeout=1.0)) as transform_process:
        for call in (lambda: packed(transform_process, b"1"), lambda: transform_process.rows(batch(b"1"))):
            if not transform_process.closed:
                with pytest.raises(TransformError) as caught:
                    call()
                assert str(caught.value) == f"transform /srv/t.py: {reason}"


def test_a_script_has_one_transform():
    with pytest.raises(ScriptError) as caught:
        TransformProcess(transform("def stream(batch): return []\nstream_messages = stream\n"), SETTINGS)
    expected = "it defines both stream(batch) and stream_messages(batch): a transform has one of them"
    assert str(caught.value) == f"bad transform /srv/t.py: {expected}"


def shipped(name: str) -> Transform:
    return transform((TRANSFORMS / name).read_text(encoding="utf-8"))


def test_the_example_of_the_specification():
    with TransformProcess(shipped("edges.py"), SETTINGS) as transform_process:
        assert transform_process.rows(batch(b"1", b"1 2", b"", b"1 2 3")) == [
            ("CREATE (:Node {id: $id})", {"id": "1"}),
            (
                "MATCH (n:Node {id: $from_id}), (m:Node {id: $to_id}) CREATE (n)-[:Edge]->(m)",
                {"from_id": "1", "to_id": "2"},
            ),
        ]


def test_packed_queries_are_a_run_each_whose_result_is_not_wanted():
    with TransformProcess(shipped("edges.py"), SETTINGS) as transform_process:
        queries = packed(transform_process, b"1", b"2")
    messages = [parse(message) for message in MessageBuffer(1 << 20).feed(bytes(queries.frames))]
    assert queries.size == 2
    assert [message.tag for message in messages] == [Tag.RUN, Tag.DISCARD, Tag.RUN, Tag.DISCARD]
    assert messages[2].fields[:2] == ["CREATE (:Node {id: $id})", {"id": "2"}]


def test_a_transform_sees_no_variable_that_may_hold_a_secret(monkeypatch):
    monkeypatch.setenv("SLUICE_LOOPBACK_PASSWORD", "s3cret")
    monkeypatch.setenv("KAFKA_PASSWORD", "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    source = "import os\ndef stream(batch):\n    return [('RETURN $e', {'e': dict(os.environ)})]"
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        ((_, parameters),) = transform_process.rows(batch(b"1"))
    assert parameters["e"]["LC_ALL"] == "C.UTF-8"
    assert "s3cret" not in parameters["e"].values()


def test_a_process_has_its_limits_from_its_beginning():
    source = """
import os, resource, sys

def attempt(what):
    try:
        return str(what())
    except OSError as error:
        return type(error).__name__

def stream(batch):
    counter = int(sys.argv[1])
    found = {"smaller": attempt(lambda: os.ftruncate(counter, 0)), "larger": attempt(lambda: os.ftruncate(counter, 99))}
    for name in ("CORE", "AS"):
        found[name] = str(resource.getrlimit(getattr(resource, "RLIMIT_" + name)))
    return [("RETURN $found", {"found": found})]
"""
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        [(_, parameters)] = transform_process.rows(batch(b"1"))
    assert parameters["found"] == {
        "smaller": "PermissionError",
        "larger": "PermissionError",
        "CORE": "(0, 0)",
        "AS": str((512 << 20, 512 << 20)),
    }


LIMIT = "; it may have 512 MiB of address space, threads included (SLUICE_TRANSFORM_MEMORY_MB)"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("big = bytes(1 << 40)", f"MemoryError (line 1){LIMIT}"),
        (
            "raise ImportError('x.so: failed to map segment')",
            f"ImportError: x.so: failed to map segment (line 1){LIMIT}",
        ),
        ("raise KeyboardInterrupt", f"KeyboardInterrupt (line 1){LIMIT}"),
        ("raise KeyError('allocation')", "KeyError: 'allocation' (line 1)"),
        (
            "import os; os.write(2, b'OpenBLAS error: Memory allocation still failed'); os._exit(1)",
            f"its process ended (exit status 1); it wrote: OpenBLAS error: Memory allocation still failed{LIMIT}",
        ),
    ],
)
def test_a_script_that_lacks_memory_is_told_of_its_limit(source: str, reason: str):
    with pytest.raises(ScriptError) as caught:
        TransformProcess(transform(source), SETTINGS)
    assert str(caught.value).removeprefix("bad transform /srv/t.py: ") == reason


@pytest.mark.parametrize(
    ("memory_mb", "given", "threads"), [(512, None, "4"), (64, None, "1"), (0, None, None), (512, "64", "64")]
)
def test_threads_of_libraries_fit_into_the_limit(monkeypatch, memory_mb: int, given: str | None, threads: str | None):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    source = "import os\ndef stream(batch):\n    return [('RETURN $n', {'n': os.environ.get('OPENBLAS_NUM_THREADS')})]"
    with TransformProcess(
        transform(source), Settings(script_timeout=60.0, transform_memory_mb=memory_mb)
    ) as transform_process:
        assert transform_process.rows(batch(b"")) == [("RETURN $n", {"n": threads})]


def test_what_a_process_writes_is_a_line_a_minute_in_the_log(caplog: pytest.LogCaptureFixture, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("sluice.scripting.child_process.time", SimpleNamespace(monotonic=lambda: now[0]))
    output = Output("transform x", OutputLines())
    with caplog.at_level(logging.INFO, logger="sluice.transform"):
        for second in range(0, 125, 5):
            now[0] = 1000.0 + second
            os.write(output.theirs, f"at {second}; ".encode() * 1000)
            output.read()
    os.close(output.theirs)
    output.close()
    assert [record.getMessage().split()[-1] for record in caplog.records] == ["0;", "60;", "120;"]
    assert max(len(record.getMessage()) for record in caplog.records) < 200


def test_a_transform_keeps_its_own_state_between_batches():
    source = "seen = []\ndef stream(batch):\n    seen.extend(batch)\n    return [('RETURN $n', {'n': len(seen)})]"
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        packed(transform_process, b"1", b"2")
        assert transform_process.rows(batch(b"3")) == [("RETURN $n", {"n": 3})]


def test_what_a_transform_prints_or_reads_does_not_disturb():
    source = (
        "import sys\ndef stream(batch):\n    print('x' * 100000)\n    return [('RETURN $r', {'r': sys.stdin.read()})]"
    )
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        assert transform_process.rows(batch(b"1")) == [("RETURN $r", {"r": ""})]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("def stream(batch)\n    pass", "SyntaxError: expected ':' (line 1)", id="syntax"),
        pytest.param("\n1 / 0", "ZeroDivisionError: division by zero (line 2)", id="raises"),
        pytest.param(
            "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (line 1)", id="import"
        ),
        pytest.param("x = 1", "it defines no function stream(batch) or stream_messages(batch)", id="no stream"),
        pytest.param("stream = 1", "its stream is not callable", id="not callable"),
        pytest.param("import os; os._exit(3)", "its process ended (exit status 3)", id="exits"),
        pytest.param("import os; os.kill(os.getpid(), 11)", "its process was ended by signal 11", id="crashes"),
    ],
)
def test_a_script_that_cannot_be_loaded_says_where(source: str, reason: str):
    with pytest.raises(ScriptError) as caught:
        TransformProcess(transform(source), SETTINGS)
    assert str(caught.value) == f"bad transform /srv/t.py: {reason}"
    assert not caught.value.retryable


def test_a_script_that_is_not_loaded_in_time_may_be_in_time_on_a_machine_that_is_less_busy():
    with pytest.raises(ScriptError, match="loading it did not end within 0.5 s") as caught:
        TransformProcess(transform("while True: pass"), Settings(script_timeout=0.5))
    assert caught.value.retryable


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
        ("return [('a', {'x': {1}})]", "the parameters of item 0 contain a value that a query cannot take: x: "),
        (
            "return [('a', {'x': [{'y': ({1},)}]})]",
            "the parameters of item 0 contain a value that a query cannot take: x[0].y[0]: ",
        ),
        (
            "return [('a', {'x': 2 ** 63})]",
            "the parameters of item 0 contain a value that a query cannot take: x: integer",
        ),
        ("return [('a', {'x': {1: 2}})]", "the parameters of item 0 contain a value that a query cannot take: x"),
    ],
)
def test_a_broken_contract_names_the_item_and_the_process_goes_on(body: str, reason: str):
    with TransformProcess(transform(f"def stream(batch):\n    {body}"), SETTINGS) as transform_process:
        for call in (lambda: packed(transform_process, b"1"), lambda: transform_process.rows(batch(b"1"))):
            with pytest.raises(TransformError) as caught:
                call()
            assert str(caught.value).startswith(f"transform /srv/t.py: {reason}")
        assert not transform_process.closed


NAN = """
def stream(batch):
    return [("MERGE (n:N {id: $id}) SET n.v = $v, n.t = $t", {"id": float(m), "v": float("nan"), "t": "x" * 70000})
            for m in batch]
"""


@pytest.mark.parametrize("fold", [False, True])
def test_nan_is_refused_where_a_query_looks_for_it(fold: bool):
    with TransformProcess(transform(NAN), SETTINGS) as transform_process:
        queries = transform_process.pack([batch(b"1", b"2"), batch(b"3", b"nan"), batch(b"4", b"5")], fold=fold)
        assert (queries.batches, queries.given, queries.failed) == (1, 2, 1)
        refusal = (
            "transform /srv/t.py: the parameters of item 1 contain NaN, and MATCH or MERGE looks for it: id. "
            "NaN is equal to nothing: return no query for such a message, or use another value"
        )
        assert str(queries.error) == refusal
        with pytest.raises(TransformError) as caught:
            transform_process.rows(batch(b"3", b"nan"))
        assert str(caught.value) == refusal


@pytest.mark.parametrize("at", range(1, 10))
def test_nan_is_found_wherever_a_message_is_divided_into_chunks(at: int):
    text = "MERGE (n:N {id: $id, t: $t})"
    before = messages.run(text, {"t": "x" * 60000, "id": math.nan}).index(b"\xc1\x7f")
    query = text, {"t": "x" * (60000 + MAX_CHUNK - before - at), "id": math.nan}
    with pytest.raises(TransformError, match="contain NaN"):
        pack_queries(bytearray(), [query], [query])


@pytest.mark.parametrize(
    "query", ["COMMIT", "commit", " ;\n COMMIT ;", "/* x */ COMMIT", "// x\nRollback", "BEGIN"], ids=repr
)
def test_transaction_control_is_refused(query: str):
    source = transform(f"def stream(batch):\n    return [({query!r}, {{}})]")
    with (
        TransformProcess(source, SETTINGS) as transform_process,
        pytest.raises(TransformError, match="a batch is one transaction"),
    ):
        packed(transform_process, b"1")


def test_a_transform_that_does_not_end_is_ended():
    settings = Settings(transform_timeout=0.3)
    with TransformProcess(transform("def stream(batch):\n    while True: pass"), settings) as transform_process:
        with pytest.raises(TransformError, match=r"stream\(batch\) did not end within 0.3 s"):
            packed(transform_process, b"1")
        assert transform_process.closed


def test_a_transform_that_exits_is_a_fault_of_the_transform():
    with TransformProcess(transform("import os\ndef stream(batch):\n    os._exit(7)"), SETTINGS) as transform_process:
        with pytest.raises(TransformError, match=r"its process ended \(exit status 7\)"):
            packed(transform_process, b"1")
        assert transform_process.closed


def test_an_owner_who_wants_to_stop_does_not_wait_for_the_transform():
    began = time.monotonic()
    source = transform("import time\ndef stream(batch):\n    time.sleep(60)")
    wants_stop = threading.Event()
    with TransformProcess(source, SETTINGS, wants_stop.is_set) as transform_process:
        wants_stop.set()
        with pytest.raises(Stopped):
            packed(transform_process, b"1")
    assert time.monotonic() - began < 30


def test_large_batches_pass_both_ways():
    source = "def stream(batch):\n    return [('CREATE (:N {x: $x})', {'x': m.decode()}) for m in batch]"
    payload = b"x" * 1_000_000
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        assert len(packed(transform_process, *[payload] * 20).frames) > 20_000_000


EACH = "def stream(batch):\n    return [('CREATE (:N {x: $x})', {'x': m.decode()}) for m in batch]\n"

SLOW = "import time\ndef stream(batch):\n    time.sleep(float(batch[0]))\n    return [('RETURN 1', {})]\n"


def texts(queries: PackedQueries) -> list[dict]:
    """The parameters of each query."""
    runs = MessageBuffer(1 << 20).feed(bytes(queries.frames))[::2]
    return [parse(run).fields[1] for run in runs]


def test_each_batch_of_a_group_is_a_call_of_its_own_in_order():
    source = "def stream(batch):\n    return [('RETURN $batch', {'batch': [m.decode() for m in batch]})]"
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        queries = transform_process.pack([batch(b"1", b"2"), batch(b"3"), batch(b"4", b"5")])
    assert texts(queries) == [{"batch": ["1", "2"]}, {"batch": ["3"]}, {"batch": ["4", "5"]}]
    assert (queries.batches, queries.given, queries.size, queries.error) == (3, 3, 3, None)


def test_batches_of_a_group_are_folded_together():
    with TransformProcess(transform(EACH), SETTINGS) as transform_process:
        group = [batch(b"1", b"2"), batch(b"3", b"4")]
        queries = transform_process.pack(group, fold=True)
        assert queries.news == (("CREATE (:N {x: $x})", "folded"),)
        assert texts(queries) == [{"rows": ["1", "2", "3", "4"]}]
        assert (queries.batches, queries.given, queries.size) == (2, 4, 1)
        assert transform_process.pack(group, fold=True).news == ()


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("body", ["raise ValueError(2)", "return [1]", "return [('RETURN $x', {'x': {1}})]"])
def test_what_comes_before_the_batch_that_fails_is_kept(body: str, fold: bool):
    source = (
        f"def stream(batch):\n    if batch == [b'2']:\n        {body}\n    return [('RETURN $x', {{'x': len(batch)}})]"
    )
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        queries = transform_process.pack([batch(b"1"), batch(b"1"), batch(b"2"), batch(b"1")], fold=fold)
        assert (queries.batches, queries.size, queries.failed) == (2, 2, 2)
        assert str(queries.error).startswith("transform /srv/t.py: ")
        assert not transform_process.closed


@pytest.mark.parametrize("body", ["os._exit(3)", "time.sleep(60)"])
def test_it_is_known_which_batch_a_transform_ended_or_looped_at(body: str):
    source = f"import os, time\ndef stream(batch):\n    if batch == [b'2']: {body}\n    return []"
    with TransformProcess(transform(source), Settings(transform_timeout=0.5)) as transform_process:
        transform_process.pack([batch(b"1")])
        queries = transform_process.pack([batch(b"1"), batch(b"1"), batch(b"2"), batch(b"1")])
        assert (queries.batches, queries.size, queries.failed) == (0, 0, 2)
        assert queries.error is not None
        assert transform_process.closed


def test_slow_transforms_are_given_back_batch_by_batch():
    with TransformProcess(transform(SLOW), SETTINGS) as transform_process:
        assert transform_process.pack([batch(b"0.3"), batch(b"0.3"), batch(b"0.3")]).batches == 1
        assert transform_process.pack([batch(b"0"), batch(b"0.3"), batch(b"0.3")]).batches == 2


def test_the_deadline_is_each_batchs_own(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr("sluice.scripting.channel.time", SimpleNamespace(monotonic=lambda: now))
    patience = Patience(1.0, begun=5, batches=3)
    now = 0.9
    assert patience.remaining(5) == pytest.approx(0.1)
    assert patience.remaining(6) == pytest.approx(1.0)
    now = 1.8
    assert patience.remaining(6) == pytest.approx(0.1)
    now = 1.9
    assert patience.remaining(6) <= 0


@pytest.mark.parametrize("fold", [False, True])
def test_what_a_transform_does_to_its_results_later_changes_nothing(fold: bool):
    source = (
        "kept, result = {'n': 0, 'all': []}, []\n"
        "def stream(batch):\n"
        "    result.clear()\n"
        "    kept['n'] += 1\n"
        "    kept['all'].append({'n': kept['n']})\n"
        "    result.append(('RETURN $n, $all', kept))\n"
        "    return result\n"
    )
    with TransformProcess(transform(source), SETTINGS) as transform_process:
        found = texts(transform_process.pack([batch(b"1")] * 3, fold=fold))
    assert found == [{"n": n, "all": [{"n": i + 1} for i in range(n)]} for n in (1, 2, 3)]
