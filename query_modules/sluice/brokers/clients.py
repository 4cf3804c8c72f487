"""
Makes librdkafka's clients: a stream's configuration, our own settings over it, secrets resolved at the last moment.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from sluice.errors import BrokerError, SettingError
from sluice.host.settings import HIDDEN, PREFIX, SERVERS_OWN
from sluice.values.configuration import OWN_KEYS, SECRETS, Configuration

Client = TypeVar("Client")

SECRET_MAX_BYTES = 1 << 16
"A file that a secret is read from may be this big: what is meant is a key, not a device."

_lock = threading.Lock()  # guards _admins
_admins: WeakValueDictionary[tuple[str, Configuration], AdminClient] = WeakValueDictionary()


def make(
    kind: Callable[[dict[str, Any]], Client],
    name: str,
    uri: str,
    configuration: Configuration,
    *,
    defaults: Mapping[str, Any],
    own: Mapping[str, Any],
) -> Client:
    """
    A client of the brokers at `uri`.

    Args:
        kind: the client's class.
        name: the stream's, for errors.
        defaults: settings that the configuration may override.
        own: settings that it may not.

    Raises:
        SettingError: a secret cannot be resolved.
        BrokerError: librdkafka does not take the settings.
    """
    settings = resolve(name, configuration)
    try:
        return kind({**defaults, **settings, "bootstrap.servers": uri, **own})
    except KafkaException as error:
        reason = error.args[0].str()
    except (TypeError, ValueError) as error:
        reason = str(error)
    for key, value in settings.items():
        if value and value != dict(configuration.kafka)[key]:
            reason = reason.replace(value, HIDDEN)
    what = "the config" if configuration.kafka else f"the URI {uri}"
    hint = f"; the keys that are not librdkafka's are {', '.join(OWN_KEYS)}" if "No such config" in reason else ""
    raise BrokerError(f"Kafka stream {name}, cannot use {what}: {reason}{hint}", retryable=False)


def admin(name: str, uri: str, configuration: Configuration) -> AdminClient:
    """
    The admin client for these brokers: one for all streams that would make the same, gone when the last lets go of it.

    Threads: any; so may the client be used.

    Raises:
        SettingError, BrokerError: as `make`.
    """
    with _lock:
        known = _admins.get((uri, configuration))
    if known is None:
        own = {"log_level": 0}
        known = make(
            AdminClient,
            name,
            uri,
            configuration,
            defaults={"client.id": "sluice", "reconnect.backoff.max.ms": 250},
            own=own,
        )
        with _lock:
            known = _admins.setdefault((uri, configuration), known)
    return known


def resolve(name: str, configuration: Configuration) -> dict[str, str]:
    """
    librdkafka's settings with what the references refer to.

    Raises:
        SettingError: a variable is not set, or a file cannot be read; what they hold is not in the text.
    """
    return {key: _resolved(name, key, value) for key, value in configuration.kafka}


def _resolved(name: str, key: str, value: str) -> str:
    kind, separator, place = value.partition(":")
    if not separator or kind not in ("env", "file"):
        if key in SECRETS:  # only an edit of the node by hand can cause this
            raise _unresolved(name, key, "is a secret and must be env:NAME or file:PATH")
        return value
    if kind == "env":
        # Ours and the server's are the way into the database; nobody who may make a stream gets them sent to a broker
        # of his own.
        if place.startswith((PREFIX, SERVERS_OWN)) or place not in os.environ:
            raise _unresolved(name, key, f"refers to the variable {place}, which the server does not have")
        return os.environ[place]
    try:
        if not Path(place).is_file():
            raise _unresolved(name, key, f"refers to {place}, which is no file")
        with Path(place).open("rb") as file:
            return file.read(SECRET_MAX_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise _unresolved(name, key, f"refers to {place}, which cannot be read: {reason}") from None


def _unresolved(name: str, key: str, what: str) -> SettingError:
    return SettingError(f"Kafka stream {name}, config: {key} {what}")
