"""Specs are checked when they are made; positions survive the way through a node; status follows from both nodes."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import SettingError
from sluice.persistence import nodes
from sluice.values.configuration import configuration_of
from sluice.values.model import (
    Checkpoint,
    CheckpointId,
    Status,
    StreamSpec,
    Transform,
    VertexId,
    effective_status,
)
from sluice.values.position import Partition, Position, decode_positions, encode_positions
from tests.unit.partitions import P0, P1, P2

SOURCE = "def stream(b): ..."
TRANSFORM = Transform("/t.py", SOURCE, hashlib.sha256(SOURCE.encode()).hexdigest())
SPEC = StreamSpec("u1", "people", "localhost:9092", "test", TRANSFORM)


def test_the_defaults_are_those_of_the_specification():
    assert (SPEC.batch_interval_ms, SPEC.batch_interval, SPEC.batch_size) == (100, 0.1, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"name": ""}, "the name of a Kafka stream must be printable text and not empty, got ''", id="no name"
        ),
        pytest.param({"name": "a\nb"}, "the name of a Kafka stream must be printable", id="a name of two lines"),
        pytest.param({"uri": " "}, "Kafka stream people, the Kafka URI must be printable", id="no uri"),
        pytest.param({"topic": ""}, "Kafka stream people, the topic must be printable", id="no topic"),
        pytest.param({"topic": "a,a"}, "Kafka stream people, TOPIC names a twice, got 'a,a'", id="a topic twice"),
        pytest.param(
            {"topic": "a,b", "config": configuration_of("people", {"dead_letter_topic": "b"})},
            "Kafka stream people, config: dead_letter_topic cannot be the stream's own topic",
            id="dead letters into one of its topics",
        ),
        pytest.param({"batch_size": 0}, "BATCH_SIZE must be an integer from 1 to 2147483647, got 0", id="batch size 0"),
        pytest.param({"batch_size": True}, "BATCH_SIZE must be an integer", id="batch size true"),
        pytest.param({"batch_interval_ms": -5}, "BATCH_INTERVAL must be an integer", id="negative interval"),
        pytest.param({"batch_interval_ms": 2**31}, "BATCH_INTERVAL must be an integer", id="interval beyond 31 bits"),
    ],
)
def test_a_spec_that_cannot_run_cannot_be_made(change, message):
    with pytest.raises(SettingError) as caught:
        dataclasses.replace(SPEC, **change)
    assert message in str(caught.value)


def test_the_script_is_not_in_the_repr():
    assert "def stream" not in repr(SPEC)


def positions_of(
    topics: list[str], partitions: int = 50, offsets: int = 10**6
) -> st.SearchStrategy[dict[Partition, int]]:
    numbers = st.integers(0, partitions)
    return st.dictionaries(st.builds(Partition, st.sampled_from(topics), numbers), st.integers(0, offsets))


@given(positions_of(["t"], 100_000, 2**63 - 1))
def test_positions_survive_the_node(positions):
    assert decode_positions(encode_positions(positions, "t"), "t") == positions


@given(positions_of(["orders", "users.eu", "0"]))
def test_positions_of_several_topics_survive_the_node(positions):
    assert decode_positions(encode_positions(positions, ""), "") == positions


@given(positions_of(["t", "u"]).map(lambda d: list(d.items())), st.randoms())
def test_equal_positions_are_equal_texts(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    assert encode_positions(dict(items), "") == encode_positions(dict(shuffled), "")


@pytest.mark.parametrize("text", ["[]", "7", '{"a":1}', '{"0":-1}', '{"0":"1"}', "{", '{"0":1.5}', "null"])
def test_positions_that_make_no_sense_are_refused_by_name(text):
    with pytest.raises(SettingError, match="positions of a checkpoint must be like"):
        decode_positions(text, "t")


@pytest.mark.parametrize(
    "text",
    ['{"0":120}', '{"t":7}', '{"t":[1]}', '{"t":{"a":1}}', '{"t":{"0":-1}}', '{"t":{"0":"1"}}', '{"t":null}', "[]"],
)
def test_positions_of_several_topics_that_make_no_sense_are_refused_by_name(text):
    with pytest.raises(SettingError, match="positions of a checkpoint must be like {.orders"):
        decode_positions(text, "")


def test_a_spec_survives_its_node():
    assert nodes.spec_of(nodes.spec_properties(SPEC)) == SPEC


def test_a_desired_run_is_read_from_its_node():
    properties = {**nodes.spec_properties(SPEC), "generation": 3, "limit_batches": 7}
    desired = nodes.desired_of(properties, VertexId(1), CheckpointId(VertexId(2), "u"))
    assert (desired.spec, desired.generation, desired.limit_batches) == (SPEC, 3, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uid", 5), ("name", ""), ("name", [1]), ("uri", 5), ("topic", {"a": 1}), ("transform", True),
        ("transform_source", 5), ("transform_signature", 5), ("transform_sha256", 5), ("batch_interval", "x"),
        ("batch_interval", 1.5), ("batch_size", -1), ("config", "[]"), ("config", 5), ("config", '{"on_error": "x"}'),
        ("generation", "x"), ("generation", True), ("limit_batches", -1), ("limit_batches", "x"),
    ],
)  # fmt: skip
def test_a_stream_node_that_was_edited_into_the_impossible_cannot_be_run(name, value):
    properties = {**nodes.spec_properties(SPEC), "generation": 3, "limit_batches": 7, name: value}
    with pytest.raises(SettingError):
        nodes.desired_of(properties, VertexId(1), CheckpointId(VertexId(2), "u"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("positions", 5), ("positions", "x"), ("positions", {"0": 1}), ("batches", "x"), ("messages", -1),
        ("failed", 0.5), ("topic_id", 5), ("generation", "x"), ("generation_batches", True),
        ("leader_epochs", 5), ("leader_epochs", '{"0":3}'), ("leader_epochs", '{"0":["1",3]}'),
        ("leader_epochs", '{"0":[1,4294967296]}'), ("ended_generation", "x"), ("ended_status", "x"),
        ("ended_status", 5), ("error", 5),
    ],
)  # fmt: skip
def test_a_checkpoint_node_that_was_edited_into_the_impossible_is_named(name, value):
    whole = {
        **nodes.checkpoint_properties(Checkpoint({P0: 12}, "t")),
        **nodes.ended_properties(2, Status.ERROR, "refused"),
    }
    with pytest.raises(SettingError, match=name):
        nodes.checkpoint_of({**whole, name: value}, "t")


def test_a_checkpoint_of_several_topics_survives_its_node():
    orders, users = Partition("orders", 0), Partition("users", 3)
    ids = {"users": "u1", "orders": "o1"}
    held = Checkpoint({orders: 12, users: 9}, leader_epochs={users: Position(9, 4)}, topic_ids=ids)
    stored = nodes.checkpoint_properties(held)
    assert stored["positions"] == '{"orders":{"0":12},"users":{"3":9}}'
    assert stored["leader_epochs"] == '{"users":{"3":[9,4]}}'
    assert stored["topic_id"] == '{"orders":"o1","users":"u1"}'
    assert nodes.checkpoint_of(stored, "") == held
    for name, value in (("topic_id", "o1"), ("topic_id", '{"orders":1}'), ("leader_epochs", '{"0":[1,2]}')):
        with pytest.raises(SettingError, match=name):
            nodes.checkpoint_of({**stored, name: value}, "")


def test_a_checkpoint_survives_its_node():
    epochs = {P0: Position(12, 5)}
    checkpoint = Checkpoint(
        {P0: 12, P2: 9}, "t", batches=4, leader_epochs=epochs, messages=21, generation=2, generation_batches=1
    )
    ended = nodes.ended_properties(2, Status.ERROR, "refused")
    read = nodes.checkpoint_of({**nodes.checkpoint_properties(checkpoint), **ended}, "t")
    expected = dataclasses.replace(checkpoint, ended_generation=2, ended_status=Status.ERROR, error="refused")
    assert dataclasses.replace(read, ended_at=None) == expected
    assert read.ended_at == ended["ended_at"]


def test_a_leader_epoch_counts_for_the_position_that_it_was_written_with_alone():
    reached = Checkpoint({P0: 12, P1: 7, P2: 5}, "t").moved({P0: Position(14, 3), P1: Position(9)})
    assert reached.places == {P0: Position(14, 3), P1: Position(9), P2: Position(5)}
    stored = nodes.checkpoint_properties(reached)
    assert (stored["positions"], stored["leader_epochs"]) == ('{"0":14,"1":9,"2":5}', '{"0":[14,3]}')
    assert nodes.checkpoint_of(stored, "t").places == reached.places
    # A version that knows no leader epochs has moved the positions, and a node from before has none.
    assert nodes.checkpoint_of({**stored, "positions": '{"0":15,"1":9}'}, "t").places == {
        P0: Position(15),
        P1: Position(9),
    }
    assert nodes.checkpoint_of({"positions": '{"0":14}'}, "t").places == {P0: Position(14)}
    # Reading on without one forgets the old one.
    assert reached.moved({P0: Position(14)}).places[P0] == Position(14)


@pytest.mark.parametrize(
    ("running", "generation", "ended", "expected"),
    [
        pytest.param(False, 0, (0, Status.STOPPED), Status.STOPPED, id="a new stream is stopped"),
        pytest.param(True, 1, (0, Status.STOPPED), Status.RUNNING, id="a started stream runs"),
        pytest.param(True, 1, (1, Status.STOPPED), Status.STOPPED, id="a stream that reached its limit is stopped"),
        pytest.param(True, 1, (1, Status.ERROR), Status.ERROR, id="a stream that failed is in error"),
        pytest.param(True, 2, (1, Status.ERROR), Status.RUNNING, id="a stream that was started again runs"),
        pytest.param(False, 2, (1, Status.ERROR), Status.STOPPED, id="a stream that was stopped is stopped"),
    ],
)
def test_status_follows_from_what_is_wanted_and_how_the_run_ended(running, generation, ended, expected):
    checkpoint = Checkpoint({}, ended_generation=ended[0], ended_status=ended[1])
    assert effective_status(running=running, generation=generation, checkpoint=checkpoint) is expected


def test_batches_are_counted_per_run():
    checkpoint = Checkpoint({}, generation=2, generation_batches=5)
    assert (checkpoint.batches_in(2), checkpoint.batches_in(3)) == (5, 0)
