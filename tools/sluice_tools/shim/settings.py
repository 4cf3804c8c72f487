"""What the shim is told: where to listen, where the server is, how much to allow."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import NamedTuple

from sluice.errors import SettingError


class Address(NamedTuple):
    """A host, by name or number, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port`; an IPv6 address stands in brackets: `[::1]:7687`. Raises SettingError: it is neither."""
        host, colon, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not colon or not bare or (":" in bare) != (bare != host) or not (port.isascii() and port.isdecimal()):
            raise SettingError(f"{text!r} is not an address; it looks like 127.0.0.1:7687 or [::1]:7687")
        if int(port) > 0xFFFF:
            raise SettingError(f"port {port} is above 65535")
        return cls(bare, int(port))


@dataclass(frozen=True, slots=True)
class ShimSettings:
    """The shim's settings. Times are in seconds."""

    listen: Address
    upstreams: tuple[Address, ...]
    "The server; or several, of which one is MAIN, where clients are connected to."
    listen_tls: ssl.SSLContext | None = field(default=None, repr=False)
    "None: clients speak plain Bolt."
    upstream_tls: ssl.SSLContext | None = field(default=None, repr=False)
    "None: the server speaks plain Bolt."
    upstream_name: str | None = None
    "The name that the server's certificate must be for; None: the host's."
    upstream_user: str = ""
    "As whom several servers are asked which is MAIN. Empty: without signing in."
    upstream_password: str = field(default="", repr=False)
    advertise: Address | None = None
    "What drivers are told, as the address of all servers there are; None: the address that they have used."
    max_connections: int = 4096
    "Clients at the same time; more are reset."
    max_pending: int = 128
    "... of which the server has not accepted so many; one more, and the one that has waited longest is closed."
    websocket_origins: frozenset[str] = frozenset()
    "Web pages that may open a WebSocket, in lower case; `*` is any."
    connect_timeout: float = 5.0
    "For connecting to the server."
    sign_in_timeout: float = 10.0
    "From accepting a client until the server has accepted it, TLS and the handshake included."
    grace: float = 5.0
    "For what is under way when the shim is to stop."

    @property
    def upstream(self) -> str:
        """The servers, for messages."""
        return " or ".join(map(str, self.upstreams))

    def __post_init__(self) -> None:
        for name in ("max_connections", "max_pending", "connect_timeout", "sign_in_timeout", "grace"):
            if getattr(self, name) <= 0:
                raise SettingError(f"{name} is {getattr(self, name)}, and has to be above 0")


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where metrics are served, and as which user the server is asked for those of the streams."""

    listen: Address
    user: str = ""
    "Empty: without signing in."
    password: str = field(default="", repr=False)
    page: bool = False
    "Whether there is a page for people, which shows the texts of errors."
