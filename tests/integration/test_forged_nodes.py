"""Forged nodes: no script runs that the administrator did not allow, and no vertex of users is touched."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sluice.host.signing import FILE_NAME
from sluice.persistence import nodes
from tests.eventually import eventually
from tests.hosts import ScriptServer
from tests.integration.configured import Configured
from tests.integration.test_kit import SHOW, VALUES, OwnHost, Row, Run, numbers, refusal
from tests.integration.test_parking import GATED, KEEP, Keeping
from tests.kafka import KafkaBroker

UNSIGNED = "the script in its node is not signed with this server's key"
MATCH = f"MATCH (s:{nodes.STREAM} {{name: $name}})"
SIGNATURE = f"{MATCH} RETURN s.transform_signature AS signature"


@pytest.fixture
def stream(run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str, script_server: ScriptServer) -> Configured:
    """A stopped stream whose script is from a web server, with ten messages to read."""
    return fetched(Configured(run, kafka, tmp_path, stream_name), script_server)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """What is there once the script that `evil` gives was loaded."""
    return tmp_path / "ran"


def fetched(stream: Configured, script_server: ScriptServer) -> Configured:
    """The same, created with a script from a web server."""
    stream.create(transform_uri=script_server.serve(f"/{stream.name}.py", VALUES.replace("LABEL", stream.label)))
    stream.send(numbers(0, 10))
    return stream


def evil(ran: Path) -> dict[str, str]:
    """The properties of a script that no administrator has allowed."""
    source = f"open({str(ran)!r}, 'w').close()\ndef stream(batch):\n    return []\n"
    return {"transform_source": source, "transform_sha256": hashlib.sha256(source.encode()).hexdigest()}


def forge(stream: Configured, properties: dict[str, Any]) -> None:
    stream.insist(f"{MATCH} SET s += $properties", properties=properties)


def test_a_forged_script_runs_nowhere_until_the_transform_is_reloaded(stream: Configured, ran: Path) -> None:
    forge(stream, evil(ran))
    why = f"Kafka stream {stream.name}, {UNSIGNED}; RELOAD TRANSFORM OF STREAM {stream.name} takes what is at http://"
    stream.start()
    stream.await_status("error")
    assert stream.info["reason"].startswith(why)
    assert why in refusal(stream.test)
    assert why in refusal(stream.run, "CALL streams.retry($name) YIELD messages", name=stream.name)
    # The trial does not run it either, though it is what the new one would be compared with.
    reload = "CALL streams.reload_transform($name) YIELD tried RETURN tried"
    assert stream.run(reload, name=stream.name) == [{"tried": 0}]
    stream.start()
    stream.await_values(numbers(0, 10))
    assert not ran.exists()


def test_a_script_that_is_forged_while_the_stream_runs_ends_it(stream: Configured, ran: Path) -> None:
    stream.start()
    stream.await_values(numbers(0, 10))
    forge(stream, evil(ran))
    stream.await_status("error")
    assert UNSIGNED in stream.info["reason"]
    assert not ran.exists()


def test_a_source_or_a_uri_or_a_signature_that_was_edited_is_refused(
    stream: Configured, run: Run, kafka: KafkaBroker, tmp_path: Path, script_server: ScriptServer, ran: Path
) -> None:
    other = fetched(Configured(run, kafka, tmp_path, f"{stream.name}_other"), script_server)
    (right,) = stream.run(f"{MATCH} RETURN properties(s) AS all", name=stream.name)
    (copied,) = other.run(SIGNATURE, name=other.name)
    for edit, reason in [
        ({"transform_source": evil(ran)["transform_source"]}, "is not the one with the SHA-256 beside it"),
        ({"transform": script_server.url("/another.py")}, UNSIGNED),
        ({"transform": "https://scripts.example.org/a.py"}, "SLUICE_TRANSFORM_ALLOW does not allow it"),
        ({"transform_signature": copied["signature"]}, UNSIGNED),
        ({"transform_signature": None}, UNSIGNED),
        ({"transform_signature": 5}, "the property transform_signature of its node must be a text"),
    ]:
        forge(stream, edit)
        stream.start()
        stream.await_status("error")
        assert reason in stream.info["reason"], edit
        forge(stream, {name: right["all"][name] for name in edit})
    stream.start()
    stream.await_values(numbers(0, 10))
    other.drop()


def test_a_stream_that_was_forged_whole_runs_no_script_of_its_own(stream: Configured, ran: Path) -> None:
    name, forged = f"{stream.name}_forged", {"running": True, "generation": 1, "uid": "forged", **evil(ran)}
    stream.insist(
        f"MATCH (c:{nodes.CATALOG})-->(s:{nodes.STREAM} {{name: $name}})-->(k) "
        f"CREATE (c)-[:{nodes.HAS_STREAM}]->(f:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(g:{nodes.CHECKPOINT}) "
        f"SET f = properties(s), f += $forged, f.name = $as, g = properties(k), g.{nodes.OWNER} = 'forged'",
        forged=forged,
        **{"as": name},
    )
    errors = [{"name": name, "status": "error"}]
    listed = "CALL streams.show() YIELD name, status WITH name, status WHERE name = $as RETURN name, status"
    eventually(lambda: stream.run(listed, **{"as": name}), equals=errors, timeout=20)
    (info,) = stream.run("CALL streams.info($name) YIELD reason RETURN reason", name=name)
    assert UNSIGNED in info["reason"]
    assert not ran.exists()
    stream.run("CALL streams.drop($name)", name=name)


def test_a_file_that_was_changed_does_not_run_unsigned(
    run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str
) -> None:
    stream = Configured(run, kafka, tmp_path, stream_name)
    stream.create()
    stream.send(numbers(0, 10))
    forge(stream, {"transform_signature": None})
    stream.start()  # the file is as it was
    stream.await_values(numbers(0, 10))
    stream.stop()
    (row,) = stream.run(f"{MATCH} RETURN s.transform AS path", name=stream.name)
    Path(row["path"]).write_text(VALUES)
    stream.start()
    stream.await_status("error")
    assert f"{UNSIGNED}, and its file holds another one" in stream.info["reason"]


def test_only_a_server_with_the_same_key_takes_a_stream_over(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path, script_server: ScriptServer
) -> None:
    host = own_host()
    stream = fetched(Configured(host.run, kafka, tmp_path, "moved"), script_server)
    key = host.data / FILE_NAME
    settings = {row["name"]: row["value"] for row in host.run("CALL streams.settings() YIELD name, value")}
    assert settings["SLUICE_SIGNING_KEY_FILE"] == str(key)
    assert key.stat().st_mode & 0o777 == 0o600
    stream.start()
    stream.await_values(numbers(0, 10))
    host.stop()
    right = key.read_text()
    key.write_text("another " * 8)  # as on another machine
    host.start()
    stream.await_status("error")
    assert UNSIGNED in stream.info["reason"]
    host.stop()
    key.write_text(right)
    host.start()
    script_server.turn_off()
    stream.start()
    stream.send(numbers(10, 20))
    stream.await_values(numbers(0, 20))


def test_where_the_administrator_lists_scripts_no_other_runs_anywhere(
    own_host: OwnHost, kafka: KafkaBroker, script_server: ScriptServer, tmp_path: Path
) -> None:
    sums = tmp_path / "SHA256SUMS"
    sums.write_text("")
    host = own_host(env={"SLUICE_TRANSFORM_SHA256": str(sums)})
    stream = Configured(host.run, kafka, tmp_path, "listed")
    source = VALUES.replace("LABEL", stream.label)
    uri = script_server.serve("/listed.py", source)
    lacks = f"SLUICE_TRANSFORM_SHA256, {sums}, does not have its script"
    assert lacks in refusal(stream.create, transform_uri=uri)
    tried = "CALL streams.try_transform($uri, ['1']) YIELD query RETURN query"
    assert lacks in refusal(host.run, tried, uri=uri)
    listed = f"{hashlib.sha256(source.encode()).hexdigest()}  listed.py\n"
    sums.write_text(listed)
    assert len(host.run(tried, uri=uri)) == 1
    stream.create(transform_uri=uri)
    stream.send(numbers(0, 10))
    sums.write_text("")
    stream.start()
    stream.await_status("error")
    assert lacks in stream.info["reason"]
    assert lacks in refusal(stream.test)
    sums.write_text(listed)
    stream.start()
    stream.await_values(numbers(0, 10))


USERS: Row = {"name": "Ada", "positions": "{}", "dropped": True, "running": False, "number": 1, "messages": 3}
"A vertex of somebody's that looks as much like ours as one may by chance."


@pytest.fixture
def user(stream: Configured) -> str:
    """The label of such a vertex, which has a neighbour."""
    label = f"User_{stream.name}"
    stream.run(f"CREATE (u:{label})-[:KNOWS]->(:{label} {{name: 'Bob'}}) SET u = $properties", properties=USERS)
    return label


def untouched(run: Run, label: str) -> bool:
    """Whether the user's vertices are as they were."""
    rows = run(f"MATCH (u:{label})-[:KNOWS]->(v) RETURN properties(u) AS u, properties(v) AS v")
    return rows == [{"u": USERS, "v": {"name": "Bob"}}]


@pytest.mark.parametrize("running", [True, False])
def test_a_checkpoint_that_is_a_users_vertex_is_left_alone_and_the_stream_says_so(
    stream: Configured, user: str, running: bool
) -> None:
    if running:
        stream.start()
        stream.await_values(numbers(0, 10))
    stream.insist(
        f"{MATCH}-[r:{nodes.HAS_CHECKPOINT}]->(k), (u:{user})-[:KNOWS]->() "
        f"DELETE r CREATE (s)-[:{nodes.HAS_CHECKPOINT}]->(u)"
    )
    if not running:
        stream.start()
    stream.await_status("error")
    reason = "its relationship CHECKPOINT leads to a vertex that is not its checkpoint, and that is left alone"
    assert f"Kafka stream {stream.name}, {reason}" in stream.info["reason"]
    stream.stop()
    seek = "CALL streams.seek($name, 'earliest') YIELD effect RETURN effect"
    assert reason in refusal(stream.run, seek, name=stream.name)
    stream.drop()
    dropped = f"{MATCH} RETURN count(s) AS count"
    eventually(lambda: stream.run(dropped, name=stream.name), equals=[{"count": 0}], timeout=20)
    assert untouched(stream.run, user)


def test_a_checkpoint_that_is_no_longer_the_streams_is_written_by_nobody(stream: Configured) -> None:
    stream.start()
    stream.await_values(numbers(0, 10))
    edited = f"{MATCH}-[:{nodes.HAS_CHECKPOINT}]->(k) SET k.{nodes.OWNER} = 'another' RETURN id(k) AS id"
    (row,) = stream.insist(edited)
    read = "MATCH (k) WHERE id(k) = $id RETURN properties(k) AS all"
    before = stream.run(read, id=row["id"])
    stream.send(numbers(10, 20))
    stream.await_status("error")
    assert (stream.run(read, id=row["id"]), stream.count) == (before, 10)


def test_a_catalog_that_leads_to_a_users_vertex_makes_no_stream_of_it(stream: Configured, user: str) -> None:
    stream.insist(f"MATCH (c:{nodes.CATALOG}), (u:{user})-[:KNOWS]->() CREATE (c)-[:{nodes.HAS_STREAM}]->(u)")
    assert "Ada" not in {row["name"] for row in stream.run(SHOW)}
    stream.run("CALL streams.start_all()")
    assert "stream not found" in refusal(stream.run, "CALL streams.drop('Ada')")
    stream.await_values(numbers(0, 10))
    assert untouched(stream.run, user)
    stream.run(f"MATCH (:{nodes.CATALOG})-[r]->(u:{user}) DELETE r")


def test_a_forged_dropped_stream_takes_nothing_along(
    own_host: OwnHost, kafka: KafkaBroker, tmp_path: Path, script_server: ScriptServer
) -> None:
    host = own_host()
    stream = fetched(Configured(host.run, kafka, tmp_path, "kept"), script_server)
    stream.run("CREATE (u:User)-[:KNOWS]->(:User {name: 'Bob'}) SET u = $properties", properties=USERS)
    # It points at a user's vertex, at another stream's checkpoint, and, past that, at what may be a message.
    stream.insist(
        f"{MATCH}-[:{nodes.HAS_CHECKPOINT}]->(k), (u:User)-[:KNOWS]->(v) "
        f"CREATE (d:{nodes.STREAM} {{uid: 'forged', name: 'forged', dropped: true}})-[:{nodes.HAS_CHECKPOINT}]->(u), "
        f"(d)-[:{nodes.HAS_CHECKPOINT}]->(k), "
        f"(d)-[:{nodes.HAS_CHECKPOINT}]->(o:{nodes.CHECKPOINT} {{{nodes.OWNER}: 'forged'}}), "
        f"(o)-[:{nodes.HAS_PARKED}]->(v)"
    )
    host.restart()  # dropped streams are looked for when the module is loaded
    forged = f"MATCH (s:{nodes.STREAM} {{name: 'forged'}}) RETURN count(s) AS count"
    eventually(lambda: host.run(forged), equals=[{"count": 0}], timeout=20)
    assert host.run(f"MATCH (o {{{nodes.OWNER}: 'forged'}}) RETURN count(o) AS count") == [{"count": 0}]
    assert untouched(host.run, "User")
    stream.start()
    stream.await_values(numbers(0, 10))


def test_messages_that_are_not_the_streams_are_neither_listed_nor_applied_nor_deleted(
    run: Run, kafka: KafkaBroker, tmp_path: Path, stream_name: str
) -> None:
    stream = Keeping(run, kafka, tmp_path, stream_name)
    stream.configured(KEEP, GATED)
    stream.start()
    stream.send(["bad 1", "2"])
    stream.await_parked([0])
    # A user's vertex, and a message that claims to be another stream's.
    (row,) = stream.insist(
        f"{MATCH}-[:{nodes.HAS_CHECKPOINT}]->(k)-[:{nodes.HAS_PARKED}]->(m:{nodes.PARKED}) "
        f"CREATE (k)-[:{nodes.HAS_PARKED}]->(u:User_{stream.name}), "
        f"(k)-[:{nodes.HAS_PARKED}]->(n:{nodes.PARKED}) "
        f"SET u = properties(m), n = properties(m), n.{nodes.OWNER} = 'another', n.offset = 7, u.offset = 8 "
        "RETURN id(u) AS user, id(n) AS other"
    )
    assert stream.waiting_offsets == [0]
    stream.open_gate()
    assert stream.retry() == 1
    stream.await_parked([])
    stream.await_values(["2", "bad 1"])
    found = "MATCH (n) WHERE id(n) = $user OR id(n) = $other RETURN n.offset AS offset ORDER BY offset"
    assert stream.run(found, **row) == [{"offset": 7}, {"offset": 8}]
    stream.drop()
    gone = f"{MATCH} RETURN count(s) AS count"
    eventually(lambda: stream.run(gone, name=stream.name), equals=[{"count": 0}], timeout=20)
    assert stream.run(found, **row) == [{"offset": 7}, {"offset": 8}]
    stream.run("MATCH (n) WHERE id(n) = $user OR id(n) = $other DETACH DELETE n", **row)
