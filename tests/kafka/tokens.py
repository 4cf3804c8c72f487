"""An OAuth server: tokens by client credentials (RFC 6749, 4.4), signed JWTs, and the keys to check them by."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://auth.example.org"
AUDIENCE = "kafka"


class TokenServer:
    """
    Gives one client tokens for its secret, and everybody else none.

    Threads: those of its HTTP server; attributes may be read and set by any.
    """

    def __init__(self, client: str, secret: str) -> None:
        self.client = client
        self.lifetime = 300.0
        "Seconds for which tokens are valid."
        self.outage = ""
        "What is wrong with it, which it answers with; empty: nothing."
        self.issued = 0
        "Number of tokens."
        self.url = ""
        "Where tokens are."
        self.keys_url = ""
        "Where the keys are (RFC 7517)."
        self._expected = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @contextmanager
    def serving(self) -> Iterator[TokenServer]:
        """Listens on a free port of the loopback."""
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if tokens.outage:
                    self._answer(503, {"error": "temporarily_unavailable", "error_description": tokens.outage})
                elif self.headers.get("Authorization") == tokens._expected:
                    self._answer(200, tokens.issue())
                else:
                    self._answer(401, {"error": "invalid_client"})

            def do_GET(self) -> None:
                self._answer(200, tokens.public_keys())

            def _answer(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            base = f"http://127.0.0.1:{server.server_port}"
            self.url, self.keys_url = f"{base}/token", f"{base}/keys"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def issue(self) -> dict[str, Any]:
        """What a client that has the secret is answered."""
        self.issued += 1
        now = time.time()
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": self.client, "iat": int(now), "exp": int(now + self.lifetime)}
        token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "1"})
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(self.lifetime)}

    def public_keys(self) -> dict[str, Any]:
        """The keys that its tokens are signed with."""
        key = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**key, "kid": "1", "alg": "RS256", "use": "sig"}]}
