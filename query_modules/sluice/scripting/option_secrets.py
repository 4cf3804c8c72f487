"""
Looks up the secrets of a transform's options before its process gets them: those of the map `registry`, by which schema
registries are asked (`decoding.registry_options`).

They are held to the list of `SLUICE_SECRETS_ALLOW`, as those for brokers are: who creates a stream says where it asks.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sluice.brokers.references import SecretLookup
from sluice.errors import SettingError
from sluice.host.kafka_kinds import File
from sluice.host.secrets_allowed import SecretsAllow, broker

REGISTRY = "registry"

SECRETS, FILES = ("basic_auth", "bearer_token"), ("ca", "certificate", "key")
"Options of a registry that refer to a secret, and those that name a file."

REFERENCES = ("env:", "file:")

PORTS = {"http": 80, "https": 443}


def looked_up(options: dict[str, Any], allow: SecretsAllow) -> dict[str, Any]:
    """
    The options, with secrets in place of references.

    Returns:
        a tuple for each secret, user and password or the token: nothing that was given has that form.

    Raises:
        SettingError: one is not let out to the registry, is not there or cannot be read; no secret is in the text.
    """
    registry = options.get(REGISTRY)
    if not isinstance(registry, dict):
        return options
    peers = _peers(registry.get("url"))
    found = dict(registry)
    for name in SECRETS + FILES:
        value = registry.get(name)
        if not isinstance(value, str):
            continue
        where = f"transform option {REGISTRY}.{name}"
        lookup = SecretLookup(where, File(authorities=name == "ca"), allow, peers)
        if name in FILES and value.startswith("/"):
            found[name] = lookup.path(value)
        elif name in SECRETS and value.startswith(REFERENCES):
            found[name] = _parts(name, lookup.secret(value), where)
    return {**options, REGISTRY: found}


def _parts(name: str, secret: str, where: str) -> tuple[str, ...]:
    if name != "basic_auth":
        return (secret,)
    user, colon, password = secret.partition(":")
    if not colon:
        raise SettingError(f"{where} refers to something that is not of the form user:password")
    return user, password


def _peers(given: object) -> frozenset[str] | None:
    """Host and port of the registries; None if that is not plain."""
    urls = [given] if isinstance(given, str) else given
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        return None
    try:
        parts = [urlsplit(url) for url in urls]
        return frozenset(broker(f"{_host(part.hostname)}:{part.port or PORTS[part.scheme]}") for part in parts)
    except (ValueError, KeyError):
        return None


def _host(name: str | None) -> str:
    return f"[{name}]" if name and ":" in name else name or ""
