"""
A real Apache Kafka that asks who one is: listeners with TLS and SASL beside the plain one, and credentials for them.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from tests.kafka.broker import KafkaBroker
from tests.kafka.topics import TIMEOUT, log

SASL = "SASLTLS"
"The listener that speaks SASL inside TLS."
MUTUAL = "MUTUALTLS"
"The listener that wants a certificate of the client."

USER = "ada"

MODULES = "org.apache.kafka.common.security"
JAAS = {
    "plain": f'{MODULES}.plain.PlainLoginModule required user_{USER}="PASSWORD";',
    "scram-sha-256": f"{MODULES}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{MODULES}.scram.ScramLoginModule required;",
    # Takes tokens that nobody has signed: Kafka's own default, for tests.
    "oauthbearer": f'{MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="kafka";',
}
"Mechanism -> how the broker checks who signs in by it."


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
    certificate of its client.

    One user, USER, with one password for every mechanism.
    """

    def __init__(self, folder: Path, password: str) -> None:
        self.password = password
        self.certificates = Certificates.make(folder / "certificates", password)
        settings = {
            "sasl.enabled.mechanisms": ",".join(mechanism.upper() for mechanism in JAAS),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.server),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.authority),
            f"listener.name.{MUTUAL.lower()}.ssl.client.auth": "required",
            **{
                f"listener.name.{SASL.lower()}.{mechanism}.sasl.jaas.config": jaas.replace("PASSWORD", password)
                for mechanism, jaas in JAAS.items()
            },
        }
        super().__init__(folder, settings, {SASL: "SASL_SSL", MUTUAL: "SSL"})

    def start(self) -> None:
        """As `KafkaBroker.start`; then makes the user known to SCRAM."""
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


@contextmanager
def token_server(client: str, secret: str) -> Iterator[str]:
    """The URL of an OAuth server that gives `client` tokens for its secret, and everybody else none."""
    expected = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            right = self.headers.get("Authorization") == expected
            answer = {"access_token": _token(client), "token_type": "Bearer", "expires_in": 300}
            body = json.dumps(answer if right else {"error": "invalid_client"}).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token"
        finally:
            server.shutdown()
            thread.join()


def _token(subject: str) -> str:
    """A token that nobody has signed (RFC 7519, section 6)."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + 300, "scope": ""})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


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
