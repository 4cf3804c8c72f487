"""
A session of `requests` that decides nothing by itself: no proxies, no passwords from files, no redirects, and the
certificates that this machine trusts, or those that it is given.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

USER_AGENT = "sluice/1"


class _Trusts(HTTPAdapter):
    """Trusts what it is told, in the place of the list of authorities that `requests` brings along."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        self._trust = trust
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        super().init_poolmanager(*arguments, **keywords, ssl_context=self._trust)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if urlsplit(url).scheme.lower() == "https":
            conn.cert_reqs = "CERT_REQUIRED"


def session(trust: ssl.SSLContext | None = None) -> requests.Session:
    """
    A new session; `allow_redirects` is for each request to say.

    Args:
        trust: for TLS; None: what this machine trusts.
    """
    made = requests.Session()
    made.trust_env = False
    made.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Connection": "close"})
    made.mount("https://", _Trusts(trust or ssl.create_default_context()))
    return made


def prepared(session: requests.Session, url: str) -> requests.PreparedRequest:
    """A GET as it will be sent: its `url` is the one that is connected to."""
    return session.prepare_request(requests.Request("GET", url))
