"""
Looks up what a stream's config refers to, at the last moment, and only what the administrator lets out to the brokers
of that stream (`secrets_allowed`): secrets, the files that librdkafka opens by itself, and the server's AWS identity.

A file that librdkafka opens is held to the same list, since its errors quote what it reads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass

from sluice.errors import SettingError
from sluice.host.kafka_kinds import File, PropertyKind, Reference, Url
from sluice.host.kafka_properties import is_path, is_reference, kind_of
from sluice.host.kafka_table import MECHANISM_NAMES, MSK_IAM, OAUTH, TOKEN_ENDPOINT
from sluice.host.secrets_allowed import VARIABLE, SecretsAllow, brokers_of, is_within
from sluice.values.configuration import Configuration

MAX_BYTES = 1 << 16
"Of a file that a secret is read from: what is meant is a key."

AUTHORITIES = (
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
)
"Where systems have the certificates of authorities, which everybody may read."


@dataclass(frozen=True)
class Resolved:
    """librdkafka's properties with what they refer to."""

    values: dict[str, str]
    withheld: tuple[str, ...]
    "Properties that hold a secret, or have librdkafka read a file: what it says of their values is nobody's business."


def resolve(stream: str, uri: str, configuration: Configuration, allow: SecretsAllow) -> Resolved:
    """
    librdkafka's properties, ready for a client.

    Args:
        stream: its name, for errors.
        uri: of the brokers that the client is for.
        allow: what may be let out to them.

    Raises:
        SettingError: something is not let out, is not there or cannot be read; what it holds is not in the text.
    """
    endpoint = Url().place(dict(configuration.kafka).get(TOKEN_ENDPOINT, ""))
    values, withheld = {}, []
    for key, value in configuration.kafka:
        identity = _is_identity(key, value)
        if not identity and not is_reference(key, value) and not is_path(key, value):
            values[key] = value
            continue
        lookup = SecretLookup(f"Kafka stream {stream}, config: {key}", kind_of(key), allow, _peers(uri, key, endpoint))
        if identity:
            lookup.check_identity(value)
            values[key] = "OAUTHBEARER"  # the mechanism by which librdkafka hands over the token
            continue
        values[key] = lookup.secret(value) if is_reference(key, value) else lookup.path(value)
        withheld.append(key)
    return Resolved(values, tuple(withheld))


def references_in(configuration: Configuration) -> list[str]:
    """What `resolve` looks up, as the config has it."""
    looked_up = (_is_identity, is_reference, is_path)
    return [value for key, value in configuration.kafka if any(is_one(key, value) for is_one in looked_up)]


def is_public(key: str, path: str) -> bool:
    """Whether the property names certificates of authorities that the system itself has, which everybody may read."""
    kind = kind_of(key)
    return isinstance(kind, File) and kind.authorities and _is_of_the_system(os.path.realpath(path))


def _is_identity(key: str, value: str) -> bool:
    return key in MECHANISM_NAMES and value == MSK_IAM


def _is_of_the_system(real: str) -> bool:
    return any(is_within(real, os.path.realpath(place)) for place in AUTHORITIES)


def _peers(uri: str, key: str, endpoint: str) -> frozenset[str] | None:
    """Who gets to see what `key` refers to, or a proof of it; None if that is not plain."""
    # Secrets of OAuth are sent to where tokens come from, which the stream's creator chose as well.
    places = [uri, endpoint] if key.startswith(OAUTH) and endpoint else [uri]
    try:
        return brokers_of(",".join(places))
    except ValueError:
        return None


class SecretLookup:
    """Looks up what one value refers to. Raises SettingError, as `resolve`."""

    def __init__(
        self, where: str, kind: PropertyKind | None, allow: SecretsAllow, peers: Collection[str] | None
    ) -> None:
        """
        Args:
            where: the value's place, which errors begin with.
            kind: what it may be.
            peers: who gets to see what it refers to; None: that is not plain.
        """
        self._where = where
        self._kind = kind
        self._allow = allow
        self._peers = peers or ()

    def secret(self, reference: str) -> str:
        """What a reference refers to."""
        kind, _, place = reference.partition(":")
        text = self._variable(place) if kind == "env" else self._content(place)
        refusal = self._kind.content_refusal(text) if isinstance(self._kind, Reference) else ""
        if refusal:
            raise self._error(f"refers to {'the variable ' if kind == 'env' else ''}{place}, which {refusal}")
        return text

    def path(self, path: str) -> str:
        """The real path of a file that librdkafka opens."""
        authorities = isinstance(self._kind, File) and self._kind.authorities
        real = os.path.realpath(path)
        public = authorities and _is_of_the_system(real)
        if not (public and not self._allow.is_kept_back(real)) and not self._allow.allows_file(real, self._peers):
            raise self._not_let_out(path, path)
        try:
            mode = os.stat(real).st_mode
        except OSError as error:
            raise self._error(f"names {path}, which cannot be read: {error.strerror}") from None
        if not (stat.S_ISREG(mode) or (authorities and stat.S_ISDIR(mode))):
            raise self._error(f"names {path}, which is not a regular file{' or folder' if authorities else ''}")
        return real

    def check_identity(self, name: str) -> None:
        """Checks that the server's own identity, which the list has by this name, may be shown."""
        if not self._allow.allows_variable(name, self._peers):
            raise self._not_let_out("the server's AWS identity", name)

    def _variable(self, name: str) -> str:
        if not self._allow.allows_variable(name, self._peers):
            raise self._not_let_out(f"the variable {name}", name)
        if name not in os.environ:
            raise self._error(f"refers to the variable {name}, which the server does not have")
        return os.environ[name].rstrip("\r\n")

    def _content(self, path: str) -> str:
        real = os.path.realpath(path)
        if not self._allow.allows_file(real, self._peers):
            raise self._not_let_out(path, path)
        try:
            # Opening waits for nobody, and follows no link that has taken the file's place meanwhile.
            descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise self._error(f"refers to {path}, which cannot be read: {error.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._error(f"refers to {path}, which is not a regular file")
            if not self._allow.allows_file(_opened(descriptor, real), self._peers):
                raise self._not_let_out(path, path)
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_BYTES + 1)
        finally:
            os.close(descriptor)
        if len(content) > MAX_BYTES:
            raise self._error(f"refers to {path}, which has more than {MAX_BYTES} bytes")
        try:
            return content.decode().rstrip("\r\n")
        except UnicodeError:
            raise self._error(f"refers to {path}, which is not UTF-8") from None

    def _not_let_out(self, what: str, place: str) -> SettingError:
        # Said whether or not it is there.
        if self._allow.never_lets_out(place):
            return self._error(f"refers to {what}, which is never allowed")
        if "," in place:
            return self._error(f"refers to {what}, which cannot be let out: {VARIABLE} has commas between its parts")
        to = ", ".join(sorted(self._peers)) or "the stream's brokers, whose URI is not plainly host:port"
        wanted = self._allow.with_place(place, self._peers)
        return self._error(
            f"refers to {what}, which is not allowed for {to}; the administrator can allow it: "
            f"{VARIABLE}={wanted} in the server's environment"
        )

    def _error(self, what: str) -> SettingError:
        return SettingError(f"{self._where} {what}")


def _opened(descriptor: int, path: str) -> str:
    """Where the open file really is, which was at `path` before."""
    link = f"/proc/self/fd/{descriptor}"
    return os.path.realpath(link) if os.path.lexists(link) else path
