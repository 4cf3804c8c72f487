"""Signing in to Amazon MSK: the config, the token, its renewal, and what is said where something is missing."""

from __future__ import annotations

import base64
import http.client
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import confluent_kafka
import pytest
from confluent_kafka import KafkaError

from sluice.brokers import msk_iam
from sluice.brokers.msk_iam import RAISED, MskSigner, region_of, sign_in
from sluice.brokers.topic_client import topic_clients
from sluice.errors import BrokerError, SettingError
from sluice.host import settings
from sluice.host.secrets_allowed import SecretsAllow
from sluice.host.settings import Settings, put_in_force
from sluice.procedures.sign_in import sign_in as verb
from sluice.values.configuration import Configuration, configuration_of
from sluice.values.model import StreamSpec, Transform
from tests.kafka.msk import REGION, MskListener, SignInFailed

KEY, SECRET = "AKIDEXAMPLE", "aws-hunter2"
BROKERS = f"b-1.demo.ab12cd.c2.kafka.{REGION}.amazonaws.com:9098,b-2.demo.ab12cd.c2.kafka.{REGION}.amazonaws.com:9098"
CONFIG = {"security.protocol": "SASL_SSL", "sasl.mechanism": "AWS_MSK_IAM"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Made-up credentials, and none of this machine's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    before = settings.in_force()
    put_in_force(Settings(secrets_allow=SecretsAllow.parse("AWS_MSK_IAM")))
    yield
    put_in_force(before)


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


class Checker(MskListener):
    """Its check alone; it does not listen."""

    def __init__(self, keys: dict[str, str]) -> None:
        self.keys = keys

    def takes(self, token: str) -> bool:
        try:
            self.check(b"n,,\x01auth=Bearer " + token.encode() + b"\x01\x01")
        except SignInFailed:
            return False
        return True


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"security.protocol": None}, "requires security.protocol SASL_SSL", id="no TLS at all"),
        pytest.param({"security.protocol": "sasl_plaintext"}, "requires security.protocol SASL_SSL", id="no TLS"),
        pytest.param({"enable.ssl.certificate.verification": False}, "verification false cannot", id="any host"),
        pytest.param({"ssl.endpoint.identification.algorithm": "none"}, "algorithm none cannot", id="any name"),
        pytest.param({"sasl.oauthbearer.method": "oidc"}, "method cannot be combined with", id="two kinds of tokens"),
        pytest.param({"aws_region": "eu-west-1.evil.org/"}, "aws_region must be the name of a region", id="a host"),
        pytest.param({"aws_region": 1}, "aws_region must be the name of a region", id="a number"),
        pytest.param({"sasl.mechanism": "PLAIN", "aws_region": REGION}, "is for sasl.mechanism AWS_MSK", id="PLAIN"),
    ],
)
def test_what_would_show_tokens_to_others_is_refused(given: dict[str, Any], words: str):
    with pytest.raises(SettingError) as caught:
        configuration_of("s", {**CONFIG, **given})
    assert words in str(caught.value)


def test_the_config_is_stored_as_it_was_given():
    given = {**CONFIG, "aws_region": REGION}
    assert configuration_of("s", given).as_map() == given


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (BROKERS, REGION),
        ("boot-ab1cd2ef.c1.kafka-serverless.us-west-2.amazonaws.com:9098", "us-west-2"),
        ("b-1-public.demo.ab12cd.c2.kafka.us-east-1.amazonaws.com:9198", "us-east-1"),
        ("b-1.demo.ab12cd.c2.kafka.cn-north-1.amazonaws.com.cn:9098", "cn-north-1"),
        (f"kafka.internal:9098,{BROKERS}", REGION),
    ],
)
def test_the_region_is_in_the_names_of_brokers(uri: str, expected: str):
    assert region_of("s", uri) == expected


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("kafka.internal:9098", "do not name the region"),
        (f"{BROKERS},b-3.demo.ab12cd.c2.kafka.us-east-1.amazonaws.com:9098", "name several regions"),
    ],
)
def test_a_region_that_is_not_known_is_asked_for(uri: str, words: str):
    with pytest.raises(SettingError, match=r"^Kafka stream s, config: .* requires aws_region, .*" + words):
        region_of("s", uri)


def test_the_token_is_a_request_that_is_signed_for_the_region():
    before = time.time()
    text, expires = msk_iam.token(REGION)
    assert before + 899 - 1 <= expires <= time.time() + 900
    assert Checker({KEY: SECRET}).takes(text)
    assert not Checker({KEY: "another"}).takes(text)
    assert not Checker({KEY: SECRET}).takes(msk_iam.token("us-east-1")[0])
    url = urlsplit(base64.urlsafe_b64decode(text + "==").decode())
    assert (url.netloc, parse_qs(url.query)["Action"]) == (f"kafka.{REGION}.amazonaws.com", ["kafka-cluster:Connect"])


def test_a_role_s_session_is_part_of_the_token(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session+token/=")
    text, _ = msk_iam.token(REGION)
    assert Checker({KEY: SECRET}).takes(text)
    url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    assert parse_qs(url.query)["X-Amz-Security-Token"] == ["session+token/="]


def test_each_renewal_signs_with_the_credentials_of_that_time(monkeypatch: pytest.MonkeyPatch):
    signer = MskSigner("s", REGION)
    checker = Checker({KEY: SECRET})
    assert checker.takes(signer("")[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "rotated")
    assert not checker.takes(signer("")[0])
    checker.keys = {KEY: "rotated"}
    assert checker.takes(signer("")[0])


def test_a_renewal_that_fails_is_explained_and_the_next_one_may_work(monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    callbacks = sign_in("s", BROKERS, None, lambda error: told.append(error.str()))
    renew, note = callbacks["oauth_cb"], callbacks["error_cb"]
    renew("")
    with monkeypatch.context() as context:
        without_credentials(context)
        with pytest.raises(BrokerError, match="the server finds no AWS credentials"):
            renew("")
        note(KafkaError(KafkaError._AUTHENTICATION, f"Failed to acquire SASL OAUTHBEARER token: {RAISED}"))
        note(KafkaError(KafkaError._TRANSPORT, "Connection refused"))
    renew("")
    note(KafkaError(KafkaError._AUTHENTICATION, RAISED))
    assert told[0].startswith("Failed to acquire SASL OAUTHBEARER token: the server finds no AWS credentials")
    assert told[1:] == ["Connection refused", RAISED]


def test_without_credentials_there_is_no_client_and_one_line_at_once(monkeypatch: pytest.MonkeyPatch):
    without_credentials(monkeypatch)
    began = time.monotonic()
    with pytest.raises(BrokerError) as caught:
        topic_clients.get("s", BROKERS, configuration_of("s", CONFIG))
    assert time.monotonic() - began < 8, "confluent-kafka waits for ten seconds"
    said = str(caught.value)
    assert said.startswith(
        "Kafka stream s, cannot sign in with AWS_MSK_IAM: the server finds no AWS credentials: give "
    )
    assert caught.value.retryable


def test_credentials_that_cannot_be_had_are_one_line_without_what_a_program_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    without_credentials(monkeypatch)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho {SECRET} >&2\nexit 1\n")
    program.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    with pytest.raises(BrokerError, match=r"^AWS credentials from custom-process cannot be had$"):
        msk_iam.token(REGION)
    (tmp_path / "config").write_text("[default\n")
    with pytest.raises(BrokerError, match=r"^no AWS credentials: ConfigParseError: Unable to parse config file"):
        msk_iam.token(REGION)


def test_a_missing_package_is_one_line_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", None)
    monkeypatch.delitem(sys.modules, msk_iam.SIGNER_MODULE, raising=False)
    with pytest.raises(SettingError) as caught:
        sign_in("s", BROKERS, None, None)
    assert str(caught.value) == (
        "Kafka stream s, cannot sign in with AWS_MSK_IAM: the server's Python does not have "
        "aws-msk-iam-sasl-signer-python; sluice install --extra msk-iam has the command"
    )


def test_a_package_that_breaks_is_told_from_one_that_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", ModuleType("aws_msk_iam_sasl_signer"))
    monkeypatch.setattr(msk_iam, "import_module", lambda _: (_ for _ in ()).throw(ImportError("cannot import x")))
    with pytest.raises(SettingError, match=r"signer-python \(cannot import x\); sluice install"):
        msk_iam.check_packages()


def test_an_old_client_of_kafka_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(confluent_kafka, "__version__", "2.12.9")
    with pytest.raises(SettingError, match=r"has confluent-kafka 2\.12\.9, and 2\.13 or newer is needed"):
        msk_iam.check_packages()
    monkeypatch.setattr(confluent_kafka, "__version__", "2.13.0rc1")
    assert msk_iam.check_packages().endswith("confluent-kafka 2.13.0rc1")


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param("AWS_MSK_IAM", True, id="for any broker"),
        pytest.param(f"AWS_MSK_IAM@{BROKERS.replace(',', '+')}", True, id="for these"),
        pytest.param(f"AWS_MSK_IAM@{BROKERS.partition(',')[0]}", False, id="for one of these"),
    ],
)
def test_the_identity_is_shown_where_the_administrator_allows_it(allow: str, allowed: bool):
    put_in_force(Settings(secrets_allow=SecretsAllow.parse(allow)))
    if allowed:
        assert topic_clients.get("s", BROKERS, configuration_of("s", CONFIG))
        return
    with pytest.raises(SettingError) as caught:
        topic_clients.get("s", BROKERS, configuration_of("s", CONFIG))
    first, second = BROKERS.split(",")
    remedy = f"SLUICE_SECRETS_ALLOW={allow + ',' if allow else ''}AWS_MSK_IAM@{first}+{second} in the server's"
    assert str(caught.value).startswith("Kafka stream s, config: sasl.mechanism refers to the server's AWS identity, ")
    assert remedy in str(caught.value)


class FakeStreams:
    """What the verb asks of `Streams`."""

    def __init__(self, config: dict[str, Any], uri: str = BROKERS) -> None:
        configuration: Configuration = configuration_of("s", config)
        self.spec = StreamSpec("uid", "s", uri, "t", Transform("file:///x.py", "", ""), 100, 10, configuration)
        self.settings = settings.in_force()

    def find(self, _: str) -> FakeStreams:
        return self


def parts(config: dict[str, Any], uri: str = BROKERS) -> dict[str, str]:
    """Part -> what was found, or `! ` and what is wrong."""
    rows = verb(FakeStreams(config, uri), "s")  # type: ignore[arg-type]
    return {row["part"]: row["found"] or f"! {row['trouble']}" for row in rows}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """What AWS's clock is compared with."""
    skew: list[float | None] = [0.2]
    monkeypatch.setattr(msk_iam, "clock_skew", lambda _: skew[0])
    return skew


def test_the_parts_of_a_sign_in_are_listed(clock: list[float | None]):
    found = parts(CONFIG)
    assert found.pop("packages").startswith("aws-msk-iam-sasl-signer-python 1.")
    assert found == {
        "references": "AWS_MSK_IAM",
        "region": REGION,
        "credentials": "found by way of env",
        "clock": "agrees with AWS's, within 1 s",
    }
    assert parts({"security.protocol": "PLAINTEXT"}) == {}


def test_each_part_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, clock: list[float | None]):
    put_in_force(Settings())
    without_credentials(monkeypatch)
    monkeypatch.setitem(sys.modules, "aws_msk_iam_sasl_signer", None)
    monkeypatch.delitem(sys.modules, msk_iam.SIGNER_MODULE, raising=False)
    found = parts(CONFIG, "kafka.internal:9098")
    assert all(text.startswith("! ") for text in found.values())
    words = {
        "references": "AWS_MSK_IAM@kafka.internal:9098",
        "packages": "sluice install --extra msk-iam",
        "region": "also requires aws_region",
        "credentials": "the server finds no AWS credentials",
        "clock": "also requires aws_region",
    }
    assert {part for part in found if words[part] in found[part]} == set(words)


@pytest.mark.parametrize(
    ("skew", "words"),
    [(400.0, "! the server's clock is 400 s fast by AWS's"), (-130.0, "130 s slow by AWS's"), (None, "not compared")],
)
def test_a_clock_that_is_wrong_is_named(clock: list[float | None], skew: float | None, words: str):
    clock[0] = skew
    assert words in parts(CONFIG)["clock"]


def test_other_secrets_are_looked_up_as_well(monkeypatch: pytest.MonkeyPatch):
    config = {"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN", "sasl.password": "env:KAFKA_PASSWORD"}
    config |= {"sasl.username": "ada"}
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    assert "! Kafka stream s, config: sasl.password refers to" in parts(config)["references"]
    put_in_force(Settings(secrets_allow=SecretsAllow.parse("KAFKA_PASSWORD")))
    assert parts(config) == {"references": "env:KAFKA_PASSWORD"}


class Clock(BaseHTTPRequestHandler):
    """Says that it is a minute later than it is."""

    def do_HEAD(self) -> None:
        self.send_response_only(404)
        self.send_header("Date", self.date_time_string(int(time.time()) + 60))
        self.end_headers()


def test_the_clock_is_compared_with_the_date_that_aws_tells(monkeypatch: pytest.MonkeyPatch):
    with HTTPServer(("127.0.0.1", 0), Clock) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        address = ("127.0.0.1", server.server_port)
        monkeypatch.setattr(
            http.client, "HTTPSConnection", lambda host, *, timeout, context: http.client.HTTPConnection(*address)
        )
        try:
            skew = msk_iam.clock_skew(REGION)
        finally:
            server.shutdown()
            thread.join()
    assert skew is not None
    assert -61 <= skew <= -55
    monkeypatch.setattr(
        http.client, "HTTPSConnection", lambda host, *, timeout, context: http.client.HTTPConnection(*address)
    )
    assert msk_iam.clock_skew(REGION) is None, "nobody listens there any more"
