"""
Checks librdkafka's properties in a stream's config: the one place that all of them pass, whether they come from CREATE
or ALTER, or from a node that may have been edited by hand.

librdkafka has internal, test and undocumented properties, and some of them end or damage the process that uses it. So
everything that is not known to be useful and harmless is refused, and nothing is left to librdkafka's own checks.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sluice.host.kafka_kinds import REFERENCES, File, PropertyKind, Reference
from sluice.host.kafka_refusals import CALLBACK, ON_REQUEST, REFUSED
from sluice.host.kafka_table import ALLOWED, MECHANISM_NAMES, MECHANISMS, MSK_IAM, OAUTH

VARIABLE = "SLUICE_KAFKA_ALLOW"


@dataclass(frozen=True)
class PropertyAllow:
    """The administrator's list: properties of `ON_REQUEST` that streams may have."""

    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> PropertyAllow:
        """
        The list in a setting's text: names separated by commas. Raises ValueError: a name cannot be in the list; the
        text has the reason.
        """
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if _never(name):
                raise ValueError(f"{name} cannot be allowed: {_never(name)}")
            if name not in ON_REQUEST and name not in ALLOWED:
                raise ValueError(f"expected names of {', '.join(sorted(ON_REQUEST))}, with commas between")
        return cls(frozenset(names))

    def __str__(self) -> str:
        return ",".join(sorted(self.names))


UNVERIFIED = {"enable.ssl.certificate.verification": "false", "ssl.endpoint.identification.algorithm": "none"}
"What lets any host pose as a broker."

MAX_TEXT_SHOWN = 80
"How many characters of a name an error repeats."


class WrongProperty(ValueError):
    """
    A property is not allowed, or its value is not. The text begins with the property's name and contains no secret.
    """


def kind_of(key: str) -> PropertyKind | None:
    """The kind of a property's values; None if streams have no such property."""
    if key in ALLOWED:
        return ALLOWED[key].kind
    return ON_REQUEST[key][0] if key in ON_REQUEST else None


def is_reference(key: str, value: str) -> bool:
    """Whether a checked value refers to a secret."""
    return isinstance(kind_of(key), Reference) and value.startswith(REFERENCES)


def is_path(key: str, value: str) -> bool:
    """Whether a checked value is a path that librdkafka opens by itself."""
    return isinstance(kind_of(key), File) and value != "probe"


def checked(
    given: Mapping[str, object], allow: PropertyAllow, buffer_kb: int, others: Collection[str] = ()
) -> tuple[tuple[str, str], ...]:
    """
    The properties as librdkafka takes them, ordered by name; references are kept.

    Args:
        given: name -> value. Names are compared exactly: librdkafka also distinguishes case and blanks.
        allow: the administrator's list.
        buffer_kb: `SLUICE_FETCH_BUFFER_KB`.
        others: keys of a config that are not librdkafka's, to suggest one of them.

    Raises:
        WrongProperty: one is not allowed or has an invalid value, or two cannot be combined.
    """
    for key in given:
        if kind_of(key) is None and not _never(key):
            raise WrongProperty(_unknown(key, others))
    pairs = tuple((key, _value(key, value, allow, buffer_kb)) for key, value in sorted(given.items()))
    values = dict(pairs)
    for key in values:
        other = ALLOWED[key].also if key in ALLOWED else ""
        if other in values:
            raise WrongProperty(f"{key} and {other} are two names of one property: give one of them")
    protocol = values.get("security.protocol", "").lower()
    if protocol.startswith("sasl") and not set(MECHANISM_NAMES) & set(values):
        # librdkafka would take GSSAPI, and run kinit.
        raise WrongProperty(
            f"security.protocol {protocol} also requires sasl.mechanism, one of {', '.join(MECHANISMS)}"
        )
    if uses_msk_iam(values):
        _check_msk_iam(values)
    return pairs


def uses_msk_iam(values: Mapping[str, str]) -> bool:
    """Whether checked properties sign in to Amazon MSK with the server's AWS identity."""
    return any(values.get(name) == MSK_IAM for name in MECHANISM_NAMES)


def _check_msk_iam(values: Mapping[str, str]) -> None:
    # A token can be used for a quarter of an hour by anyone who sees it, so only verified brokers are shown one.
    if values.get("security.protocol", "").lower() != "sasl_ssl":
        raise WrongProperty(f"sasl.mechanism {MSK_IAM} requires security.protocol SASL_SSL")
    for key, weak in UNVERIFIED.items():
        if values.get(key, "").lower() == weak:
            raise WrongProperty(f"{key} {weak} cannot be combined with sasl.mechanism {MSK_IAM}")
    other = next((key for key in values if key.startswith(OAUTH)), None)
    if other is not None:
        raise WrongProperty(f"{other} cannot be combined with sasl.mechanism {MSK_IAM}, which makes its own tokens")


def _value(key: str, value: object, allow: PropertyAllow, buffer_kb: int) -> str:
    kind = kind_of(key)
    if kind is None:
        raise WrongProperty(f"{key} cannot be set: {_never(key)}")
    if key in ON_REQUEST and key not in allow.names:
        why = ON_REQUEST[key][1]
        raise WrongProperty(f"{key} has to be allowed by the administrator, with {VARIABLE}={key}, because {why}")
    text = _text(key, value)
    if text.startswith(REFERENCES) and not isinstance(kind, Reference):
        takes = "it takes a path itself" if isinstance(kind, File) else "those are for secrets and user names"
        raise WrongProperty(f"{key} takes neither env: nor file:, {takes}")
    refusal = kind.refusal(text, buffer_kb)
    if refusal:
        raise WrongProperty(f"{key} {refusal}")
    return text


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise WrongProperty(f"{key} must be text, an integer, true or false, got a {type(value).__name__}")
    return value


def _never(key: str) -> str:
    """Why no stream can have a property; empty if it can, or if the property is unknown."""
    return REFUSED.get(key, CALLBACK if key.endswith("_cb") else "")


def _unknown(key: str, others: Collection[str]) -> str:
    shown = key if key.isprintable() and len(key) <= MAX_TEXT_SHOWN else repr(key[:MAX_TEXT_SHOWN])
    near = difflib.get_close_matches(key.strip().lower(), [*others, *ALLOWED], 1, 0.8)
    if near:
        return f"there is no key {shown}; did you mean {near[0]}?"
    ours = f"Sluice's own keys are {', '.join(others)}" if others else "Sluice has no such key"
    return f"there is no key {shown}; {ours}, those of librdkafka are in docs/kafka-security.md"
