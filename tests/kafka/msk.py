"""
What Amazon MSK is to a client: a listener for TLS, where clients sign in by requests to AWS that they have signed. It
hands everything else over to a plain listener of a real Kafka.

The signature is checked by Signature Version 4 as AWS documents it, without AWS's libraries: those are the client's.

Sources: AWS, "Create a signed AWS API request" (query parameters); Kafka protocol, requests 17 (SaslHandshake) and 36
    (SaslAuthenticate); RFC 7628 for what is around the token.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

HANDSHAKE, AUTHENTICATE, VERSIONS = 17, 36, 18
"Numbers of requests."

REFUSED = 58
"Number of the error SASL_AUTHENTICATION_FAILED."

REGION = "eu-west-1"

MAX_SKEW = 300.0
"Seconds that a client's clock may be ahead."


class SignInFailed(Exception):
    """The token is not right. What the client is told, as MSK tells it."""


class MskListener:
    """
    Takes tokens that are signed with one of `keys` for REGION.

    Threads: one of its own, in which `serve` runs; attributes may be read and set by any.
    """

    def __init__(self, certificate: Path, keys: Mapping[str, str]) -> None:
        """
        Args:
            certificate: a PEM file with the listener's key and certificate.
            keys: access key id -> secret access key.
        """
        self.keys = dict(keys)
        self.upstream = ""
        "Host and port of the plain listener."
        self.address = ""
        "Host and port of this one."
        self.session_ms = 0
        "Milliseconds after which clients have to sign in again; 0: they need not."
        self.signed_in: list[str] = []
        "Names of the clients that have, each time that they have."
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)

    @contextmanager
    def serving(self) -> Iterator[MskListener]:
        """Listens on a free port of the loopback."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        thread = threading.Thread(target=loop.run_forever, name="msk")
        thread.start()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()
            for task in asyncio.all_tasks(loop):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    loop.run_until_complete(task)
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.upstream.rpartition(":")
        back_reader, back_writer = await asyncio.open_connection(host, int(port))
        back = asyncio.ensure_future(_pump(back_reader, writer))
        try:
            await self._requests(reader, writer, back_writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            back.cancel()
            writer.close()
            back_writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        right = False
        while True:
            size = await reader.readexactly(4)
            request = await reader.readexactly(struct.unpack(">i", size)[0])
            key, version, number, length = struct.unpack(">hhih", request[:10])
            client, body = request[10 : 10 + length].decode(), request[10 + length :]
            if key == HANDSHAKE:
                _answer(writer, number, struct.pack(">hi", 0, 1) + _string("OAUTHBEARER"))
            elif key == AUTHENTICATE:
                assert version <= 1, "its answers have another form from 2 on"
                try:
                    self.check(body[4:])
                except SignInFailed as failure:
                    _answer(writer, number, struct.pack(">h", REFUSED) + _string(str(failure)) + bytes(4 + 8 * version))
                    await writer.drain()
                    return
                right = True
                self.signed_in.append(client)
                _answer(
                    writer, number, struct.pack(">hhi", 0, -1, 0) + struct.pack(">q", self.session_ms)[: 8 * version]
                )
            elif right or key == VERSIONS:
                back.write(size + request)
            else:
                return

    def check(self, message: bytes) -> None:
        """Checks what a client says of itself. Raises SignInFailed."""
        gs2, _, rest = message.partition(b"\x01auth=Bearer ")
        token, _, _ = rest.partition(b"\x01")
        if gs2 != b"n,," or not token:
            raise SignInFailed("[stub]: not a message of OAUTHBEARER")
        url = urlsplit(base64.urlsafe_b64decode(token + b"=" * (-len(token) % 4)).decode())
        fields = dict(parse_qsl(url.query))
        signature, agent = fields.pop("X-Amz-Signature", ""), fields.pop("User-Agent", "")
        key, _, scope = fields.get("X-Amz-Credential", "").partition("/")
        at = datetime.strptime(fields["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
        wanted = {"Action": "kafka-cluster:Connect", "X-Amz-Expires": "900", "X-Amz-SignedHeaders": "host"}
        place = (url.scheme, url.netloc, url.path)
        right = (
            place == ("https", f"kafka.{REGION}.amazonaws.com", "/")
            and wanted.items() <= fields.items()
            and scope == f"{fields['X-Amz-Date'][:8]}/{REGION}/kafka-cluster/aws4_request"
            and at - MAX_SKEW <= time.time() < at + 900
            and agent != ""
            and key in self.keys
            and hmac.compare_digest(signature, signed(url.netloc, fields, self.keys[key]))
        )
        if not right:
            raise SignInFailed("[stub]: Access denied")


def signed(host: str, fields: Mapping[str, str], secret: str) -> str:
    """The signature of a GET of `/` with these fields in its query."""
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(text, safe='-_.~')}" for name, text in sorted(fields.items()))
    request = "\n".join(("GET", "/", query, f"host:{host}\n", "host", hashlib.sha256(b"").hexdigest()))
    scope = fields["X-Amz-Credential"].partition("/")[2]
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", fields["X-Amz-Date"], scope, digest))
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def _answer(writer: asyncio.StreamWriter, number: int, body: bytes) -> None:
    writer.write(struct.pack(">ii", 4 + len(body), number) + body)


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
