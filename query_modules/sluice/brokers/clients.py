"""
Makes librdkafka's clients: a stream's configuration, our own settings over it, references resolved at the last moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from confluent_kafka import KafkaException

from sluice.brokers import msk_iam
from sluice.brokers.references import Resolved, resolve
from sluice.errors import BrokerError
from sluice.host.kafka_properties import uses_msk_iam
from sluice.host.kafka_refusals import ON_REQUEST
from sluice.host.kafka_table import ALLOWED
from sluice.host.settings import in_force
from sluice.values.configuration import Configuration

Client = TypeVar("Client")

EXPLANATIONS = (
    ("key values mismatch", "the key is not the certificate's"),
    ("mac verify failure", "the password is not the keystore's"),
    ("PKCS#12", "it is no keystore in PKCS#12 format"),
    ("no certificate or crl found", "there is no certificate in it"),
    ("not in PEM format", "it is not in PEM format, or the password is not the key's"),
    ("PEM lib", "it is not in PEM format, or the password is not the key's"),
    ("no cipher match", "OpenSSL has none of these"),
    ("No such configuration property", "this version of it has no such property"),
    ("must be greater than", "the first must be greater than the second"),
    ("must be >=", "the first must be at least the second"),
    ("must be set", "what belongs together has to be set together"),
    ("is mandatory", "what belongs together has to be set together"),
)
"""
What librdkafka's refusals have in them, and what that means. Only these words of ours are told where a secret or a file
is among the properties: its own may quote them.
"""

POSITIONS_OF_THE_GRAPH: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
}
"Of consumers that are told where to read, and that change nothing."

READS_LITTLE: Mapping[str, Any] = {"queued.min.messages": 1, "queued.max.messages.kbytes": 1}
"""
Of consumers that give no stream its messages. librdkafka's own value of `fetch.max.bytes` follows from the second, and
would otherwise be more than a stream's `receive.message.max.bytes` may allow.
"""


class Shared(Generic[Client]):
    """
    One client for all streams that would make the same, gone when the last lets go of it.

    Threads: any.
    """

    def __init__(self, new: Callable[[str, str, Configuration], Client]) -> None:
        """`new`: makes a client, for a stream's name, its URI and its configuration."""
        self._new = new
        self._lock = threading.Lock()  # guards _known
        self._known: WeakValueDictionary[tuple[str, Configuration], Client] = WeakValueDictionary()

    def get(self, name: str, uri: str, configuration: Configuration) -> Client:
        """The client for these brokers, which others may have as well. Raises SettingError, BrokerError: as `make`."""
        with self._lock:
            known = self._known.get((uri, configuration))
        if known is None:
            new = self._new(name, uri, configuration)
            with self._lock:
                known = self._known.setdefault((uri, configuration), new)
        return known

    def forget(self, client: Client) -> None:
        """Whoever asks for this client next gets another. Those that have it may go on to use it."""
        with self._lock:
            for key, known in list(self._known.items()):
                if known is client:
                    del self._known[key]


def make(  # noqa: PLR0913 - whose client, of what, with which settings
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
        SettingError: something that the configuration refers to is not let out, or cannot be read; a package that it
            needs is missing.
        BrokerError: librdkafka does not take the settings; there are no AWS credentials to sign in with.
    """
    resolved = resolve(name, uri, configuration, in_force().secrets_allow)
    if uses_msk_iam(dict(configuration.kafka)):
        own = {**own, **msk_iam.sign_in(name, uri, configuration.aws_region, own.get("error_cb"))}
    if "debug" in resolved.values and "logger" in own:
        own = {**own, "log_level": 7}  # the administrator has allowed it, and wants to see it
    try:
        return kind({**defaults, **resolved.values, "bootstrap.servers": uri, **own})
    except KafkaException as error:
        reason, code = error.args[0].str(), error.args[0].name()
    except (TypeError, ValueError) as error:
        reason, code = str(error), type(error).__name__
    if resolved.withheld:
        reason = _withheld(reason, code, resolved)
    what = "the config" if configuration.kafka else f"the URI {uri}"
    raise BrokerError(f"Kafka stream {name}, cannot use {what}: {reason}", retryable=False)


def _withheld(reason: str, code: str, resolved: Resolved) -> str:
    """What librdkafka says of properties among which a secret or a file is, without a word of its own."""
    places: dict[int, str] = {}
    for key in sorted((key for key in (*ALLOWED, *ON_REQUEST) if "." in key), key=len):  # the longest stays
        if key in reason:
            places[reason.index(key)] = key
    of = ", ".join(places[place] for place in sorted(places)) or ", ".join(resolved.withheld)
    why = next((f": {text}" for part, text in EXPLANATIONS if part in reason), "")
    return f"librdkafka does not take {of} ({code}){why}; its own message is withheld, because it may quote a secret"
