"""
Connects to a Bolt server, and finds out what is wrong if that fails: no server, no Bolt, TLS on one side only, a wrong
password.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from sluice.bolt.client import Connection
from sluice.bolt.transport import reason_of
from sluice.errors import ConnectionLost, GraphError, ProtocolError, QueryRefused, SettingError
from sluice_tools.doctor.checks import CheckFailed
from sluice_tools.shim.settings import Address

SCHEMES = ("bolt", "bolt+s", "bolt+ssc")
DEFAULT_PORT = 7687
SHIM_PORT = 7688


@dataclass(frozen=True)
class Target:
    """A Bolt server, and how to sign in to it."""

    scheme: str
    address: Address
    user: str = ""
    password: str = field(default="", repr=False)
    authority: Path | None = None
    "File of the authorities that may have signed its certificate; None: those that the system trusts."
    timeout: float = 5.0
    "Timeout for each of connecting, signing in and querying, in seconds."

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"

    def tls(self, *, verified: bool) -> ssl.SSLContext:
        """A client's side of TLS. Raises SettingError if the authority's file is not a certificate."""
        try:
            context = ssl.create_default_context(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            raise SettingError(f"{self.authority} holds no certificate: {error}") from error
        if not verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def parse_uri(text: str) -> tuple[str, Address]:
    """
    Scheme and address of `bolt://host:port`, as Memgraph's and Neo4j's drivers write it. Raises SettingError: it is not
    such an address; no part that may be a password is repeated.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "bolt", text
    if scheme not in SCHEMES:
        raise SettingError(f"{scheme}:// is none of {', '.join(f'{name}://' for name in SCHEMES)}")
    parts = urlsplit(f"//{rest}")
    if "@" in parts.netloc:
        raise SettingError("the URI must not contain a user and password, because every process can see them: --user")
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise SettingError(f"{rest} has no port from 1 to 65535") from None
    if not parts.hostname or parts.path not in ("", "/"):
        raise SettingError(f"{text} is not an address; it looks like bolt://127.0.0.1:{DEFAULT_PORT}")
    return scheme, Address(parts.hostname, port)


class SignInRefused(CheckFailed):
    """The server speaks Bolt, and does not let us in."""


def connect(target: Target, who: str) -> Connection:
    """
    A connection to the server that is signed in.

    Args:
        who: what is to be there, such as "Memgraph".

    Raises:
        CheckFailed: nothing answers, or it is not Bolt.
        SignInRefused: the sign-in was refused.
    """
    try:
        socket.create_connection(target.address, target.timeout).close()
    except OSError as error:
        raise CheckFailed(f"nothing answers at {target.address}: {reason_of(error)}") from error
    try:
        return _open(target, target.scheme)
    except QueryRefused as error:
        raise _not_signed_in(target, error) from error
    except (ConnectionLost, ProtocolError) as error:
        _diagnose(target, who, error)


def _open(target: Target, scheme: str, *, anonymous: bool = False) -> Connection:
    return Connection.open(
        *target.address,
        username="" if anonymous else target.user,
        password="" if anonymous else target.password,
        tls=None if scheme == "bolt" else target.tls(verified=scheme == "bolt+s"),
        timeout=target.timeout,
        user_agent="sluice-doctor/1",
    )


def _diagnose(target: Target, who: str, error: Exception) -> NoReturn:
    """Says why there is somebody, and no Bolt."""
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        text = f"the certificate at {target.address} is not trusted: {error.__cause__.verify_message}"
        remedy = f"name who signed it with --ca FILE, or take any: --uri bolt+ssc://{target.address}"
        raise CheckFailed(text, remedy) from error
    if target.scheme == "bolt" and _speaks(target, "bolt+ssc"):
        text = f"{target.address} speaks Bolt over TLS only"
        raise CheckFailed(text, f"--uri bolt+s://{target.address} (bolt+ssc:// takes any certificate)") from error
    if target.scheme != "bolt" and _speaks(target, "bolt"):
        text = f"{target.address} speaks plain Bolt, no TLS"
        remedy = f"--uri bolt://{target.address}, or start {who} with a certificate (--bolt-cert-file, --bolt-key-file)"
        raise CheckFailed(text, remedy) from error
    text = f"what answers at {target.address} does not speak Bolt: {error}"
    ports = f"Memgraph's is {DEFAULT_PORT} and the shim's {SHIM_PORT}, unless set otherwise"
    remedy = f"give the address of {who}'s Bolt port ({ports}): --uri bolt://HOST:PORT"
    raise CheckFailed(text, remedy) from error


def _speaks(target: Target, scheme: str) -> bool:
    try:
        _open(target, scheme, anonymous=True).close()
    except QueryRefused:
        return True  # the sign-in, in Bolt
    except (GraphError, ProtocolError):
        return False
    return True


def _not_signed_in(target: Target, error: QueryRefused) -> SignInRefused:
    if not target.user:
        text = f"the server lets nobody in without a name: {error}"
        return SignInRefused(text, "--user NAME, and its password in MEMGRAPH_PASSWORD or with --password-file")
    text = f"the server does not let {target.user} in: {error}"
    remedy = (
        "give the right password in MEMGRAPH_PASSWORD or with --password-file, or the right --user; an administrator "
        f"sets a new one with SET PASSWORD FOR {target.user} TO '...'"
    )
    return SignInRefused(text, remedy)
