"""
A real Apache Kafka that asks who one is: listeners with TLS and SASL beside the plain one, and credentials for them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from tests.kafka.broker import JAVA_OPTIONS, NEVER_KILLED, KafkaBroker
from tests.kafka.msk import MskListener
from tests.kafka.tokens import AUDIENCE, ISSUER
from tests.kafka.topics import TIMEOUT, log

SASL = "SASLTLS"
"The listener that speaks SASL inside TLS."
MUTUAL = "MUTUALTLS"
"The listener that wants a certificate of the client."
MSK = "MSK"
"The plain listener that an `MskListener` is in front of."

USER = "ada"

MODULES = "org.apache.kafka.common.security"
JAAS = {
    "plain": f'{MODULES}.plain.PlainLoginModule required user_{USER}="PASSWORD";',
    "scram-sha-256": f"{MODULES}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{MODULES}.scram.ScramLoginModule required;",
    "oauthbearer": f"{MODULES}.oauthbearer.OAuthBearerLoginModule required;",
}
"Mechanism -> how the broker checks who signs in by it."

SESSION_MS = 8000
"Milliseconds after which clients with tokens have to sign in again, or the broker drops them (KIP-368)."


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, and what it has signed. No key is kept in the repository."""

    authority: Path
    server: Path
    "Key and certificate for 127.0.0.1."
    client: Path
    client_key: Path
    "Encrypted with the password."

    @classmethod
    def make(cls, folder: Path, password: str) -> Certificates:
        """Makes them all, with openssl."""
        folder.mkdir(parents=True, exist_ok=True)
        authority = folder / "authority.pem"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Authority"),
            *("-keyout", folder / "authority.key", "-out", authority),
        )
        server_key, server_certificate = _signed(folder, "server", "127.0.0.1")
        client_key, client_certificate = _signed(folder, "client", USER)
        server = folder / "server.pem"
        server.write_text(server_key.read_text() + server_certificate.read_text())
        encrypted = folder / "client.encrypted.key"
        _openssl("pkcs8", "-topk8", "-in", client_key, "-out", encrypted, "-passout", f"pass:{password}")
        return cls(authority, server, client_certificate, encrypted)


class SecureKafkaBroker(KafkaBroker):
    """
    With a listener for SASL inside TLS (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER) and one for TLS that wants a
    certificate of its client. Tokens are those of a `TokenServer`.

    One user, USER, with one password for every mechanism.
    """

    def __init__(self, folder: Path, password: str, keys_url: str, aws_keys: Mapping[str, str]) -> None:
        """
        Args:
            keys_url: where the keys are that tokens are signed with.
            aws_keys: access key id -> secret access key of AWS.
        """
        self.password = password
        self.certificates = Certificates.make(folder / "certificates", password)
        validated = {
            "sasl.server.callback.handler.class": f"{MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler",
            "sasl.oauthbearer.jwks.endpoint.url": keys_url,
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": ISSUER,
            "sasl.oauthbearer.clock.skew.seconds": "0",
            "connections.max.reauth.ms": str(SESSION_MS),
        }
        settings = {
            **NEVER_KILLED,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # of the plain listeners
            "allow.everyone.if.no.acl.found": "true",
            "sasl.enabled.mechanisms": ",".join(mechanism.upper() for mechanism in JAAS),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.server),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.authority),
            f"listener.name.{MUTUAL.lower()}.ssl.client.auth": "required",
            **{f"listener.name.{SASL.lower()}.oauthbearer.{name}": value for name, value in validated.items()},
            **{
                f"listener.name.{SASL.lower()}.{mechanism}.sasl.jaas.config": jaas.replace("PASSWORD", password)
                for mechanism, jaas in JAAS.items()
            },
        }
        self.msk = MskListener(self.certificates.server, aws_keys)
        "To be `serving` before the broker is started."
        super().__init__(folder, settings, {SASL: "SASL_SSL", MUTUAL: "SSL", MSK: "PLAINTEXT"})
        self.msk.upstream = self.addresses[MSK]
        self.java_options = (*JAVA_OPTIONS, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys_url}")

    def start(self) -> None:
        """As `KafkaBroker.start`; then makes the user known to SCRAM."""
        self.advertised[MSK] = self.msk.address
        super().start()
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "logger": log})
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            wanted = UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), self.password.encode())
            for future in admin.alter_user_scram_credentials([wanted]).values():
                future.result(TIMEOUT)

    def config(self, mechanism: str, password: str) -> dict[str, Any]:
        """
        A stream's config for the SASL listener.

        Args:
            password: a reference, `env:NAME` or `file:PATH`.
        """
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.certificates.authority),
            "sasl.mechanism": mechanism,
            "sasl.username": USER,
            "sasl.password": password,
        }


def _signed(folder: Path, name: str, subject: str) -> tuple[Path, Path]:
    key, request, certificate = (folder / f"{name}.{kind}" for kind in ("key", "request", "certificate"))
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}", "-keyout", key, "-out", request)
    extensions = folder / f"{name}.extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    _openssl(
        *("x509", "-req", "-in", request, "-days", "2", "-CAcreateserial", "-extfile", extensions, "-out", certificate),
        *("-CA", folder / "authority.pem", "-CAkey", folder / "authority.key"),
    )
    return key, certificate


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
