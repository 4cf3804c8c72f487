"""
A stream's `config`: the map that CREATE takes in addition to the clause's own options.

Our own keys say what happens when something cannot be applied, and what the script is configured with (`transform`);
every other key is a property of librdkafka (`kafka_properties`), passed on to whatever talks to Kafka for the stream.
Secrets are given by reference (`env:NAME`, `file:PATH`) and stay references here and in the graph: `references`
resolves them when a client is made.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sluice.errors import SettingError
from sluice.host import kafka_properties, settings
from sluice.host.kafka_properties import WrongProperty
from sluice.host.kafka_table import MSK_IAM
from sluice.values.lane import MAX_LANES
from sluice.values.options import NO_OPTIONS, Options, options_of
from sluice.values.seek_target import start_of

Choice = TypeVar("Choice", bound=enum.Enum)


class OnError(str, enum.Enum):
    """What a stream does with a message that cannot be applied."""

    STOP = "stop"
    SKIP = "skip"
    PARK = "park"
    "As a node, for `streams.retry`."
    DEAD_LETTER = "dead_letter"


class OnGap(str, enum.Enum):
    """What a stream does when Kafka no longer has the messages at its position."""

    STOP = "stop"
    SKIP = "skip"


class Isolate(str, enum.Enum):
    """How the message that makes a batch fail is found."""

    BISECT = "bisect"
    NEVER = "never"
    "It is not searched for: the batch fails as a whole. For transforms that depend on the whole batch."


class MessageSource(str, enum.Enum):
    """What the messages of a stream's topic are."""

    MESSAGES = "messages"
    DEAD_LETTERS = "dead_letters"
    "Of other streams: the transform gets the messages that they were."


OWN_KEYS = (
    *("aws_region", "dead_letter_topic", "fold", "isolate", "lanes", "park_limit", "partitions", "on_error", "on_gap"),
    *("source", "start", "transform"),
)

REGION = re.compile(r"[a-z]{2,5}(-[a-z]{2,12})+-[0-9]{1,2}")
"The name of a region of AWS."

MAX_PARKED = 100_000
"Parked messages that a stream may be allowed."

MAX_PARTITION = 2**31 - 1


@dataclass(frozen=True)
class Configuration:
    """A whole configuration, checked. Two are equal if their streams would behave the same."""

    on_error: OnError = OnError.STOP
    dead_letter_topic: str | None = None
    isolate: Isolate = Isolate.BISECT
    on_gap: OnGap = OnGap.STOP
    park_limit: int = 1000
    "With PARK, how many messages may be parked at a time; at the next one the stream stops."
    start: str | int = "earliest"
    "Where a new stream begins: earliest, latest, or a time in ISO 8601 or milliseconds since 1970."
    lanes: int | str = 1
    "How many workers the partitions are dealt to; 'auto': as many as there are partitions and cores."
    partitions: tuple[int, ...] = ()
    "The partitions that the stream reads, ascending; empty: all."
    source: MessageSource = MessageSource.MESSAGES
    fold: bool = True
    "Whether equal consecutive queries may become one where that gives the same graph."
    transform: Options = NO_OPTIONS
    "What the script's `configure(options)` is given."
    aws_region: str | None = None
    "Of the Amazon MSK cluster that the stream signs in to; None: its brokers' names have it."
    kafka: tuple[tuple[str, str], ...] = ()
    "librdkafka's settings, ordered by name; secrets as references."

    def as_map(self) -> dict[str, Any]:
        """What differs from the defaults; holds no secret."""
        own = {name: getattr(self, name) for name in OWN_KEYS if getattr(self, name) != getattr(DEFAULT, name)}
        plain = {name: _plain(value) for name, value in own.items()}
        options = {"transform": self.transform.as_map()} if "transform" in own else {}
        return plain | options | dict(self.kafka)

    def encode(self) -> str:
        """As the stream's node holds it: JSON, equal for equal configurations."""
        return json.dumps(self.as_map(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


DEFAULT = Configuration()


def configuration_of(stream: str, given: Mapping[str, Any] | None) -> Configuration:
    """
    The configuration that a map asks for, as far as the settings in force allow it.

    Args:
        stream: its name, for errors.
        given: key -> value; a key whose value is None counts as absent.

    Raises:
        SettingError: a key or a value is impossible, or not allowed. No value that may be a secret is repeated.
    """
    present = {str(key): value for key, value in (given or {}).items() if value is not None}
    configuration = Configuration(
        on_error=_choice(stream, present, "on_error", DEFAULT.on_error),
        dead_letter_topic=_topic(stream, present.get("dead_letter_topic")),
        isolate=_choice(stream, present, "isolate", DEFAULT.isolate),
        on_gap=_choice(stream, present, "on_gap", DEFAULT.on_gap),
        park_limit=_count(stream, "park_limit", present.get("park_limit", DEFAULT.park_limit), MAX_PARKED),
        lanes=_lanes(stream, present.get("lanes", DEFAULT.lanes)),
        partitions=_partitions(stream, present.get("partitions")),
        source=_choice(stream, present, "source", DEFAULT.source),
        start=_start(stream, present.get("start", DEFAULT.start)),
        fold=_truth(stream, "fold", present.get("fold", DEFAULT.fold)),
        transform=_options(stream, present.get("transform")),
        aws_region=_region(stream, present.get("aws_region")),
        kafka=_kafka(stream, {key: value for key, value in present.items() if key not in OWN_KEYS}),
    )
    if configuration.on_error is OnError.DEAD_LETTER and configuration.dead_letter_topic is None:
        raise _wrong(stream, "on_error dead_letter needs a dead_letter_topic")
    if configuration.aws_region is not None and not kafka_properties.uses_msk_iam(dict(configuration.kafka)):
        raise _wrong(stream, f"aws_region is for sasl.mechanism {MSK_IAM}")
    return configuration


def decode(stream: str, text: str) -> Configuration:
    """
    The reverse of `encode`. Raises SettingError: the node was edited by hand into something invalid, or the settings no
    longer allow it.
    """
    return configuration_of(stream, _object(stream, text))


def decode_changed(stream: str, text: str, changes: Mapping[str, Any]) -> Configuration:
    """
    The configuration in `text` with `changes` applied, each key as a whole; None resets one to its default. `text`
    itself may be invalid, or no longer allowed: only the result is checked. Raises SettingError: a key or a value is
    impossible, or not allowed.
    """
    held = _object(stream, text)
    start = held.get("start", DEFAULT.start)
    if changes.get("start", start) != start:
        raise _wrong(stream, "start is where a new stream begins; SEEK STREAM sends this one elsewhere")
    return configuration_of(stream, {**held, **changes})


def _object(stream: str, text: str) -> dict[str, Any]:
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise _wrong(stream, "the stream's node must hold it as a JSON object")
    return given


def _kafka(stream: str, given: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    here = settings.in_force()
    try:
        return kafka_properties.checked(given, here.kafka_allow, here.fetch_buffer_kb, OWN_KEYS)
    except WrongProperty as error:
        raise _wrong(stream, str(error)) from None


def _choice(stream: str, given: Mapping[str, Any], key: str, default: Choice) -> Choice:
    try:
        return type(default)(given.get(key, default))
    except ValueError:
        choices = ", ".join(choice.value for choice in type(default))
        raise _wrong(stream, f"{key} must be one of {choices}, got {given[key]!r}") from None


def _topic(stream: str, value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip() or not value.isprintable()):
        raise _wrong(stream, f"dead_letter_topic must be printable text and not empty, got {value!r}")
    return value


def _region(stream: str, value: object) -> str | None:
    # It becomes part of the name of a host.
    if value is not None and (not isinstance(value, str) or not REGION.fullmatch(value)):
        raise _wrong(stream, f"aws_region must be the name of a region, such as eu-west-1, got {value!r}")
    return value


def _truth(stream: str, key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(stream, f"{key} must be true or false, got {value!r}")
    return value


def _options(stream: str, value: object) -> Options:
    try:
        return options_of(value)
    except SettingError as error:
        raise _wrong(stream, str(error)) from None


def _start(stream: str, value: Any) -> str | int:
    start_of(f"Kafka stream {stream}, config: start", value)
    return value if isinstance(value, str | int) else str(value.isoformat())


def _lanes(stream: str, value: object) -> int | str:
    if value == "auto":
        return "auto"
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_LANES:
        raise _wrong(stream, f"lanes must be an integer from 1 to {MAX_LANES}, or 'auto', got {value!r}")
    return value


def _partitions(stream: str, value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    numbers = value if isinstance(value, list | tuple) else ()
    are_numbers = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if not numbers or not are_numbers or not 0 <= min(numbers) <= max(numbers) <= MAX_PARTITION:
        raise _wrong(stream, f"partitions must be a list of the numbers of partitions, such as [0, 3], got {value!r}")
    if len(set(numbers)) < len(numbers):
        raise _wrong(stream, f"partitions must have each number once, got {value!r}")
    return tuple(sorted(numbers))


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _count(stream: str, key: str, value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _wrong(stream, f"{key} must be an integer from 1 to {most}, got {value!r}")
    return value


def _wrong(stream: str, what: str) -> SettingError:
    return SettingError(f"Kafka stream {stream}, config: {what}")
