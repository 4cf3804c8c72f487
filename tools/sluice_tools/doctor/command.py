"""`sluice doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sluice import __version__
from sluice.errors import SettingError
from sluice.host.settings import Settings
from sluice.host.transform_access import CONFINEMENT
from sluice_tools.doctor.bolt import Target, parse_uri
from sluice_tools.doctor.checks import Check, Finding, Outcome, examine
from sluice_tools.doctor.server import Server
from sluice_tools.doctor.shim import shim_check
from sluice_tools.doctor.streams import Clusters, stream_checks
from sluice_tools.doctor.transform import ALLOW, KEY, LISTED, examine_admission, examine_confinement, examine_transform
from sluice_tools.terminal import Authorities, PasswordFile, User, password_of, show, show_json, visible

STYLES = {Outcome.OK: "green", Outcome.NOTE: "", Outcome.FIX: "bold red", Outcome.SKIPPED: "dim"}


def doctor(
    uri: Annotated[
        str, typer.Option(metavar="URI", help="Memgraph's own Bolt port; bolt+s:// for TLS, bolt+ssc:// unverified.")
    ] = "bolt://127.0.0.1:7687",
    user: User = "",
    password_file: PasswordFile = None,
    ca: Authorities = None,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="Check this stream. Without: all of them.")] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Look at these brokers, before there is a stream.")
    ] = None,
    topic: Annotated[str | None, typer.Option(metavar="TOPIC", help="... and at this topic of theirs.")] = None,
    transform: Annotated[str | None, typer.Option(metavar="URI", help="Look at this script.")] = None,
    shim: Annotated[str | None, typer.Option(metavar="URI", help="Look at the shim at this address.")] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="For each answer.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """
    Check every component between this machine and the data, and report that it is OK, or what to do.

    Changes nothing. Exit code 0: everything is OK. 1: something has to be done. 2: the options are wrong.
    """
    if (kafka is None) != (topic is None):
        raise typer.BadParameter("each needs the other", param_hint="--kafka, --topic")
    who = (user, password_of(password_file, "--password-file"), ca, timeout)
    target = target_of(uri, "--uri", who)
    shim_target = target_of(shim, "--shim", who) if shim else None
    server, clusters = Server(target), Clusters(timeout)

    def checks() -> Iterator[Check]:
        """The rows of this call; those about streams depend on which the server says that it has."""
        yield from server.checks()
        yield Check("scripts", ("procedures",), lambda: examine_admission(server.setting(KEY), server.setting(LISTED)))
        yield Check("sandbox", ("procedures",), lambda: examine_confinement(server.setting(CONFINEMENT)))
        if stream or not kafka:
            yield from stream_checks(server, stream, clusters)
        if kafka and topic:
            yield from clusters.get(kafka).checks(topic)
        if transform:
            limits = Settings(script_timeout=timeout)
            yield Check("transform", (), lambda: examine_transform(transform, limits, server.setting(ALLOW)))
        if shim_target:
            yield shim_check(shim_target)

    findings = []
    console = Console()
    try:
        for finding in examine(checks()):
            findings.append(finding)
            if not as_json:
                show(console, line_of(finding), STYLES[finding.outcome])
    finally:
        server.close()
    well = not any(finding.outcome is Outcome.FIX for finding in findings)
    if as_json:
        report = {"well": well, "version": __version__, "server": str(target)}
        show_json({**report, "checks": [finding.as_dict() for finding in findings]})
    raise typer.Exit(0 if well else 1)


def line_of(finding: Finding) -> str:
    """A finding in a line."""
    remedy = f". To do: {finding.remedy}" if finding.remedy else ""
    return visible(f"{finding.outcome.value:<7}  {finding.check:<10}  {finding.text}{remedy}")


def target_of(uri: str, option: str, who: tuple[str, str, Path | None, float]) -> Target:
    """
    The server that options name.

    Args:
        who: user, password, the authorities' file, and the timeout in seconds.

    Raises:
        BadParameter: of `option`.
    """
    try:
        scheme, address = parse_uri(uri)
        target = Target(scheme, address, *who)
        target.tls(verified=True)
    except SettingError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    return target
