"""`sluice doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sluice import __version__
from sluice.errors import SettingError
from sluice.host.settings import Settings
from sluice_tools.doctor.bolt import Target, parse_uri
from sluice_tools.doctor.findings import Finding, Verdict
from sluice_tools.doctor.server import Server
from sluice_tools.doctor.shim import examine_shim
from sluice_tools.doctor.streams import Clusters, examine_streams
from sluice_tools.doctor.transform import ALLOW, KEY, LISTED, examine_admission, examine_transform
from sluice_tools.terminal import show, show_json, visible

PASSWORD = "MEMGRAPH_PASSWORD"
"The variable that the password may be in."

STYLES = {Verdict.OK: "green", Verdict.NOTE: "", Verdict.FIX: "bold red", Verdict.SKIPPED: "dim"}


def doctor(
    uri: Annotated[
        str, typer.Option(metavar="URI", help="Memgraph's own Bolt port; bolt+s:// for TLS, bolt+ssc:// unverified.")
    ] = "bolt://127.0.0.1:7687",
    user: Annotated[str, typer.Option(metavar="NAME", help=f"Whom to sign in as; the password is in {PASSWORD}.")] = "",
    password_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="... or in this file.", exists=True, dir_okay=False)
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Who may have signed certificates (PEM)."),
    ] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Look at this stream. Without: at all of them.")
    ] = None,
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
    try:
        password = password_file.read_text(encoding="utf-8").rstrip("\r\n") if password_file else None
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter("cannot be read as text", param_hint="--password-file") from error
    who = (user, password if password is not None else os.environ.get(PASSWORD, ""), ca, timeout)
    target = _target(uri, "--uri", who)
    shim_target = _target(shim, "--shim", who) if shim else None

    def examine() -> Iterator[Finding]:
        server = Server(target)
        clusters = Clusters(timeout)
        allowed = None
        try:
            yield from server.examine()
            allowed = server.setting(ALLOW)
            if server.streams is not None:
                yield examine_admission(server.setting(KEY), server.setting(LISTED))
            if server.streams is not None and (stream or not kafka):
                yield from examine_streams(server, stream, clusters)
        finally:
            server.close()
        if kafka and topic:
            yield from clusters.get(kafka).examine(topic)
        if transform:
            yield examine_transform(transform, Settings(script_timeout=timeout), allowed)
        if shim_target:
            yield examine_shim(shim_target)

    findings = []
    console = Console()
    for finding in examine():
        findings.append(finding)
        if not as_json:
            show(console, line_of(finding), STYLES[finding.verdict])
    well = not any(finding.verdict is Verdict.FIX for finding in findings)
    if as_json:
        checks = [finding.as_dict() for finding in findings]
        show_json({"well": well, "version": __version__, "server": str(target), "checks": checks})
    raise typer.Exit(0 if well else 1)


def line_of(finding: Finding) -> str:
    """A finding in a line."""
    remedy = f". To do: {finding.remedy}" if finding.remedy else ""
    return visible(f"{finding.verdict.value:<7}  {finding.check:<10}  {finding.text}{remedy}")


def _target(uri: str, option: str, who: tuple[str, str, Path | None, float]) -> Target:
    try:
        scheme, address = parse_uri(uri)
        target = Target(scheme, address, *who)
        target.tls(verified=True)
    except SettingError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    return target
