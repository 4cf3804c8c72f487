"""
How a schema registry is reached: the map `registry` of a decoder's options.

    url            http:// or https://, to where the registry's paths begin; or a list of them, tried in turns
    basic_auth     'env:NAME' or 'file:PATH', which holds user:password
    bearer_token   the same, of a token
    ca             file of the authorities to trust; without it those of the machine
    certificate    file of the client's certificate and, without `key`, of its key
    key            file of that key
    timeout        seconds that a message waits for a schema before the stream reports it, 5 if nothing is said

References to secrets in a stream's options are looked up before they come here, since a transform process sees no
variables (`scripting.option_secrets`): they are tuples then. A script can give such tuples by itself, and read files.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sluice.decoding.refusals import WrongOption

TIMEOUT = 5.0
"Seconds; less than a transform has for a batch, so that it is the registry that is named."

MAX_TIMEOUT = 300.0

FILE = "file:"
"Begins a reference to a secret."

NAMES = ("url", "basic_auth", "bearer_token", "ca", "certificate", "key", "timeout")


@dataclass(frozen=True)
class RegistryOptions:
    """How a registry is reached. Holds no secret, but where one is; a script's own excepted, which no `repr` shows."""

    urls: tuple[str, ...]
    authorization: tuple[str, Any] | None
    "Scheme, and what the header is made of."
    ca: str | None
    certificate: tuple[str, str | None] | None
    timeout: float

    def __repr__(self) -> str:
        return f"RegistryOptions({', '.join(self.urls)})"

    def trust(self) -> ssl.SSLContext:
        """For TLS. Raises OSError if a file cannot be used; its text may be the file's name alone."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(*self.certificate)
        return context

    def headers(self) -> dict[str, str]:
        """What says who asks; read anew, since a token may be replaced. Raises OSError, ValueError."""
        if self.authorization is None:
            return {}
        scheme, given = self.authorization
        secret = ":".join(given) if isinstance(given, tuple) else _content(given)
        if scheme == "Basic":
            if ":" not in secret:
                raise ValueError(f"{given} does not hold user:password")
            secret = b64encode(secret.encode()).decode()
        return {"Authorization": f"{scheme} {secret}"}


def registry_options(given: object) -> RegistryOptions:
    """What the map means. Raises WrongOption; no value that may be a secret is repeated."""
    if not isinstance(given, Mapping):
        raise WrongOption("the option registry must be a map, as {url: 'http://localhost:8081'}")
    unknown = sorted(str(name) for name in given if name not in NAMES)
    if unknown:
        raise WrongOption(f"the option registry has no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if given.get("basic_auth") is not None and given.get("bearer_token") is not None:
        raise WrongOption("the option registry has basic_auth and bearer_token: a registry takes one of them")
    authorization = None
    if given.get("basic_auth") is not None:
        authorization = ("Basic", _secret("basic_auth", given["basic_auth"]))
    elif given.get("bearer_token") is not None:
        authorization = ("Bearer", _secret("bearer_token", given["bearer_token"]))
    certificate, key = _path(given, "certificate"), _path(given, "key")
    if key is not None and certificate is None:
        raise WrongOption("the option registry has a key without a certificate")
    timeout = given.get("timeout", TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_TIMEOUT:
        raise WrongOption(f"the option registry.timeout must be seconds, up to {MAX_TIMEOUT:g}")
    pair = None if certificate is None else (certificate, key)
    return RegistryOptions(_urls(given.get("url")), authorization, _path(given, "ca"), pair, float(timeout))


def _urls(given: object) -> tuple[str, ...]:
    urls = [given] if isinstance(given, str) else given
    if not isinstance(urls, (list, tuple)) or not urls:
        raise WrongOption("the option registry.url is missing: http:// or https://, or a list of such")
    for url in urls:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise WrongOption("the option registry.url must begin with http:// or https:// and a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise WrongOption("the option registry.url has a password or a query; basic_auth is for the password")
    return tuple(str(url).rstrip("/") for url in urls)


def _secret(name: str, given: object) -> str | tuple[str, ...]:
    if isinstance(given, tuple) and len(given) == (2 if name == "basic_auth" else 1):
        return tuple(map(str, given))
    if isinstance(given, str) and given.startswith(FILE) and given.removeprefix(FILE).startswith("/"):
        return given.removeprefix(FILE)
    raise WrongOption(f"the option registry.{name} must be 'env:NAME' or 'file:/path' of what holds it, not the secret")


def _path(given: Mapping[str, Any], name: str) -> str | None:
    path = given.get(name)
    if path is None:
        return None
    if not isinstance(path, str) or not path.startswith("/"):
        raise WrongOption(f"the option registry.{name} must be the path of a file")
    return path


def _content(path: str) -> str:
    return Path(path).read_text("utf-8").strip()
