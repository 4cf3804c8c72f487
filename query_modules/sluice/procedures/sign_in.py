"""The verb that shows whether a stream has what it signs in to Kafka with, as the server finds it now."""

from __future__ import annotations

from collections.abc import Callable

from sluice.brokers import msk_iam
from sluice.brokers.references import references_in, resolve
from sluice.errors import BrokerError, SettingError
from sluice.host.kafka_properties import uses_msk_iam
from sluice.host.settings import Settings
from sluice.procedures.streams import Row, Streams
from sluice.values.model import StreamSpec

MAX_SKEW = 120.0
"Seconds by which the clock may be wrong. AWS refuses what was signed more than five minutes ahead of its own."


def sign_in(streams: Streams, name: str) -> list[Row]:
    """
    What a stream signs in with: `part, found, trouble` for each part. No rows if its config refers to nothing.

    Shows no secret and asks no broker. It may wait some seconds, without the interpreter lock, for services that give
    credentials or tell the time.

    Raises:
        StreamNotFound, SettingError.
    """
    spec = streams.find(name).spec
    return [_row(part, check) for part, check in _parts(spec, streams.settings)]


def _parts(spec: StreamSpec, settings: Settings) -> list[tuple[str, Callable[[], str]]]:
    kafka = dict(spec.config.kafka)
    parts = [("references", lambda: _references(spec, settings))] if references_in(spec.config) else []
    if uses_msk_iam(kafka):
        parts += [
            ("packages", msk_iam.check_packages),
            ("region", lambda: _region(spec)),
            ("credentials", lambda: f"found by way of {msk_iam.credentials().method}"),
            ("clock", lambda: _clock(_region(spec))),
        ]
    return parts


def _row(part: str, check: Callable[[], str]) -> Row:
    try:
        return {"part": part, "found": check(), "trouble": None}
    except (SettingError, BrokerError) as error:
        return {"part": part, "found": None, "trouble": str(error)}


def _references(spec: StreamSpec, settings: Settings) -> str:
    resolve(spec.name, spec.uri, spec.config, settings.secrets_allow)
    return ", ".join(references_in(spec.config))


def _region(spec: StreamSpec) -> str:
    return spec.config.aws_region or msk_iam.region_of(spec.name, spec.uri)


def _clock(region: str) -> str:
    skew = msk_iam.clock_skew(region)
    if skew is None:
        return "not compared: AWS's does not answer"
    if abs(skew) > MAX_SKEW:
        raise SettingError(f"the server's clock is {abs(skew):.0f} s {'fast' if skew > 0 else 'slow'} by AWS's")
    return f"agrees with AWS's, within {max(abs(skew), 1):.0f} s"
