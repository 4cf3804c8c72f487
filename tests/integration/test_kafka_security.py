"""Kafka over TLS and with SASL: every way of signing in works, and no secret is anywhere but where it was put."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from typer.testing import CliRunner

from sluice_tools.cli import app
from tests.eventually import eventually, within
from tests.hosts import ServerHost
from tests.hosts.fixtures import new_host
from tests.hosts.host import HostOptions
from tests.integration.configured import Configured
from tests.integration.test_kit import Row, refusal
from tests.kafka.msk import REGION
from tests.kafka.secure import MUTUAL, SASL, USER, SecureKafkaBroker
from tests.kafka.tokens import TokenServer
from tests.logs import LogKeeper

Config = dict[str, Any]

PASSWORD = "kafka-hunter2"
OAUTH_SECRET = "oauth-hunter2"
LOOPBACK_PASSWORD = "loopback-hunter2"
AWS_SECRET = "aws-hunter2"
SECRETS = (PASSWORD, OAUTH_SECRET, LOOPBACK_PASSWORD, AWS_SECRET)
WRONG = "wrong-hunter2"

AWS_KEY = "AKIDEXAMPLE"

PATIENCE = 8.0
"Seconds that a wrong password may take to be named; SLUICE_BROKER_TIMEOUT is 5."

ENVIRON = """
import os


def stream(batch):
    seen = dict(os.environ)
    return [("CREATE (:LABEL {value: $value, seen: $seen})", {"value": message.decode(), "seen": str(seen)})
            for message in batch]
"""


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory, log_keeper: LogKeeper, tokens: TokenServer
) -> Iterator[SecureKafkaBroker]:
    folder = tmp_path_factory.mktemp("secure-kafka")
    kafka = SecureKafkaBroker(folder, PASSWORD, tokens.keys_url, {AWS_KEY: AWS_SECRET})
    with kafka.msk.serving(), log_keeper.watching("secure-kafka", kafka):
        kafka.start()
        yield kafka
        kafka.kill()
    shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture(scope="module")
def keeper(
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
    log_keeper: LogKeeper,
    broker: SecureKafkaBroker,
    tokens: TokenServer,
    aws_credentials: Path,
) -> Iterator[ServerHost]:
    """A host with secrets in its environment, each for its brokers, which logs whatever it can."""
    if pytestconfig.getoption("--host") not in ("sandbox", "memgraph"):
        pytest.skip("needs a host of its own")
    environment = {"KAFKA_PASSWORD": PASSWORD, "OAUTH_SECRET": OAUTH_SECRET, "WRONG_PASSWORD": WRONG}
    environment |= {"SLUICE_LOOPBACK_PASSWORD": LOOPBACK_PASSWORD}
    environment |= {"AWS_SHARED_CREDENTIALS_FILE": str(aws_credentials), "AWS_EC2_METADATA_DISABLED": "true"}
    environment |= {"SLUICE_REST_AFTER": "2"}
    brokers = "+".join([*broker.addresses.values(), broker.msk.address, urlsplit(tokens.url).netloc])
    let_out = [f"{name}@{brokers}" for name in ("KAFKA_PASSWORD", "OAUTH_SECRET", "WRONG_PASSWORD", "AWS_MSK_IAM")]
    environment |= {"SLUICE_SECRETS_ALLOW": ",".join([*let_out, str(tmp_path_factory.getbasetemp())])}
    options = HostOptions(environment, ["--log-level=TRACE"])
    host = new_host(pytestconfig, tmp_path_factory.mktemp("keeper"), options)
    with log_keeper.watching("keeper", host):
        host.start()
        yield host
        host.close()


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer("ada", OAUTH_SECRET).serving() as server:
        yield server


@pytest.fixture(scope="module")
def aws_credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that AWS's library has credentials from."""
    return set_aws_secret(tmp_path_factory.mktemp("aws") / "credentials", AWS_SECRET)


def set_aws_secret(path: Path, secret: str) -> Path:
    path.write_text(f"[default]\naws_access_key_id = {AWS_KEY}\naws_secret_access_key = {secret}\n")
    return path


@pytest.fixture
def config_of(
    broker: SecureKafkaBroker, tokens: TokenServer, aws_credentials: Path, tmp_path: Path
) -> Iterator[Callable[..., tuple[str, Config]]]:
    """`config_of(way, right=True)`: the brokers' address and a stream's config for a way of signing in."""

    def config(way: str, right: bool = True) -> tuple[str, Config]:
        kept = tmp_path / "password"
        kept.write_text((PASSWORD if right else WRONG) + "\n")
        variable = "env:KAFKA_PASSWORD" if right else "env:WRONG_PASSWORD"
        reference = variable if way in ("PLAIN", "SCRAM-SHA-512") else f"file:{kept}"
        tls = {"ssl.ca.location": str(broker.certificates.authority)}
        if way == "certificate":
            ours = {
                "security.protocol": "SSL",
                "ssl.certificate.location": str(broker.certificates.client),
                "ssl.key.location": str(broker.certificates.client_key),
                "ssl.key.password": reference,
            }
            return broker.addresses[MUTUAL], {**tls, **ours}
        if way == "OAUTHBEARER":
            ours = {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "OAUTHBEARER",
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.token.endpoint.url": tokens.url,
                "sasl.oauthbearer.client.id": "ada",
                "sasl.oauthbearer.client.secret": "env:OAUTH_SECRET" if right else "env:WRONG_PASSWORD",
            }
            return broker.addresses[SASL], {**tls, **ours}
        if way == "AWS_MSK_IAM":
            set_aws_secret(aws_credentials, AWS_SECRET if right else WRONG)
            ours = {"security.protocol": "SASL_SSL", "sasl.mechanism": "AWS_MSK_IAM", "aws_region": REGION}
            return broker.msk.address, {**tls, **ours}
        return broker.addresses[SASL], broker.config(way, reference)

    yield config
    set_aws_secret(aws_credentials, AWS_SECRET)
    tokens.lifetime, tokens.outage, broker.msk.session_ms = 300.0, "", 0


WAYS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM", "certificate")


@pytest.fixture
def stream(keeper: ServerHost, broker: SecureKafkaBroker, tmp_path: Path, request: pytest.FixtureRequest) -> Configured:
    return Configured(keeper.run, broker, tmp_path, f"s{abs(hash(request.node.name)):x}")


@pytest.mark.parametrize("way", WAYS)
def test_create_test_ingestion_and_dead_letters_with_every_way_of_signing_in(
    stream: Configured, broker: SecureKafkaBroker, keeper: ServerHost, config_of: Any, way: str
) -> None:
    uri, config = config_of(way)
    errors = broker.topics.create()
    stream.send(["1", "raise", "2"])
    stream.configured({**config, "on_error": "dead_letter", "dead_letter_topic": errors}, uri=uri, size=1)
    assert [row["params"] for row in stream.test()] == [{"value": "1"}]
    stream.start()
    stream.await_values(["1", "2"])
    stream.await_position(3)
    assert [message.value for message in broker.topics.read(errors)] == [b"raise"]
    assert {key: stream.info["config"][key] for key in config} == {key: str(value) for key, value in config.items()}
    stream.drop()


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_secret_is_one_line_that_does_not_show_it(
    stream: Configured, keeper: ServerHost, config_of: Any, way: str
) -> None:
    uri, config = config_of(way, right=False)
    began = time.monotonic()
    said = refusal(stream.configured, config, uri=uri)
    assert within(PATIENCE, began)
    assert re.match(rf"sluice\.errors\.Broker(Error|Unreachable): Kafka stream {stream.name}, ", said)
    words = {
        "PLAIN": "Invalid username or password",
        "OAUTHBEARER": "invalid_client",
        "AWS_MSK_IAM": "[stub]: Access denied",
        "certificate": "librdkafka does not take ssl.key.location (_INVALID_ARG): it is not in PEM format, or the",
    }
    assert words.get(way, "invalid credentials") in said
    assert WRONG not in said + keeper.log_text()
    assert stream.status is None


def test_what_the_server_does_not_have_is_named_by_create_and_the_doctor(
    stream: Configured, keeper: ServerHost, config_of: Any, aws_credentials: Path
) -> None:
    uri, config = config_of("AWS_MSK_IAM")
    stream.configured(config, uri=uri)
    parts = "CALL streams.sign_in($name) YIELD part, found, trouble RETURN part, found, trouble"
    there = {row["part"]: row["found"] for row in keeper.run(parts, name=stream.name)}
    assert (there["region"], there["credentials"]) == (REGION, "found by way of shared-credentials-file")
    aws_credentials.write_text("")
    refused = refusal(stream.configure, {"client.id": "other"})
    assert "cannot sign in with AWS_MSK_IAM: the server finds no AWS credentials: give its machine" in refused
    said = CliRunner().invoke(app, ["doctor", "--json", "--uri", keeper.uri, "--stream", stream.name])
    checks = {check["check"]: check for check in json.loads(said.stdout)["checks"]}
    assert "cannot sign in: the server finds no AWS credentials" in checks["kafka-auth"]["text"]
    stream.drop()


LIFETIME = 10.0
"Seconds for which tokens are valid while they are to expire."


@pytest.mark.parametrize("way", ["OAUTHBEARER", pytest.param("AWS_MSK_IAM", marks=pytest.mark.soak)])
def test_sessions_that_expire_while_a_stream_runs_and_while_it_rests_are_renewed(
    stream: Configured, broker: SecureKafkaBroker, tokens: TokenServer, config_of: Any, way: str
) -> None:
    uri, config = config_of(way)
    tokens.lifetime, broker.msk.session_ms = LIFETIME, int(LIFETIME * 1000)
    stream.configured(config, uri=uri)
    stream.start()
    began, sent = time.monotonic(), 0
    while time.monotonic() < began + 2 * LIFETIME:
        stream.send([str(sent)])
        sent += 1
        stream.await_count(sent)

    def sign_ins() -> int:
        return tokens.issued if way == "OAUTHBEARER" else broker.msk.signed_in.count("sluice-watch")

    at_rest = sign_ins()
    eventually(lambda: sign_ins() >= at_rest + 2, timeout=90)  # the watch alone signs in while the stream rests
    stream.await_no_reason()
    stream.send([str(sent)])
    stream.await_count(sent + 1)
    stream.drop()


@pytest.mark.soak  # librdkafka asks for the next token when most of the old one's time is over
def test_a_token_server_that_is_down_is_named_and_the_stream_continues_once_it_is_back(
    stream: Configured, tokens: TokenServer, config_of: Any
) -> None:
    uri, config = config_of("OAUTHBEARER")
    tokens.lifetime = LIFETIME
    stream.configured(config, uri=uri)
    stream.start()
    stream.send(["1"])
    stream.await_count(1)
    tokens.outage = "closed for repairs"
    assert OAUTH_SECRET not in stream.await_reason("closed for repairs", timeout=90)
    assert stream.status == "running"
    tokens.outage = ""
    stream.send(["2"])
    stream.await_count(2)
    stream.await_no_reason()
    stream.drop()


def acl(kind: ResourceType, name: str, operation: AclOperation, user: str = USER) -> AclBinding:
    whose = (f"User:{user}", "*", operation, AclPermissionType.ALLOW)
    return AclBinding(kind, name, ResourcePatternType.LITERAL, *whose)


def test_the_least_policy_is_all_that_a_stream_needs(
    stream: Configured, broker: SecureKafkaBroker, config_of: Any
) -> None:
    uri, config = config_of("SCRAM-SHA-512")
    errors, group = broker.topics.create(), f"sluice.{stream.name}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    closed = acl(
        ResourceType.BROKER, "kafka-cluster", AclOperation.ALTER, "nobody"
    )  # what has an ACL is closed to others
    policy = [
        acl(ResourceType.TOPIC, stream.topic, AclOperation.DESCRIBE),
        acl(ResourceType.TOPIC, errors, AclOperation.DESCRIBE),
        acl(ResourceType.TOPIC, errors, AclOperation.WRITE),
        acl(ResourceType.GROUP, group, AclOperation.DESCRIBE),
        acl(ResourceType.GROUP, group, AclOperation.READ),
    ]
    wait([*admin.create_acls([closed, *policy]).values()])
    try:
        stream.send(["1", "raise", "2"])
        stream.configured({**config, "on_error": "dead_letter", "dead_letter_topic": errors}, uri=uri, size=1)
        assert "authorization failed" in refusal(stream.test).lower()
        wait([*admin.create_acls([acl(ResourceType.TOPIC, stream.topic, AclOperation.READ)]).values()])
        assert [row["params"] for row in stream.test()] == [{"value": "1"}]
        stream.start()
        stream.await_values(["1", "2"])
        stream.await_position(3)
        assert [message.value for message in broker.topics.read(errors)] == [b"raise"]
        committed = ConsumerGroupTopicPartitions(group, [TopicPartition(stream.topic, 0)])

        def reported() -> int:
            (future,) = admin.list_consumer_group_offsets([committed]).values()
            return int(future.result(10).topic_partitions[0].offset)

        eventually(reported, equals=3, timeout=20)
    finally:
        whose = ("*", AclOperation.ANY, AclPermissionType.ANY)
        everything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, *whose)
        wait([*admin.delete_acls([everything]).values()])
    stream.drop()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"ssl.ca.location": None}, "certificate verify failed", id="nobody vouches for the broker"),
        pytest.param({"security.protocol": None}, "the config needs security.protocol", id="plain"),
        pytest.param({"security.protocol": "SSL"}, "the config needs security.protocol", id="no sign-in"),
        pytest.param({"sasl.mechanism": "GSSAPI"}, "sasl.mechanism must be one of PLAIN, ", id="a way nobody has"),
    ],
)
def test_what_does_not_fit_the_listener_is_one_line(
    stream: Configured, config_of: Any, change: Config, words: str
) -> None:
    uri, config = config_of("PLAIN")
    said = refusal(stream.configured, {**config, **change}, uri=uri)
    assert re.match(
        rf"sluice\.errors\.(BrokerUnreachable|BrokerError|SettingError): Kafka stream {stream.name}, ", said
    )
    assert words in said
    assert PASSWORD not in said


def test_a_password_in_the_kafka_uri_is_refused_and_not_repeated(stream: Configured, keeper: ServerHost) -> None:
    said = refusal(stream.configured, None, uri=f"ada:{WRONG}@127.0.0.1:9092")
    assert "the Kafka URI takes no user and password" in said
    assert WRONG not in said


def test_no_secret_is_in_the_graph_on_disk_in_logs_or_in_processes(
    stream: Configured, keeper: ServerHost, broker: SecureKafkaBroker, config_of: Any
) -> None:
    uri, config = config_of("SCRAM-SHA-512")
    stream.send(["1"])
    stream.configured(config, ENVIRON, uri=uri)
    stream.test()
    stream.start()
    stream.await_count(1)
    said: list[Row] = [stream.info, *stream.errors()]
    said += keeper.run("CALL streams.show() YIELD *")
    said += keeper.run("CALL streams.settings() YIELD *")
    said += keeper.run("CALL streams.version() YIELD *")
    said += keeper.run("MATCH (n) RETURN labels(n) AS labels, properties(n) AS properties")
    said += keeper.run("MATCH ()-[e]->() RETURN properties(e) AS properties")
    assert any("env:KAFKA_PASSWORD" in json.dumps(row) for row in said), "what is looked through is what holds it"
    processes = list(_processes(keeper.pid))
    assert any("scripting/child.py" in process.command for process in processes)
    places = {
        "graph and answers": json.dumps(said),
        "logs": keeper.log_text(),
        "command lines": " ".join(process.command for process in processes),
        "transforms' environments": " ".join(
            process.environment for process in processes if "scripting/child.py" in process.command
        ),
        "data on disk": "".join(
            path.read_bytes().decode("latin-1") for path in keeper.data.rglob("*") if path.is_file()
        ),
    }
    found = [(place, secret) for place, text in places.items() for secret in SECRETS if secret in text]
    assert found == []
    stream.drop()


@dataclasses.dataclass(frozen=True)
class Process:
    command: str
    environment: str


def _processes(session: int) -> Iterator[Process]:
    """The processes of a session; a host leads one, and its children stay in it."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) == session:
                command, environment = (
                    (entry / name).read_bytes().decode("latin-1") for name in ("cmdline", "environ")
                )
                yield Process(command, environment)
        except OSError:  # it has just ended
            continue


def _text(path: Path) -> str:
    return path.read_bytes().decode("latin-1")
