"""
The `sluice` command: installs the modules, looks whether all is well, shows the streams live, tries a transform, shows
what a clause becomes, runs the shim.

Runs outside the server. Nothing of the package `sluice`, which runs inside, imports it.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
from contextlib import nullcontext
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console

from sluice import __version__, clauses
from sluice.errors import ClauseError, SettingError
from sluice_tools.doctor.command import doctor
from sluice_tools.install.command import install, uninstall
from sluice_tools.shim.metrics.exposition import exposed
from sluice_tools.shim.service import Watch, serve
from sluice_tools.shim.settings import Address, MetricsSettings, ShimSettings
from sluice_tools.terminal import PASSWORD, pairs_of, password_of
from sluice_tools.terminal import show as _show
from sluice_tools.terminal import show_json as _show_json
from sluice_tools.terminal import visible as _visible
from sluice_tools.test_transform import run_transform
from sluice_tools.top.command import top

app = typer.Typer(
    help="Kafka streams as Cypher clauses, in Memgraph.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sluice {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Kafka streams as Cypher clauses, in Memgraph."""


@app.command()
def translate(
    text: Annotated[str, typer.Argument(help="A query, as a client would send it.", show_default=False)],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=JSON", help="A parameter of the query. May be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """
    Show the CALL that a stream clause becomes, and its parameters.

    Exit code 0: it is shown, or the text is no stream clause. 2: the clause is wrong.
    """
    parameters = pairs_of(parameter, "--parameter")
    try:
        translation = clauses.translate(text, parameters)
    except (ClauseError, SettingError) as error:
        _show_error(text, error, as_json=as_json)
        raise typer.Exit(2) from error
    if as_json:
        _show_json(
            {
                "translated": translation is not None,
                "query": translation.query if translation else text,
                "parameters": translation.parameters if translation else parameters,
                "columns": translation.columns if translation else None,
            }
        )
    elif translation is None:
        _show(Console(), "Not a stream clause: passed through unchanged.")
    else:
        _show(Console(), translation.query, style="bold")
        width = max((cell_len(_visible(name)) for name in translation.parameters), default=0)
        for name, value in translation.parameters.items():
            padding = " " * (width - cell_len(_visible(name)))
            _show(Console(), f"  ${_visible(name)}{padding}  {_visible(json.dumps(value, ensure_ascii=False))}")


class LogLevel(str, Enum):
    """How much the shim tells."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _file(help_text: str) -> Any:
    return typer.Option(metavar="FILE", exists=True, dir_okay=False, readable=True, help=help_text)


@app.command()
def shim(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where clients connect.")] = "127.0.0.1:7688",
    upstream: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT[,...]",
            help="Where Memgraph is. Several, separated by commas: clients are connected to the one that is MAIN.",
        ),
    ] = "127.0.0.1:7687",
    upstream_user: Annotated[
        str, typer.Option(metavar="NAME", help=f"User to ask several servers which is MAIN; password in {PASSWORD}.")
    ] = "",
    upstream_password_file: Annotated[Path | None, _file("... or in this file.")] = None,
    advertise: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The shim's address as drivers with neo4j:// are to use it. Without: the one that they have used.",
        ),
    ] = None,
    tls_cert: Annotated[Path | None, _file("Speak TLS to clients, with this certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, _file("The certificate's key (PEM), if it is in a file of its own.")] = None,
    upstream_tls: Annotated[bool, typer.Option("--upstream-tls", help="Speak TLS to Memgraph.")] = False,
    upstream_ca: Annotated[
        Path | None, _file("Who may have signed Memgraph's certificate (PEM). Without: the system's authorities.")
    ] = None,
    upstream_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whom Memgraph's certificate is for. Without: the host of --upstream."),
    ] = None,
    upstream_unverified: Annotated[
        bool, typer.Option("--upstream-unverified", help="Take any certificate, as bolt+ssc:// does.")
    ] = False,
    websocket_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A web page whose browser may connect by WebSocket, such as https://lab.example.org; * is any. "
            "May be repeated. Without: none; clients that are no browsers need none.",
        ),
    ] = None,
    max_connections: Annotated[int, typer.Option(metavar="N", min=1, help="Most clients at a time.")] = 4096,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT", help="Serve Prometheus metrics there, over HTTP; without a host, to this machine."
        ),
    ] = None,
    metrics_user: Annotated[
        str, typer.Option(metavar="NAME", help=f"Whom the metrics sign in to Memgraph as; password in {PASSWORD}.")
    ] = "",
    metrics_password_file: Annotated[Path | None, _file("... or in this file.")] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Show the streams there on a page for browsers, with the texts of errors.")
    ] = False,
    log_level: Annotated[LogLevel, typer.Option(case_sensitive=False, help="Log level.")] = LogLevel.INFO,
) -> None:
    """
    Run a proxy in front of Memgraph that gives any Bolt client the stream clauses.

    Everything else passes as it is. SIGTERM and Ctrl-C end it when what is under way is done, a second one at once.
    """
    if tls_key and not tls_cert:
        raise typer.BadParameter("needs --tls-cert", param_hint="--tls-key")
    if not upstream_tls and (upstream_ca or upstream_name or upstream_unverified):
        raise typer.BadParameter("say --upstream-tls too, or Memgraph is spoken to in plain", param_hint="--upstream-*")
    if upstream_unverified and (upstream_ca or upstream_name):
        raise typer.BadParameter("nothing is verified, so there is nothing to verify it by", param_hint="--upstream-*")
    upstreams = tuple(_address(server.strip(), "--upstream") for server in upstream.split(","))
    several = len(upstreams) > 1
    if len(set(upstreams)) < len(upstreams):
        raise typer.BadParameter("a server is named twice", param_hint="--upstream")
    if not several and (upstream_user or upstream_password_file):
        raise typer.BadParameter("a single server is not asked whether it is MAIN", param_hint="--upstream-*")
    settings = ShimSettings(
        listen=_address(listen, "--listen"),
        upstreams=upstreams,
        upstream_user=upstream_user,
        upstream_password=password_of(upstream_password_file, "--upstream-password-file") if several else "",
        advertise=_address(advertise, "--advertise") if advertise else None,
        listen_tls=_towards_clients(tls_cert, tls_key) if tls_cert else None,
        upstream_tls=_towards_memgraph(upstream_ca, verified=not upstream_unverified) if upstream_tls else None,
        upstream_name=upstream_name,
        max_connections=max_connections,
        websocket_origins=frozenset(origin.lower().rstrip("/") for origin in websocket_origin or ()),
    )
    watch = _metrics(settings, metrics, metrics_user, metrics_password_file, page)
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s", level=log_level.name)
    try:
        serve(settings, watch=watch)
    except SettingError as error:
        _show(Console(stderr=True), str(error), style="red")
        raise typer.Exit(1) from error


def _metrics(shim: ShimSettings, listen: str | None, user: str, password_file: Path | None, page: bool) -> Watch:
    """What serves the metrics; nothing, if they are not wanted."""
    if listen is None:
        if user or password_file or page:
            raise typer.BadParameter("say --metrics too, or nothing is served", param_hint="--metrics-*, --page")
        return lambda _: nullcontext()
    address = f"127.0.0.1:{listen}" if listen.isdecimal() else listen
    settings = MetricsSettings(
        _address(address, "--metrics"), user, password_of(password_file, "--metrics-password-file"), page
    )
    return partial(exposed, shim, settings)


def _address(given: str, option: str) -> Address:
    try:
        return Address.parse(given)
    except SettingError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _towards_clients(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise typer.BadParameter(f"no certificate with its key: {error}", param_hint="--tls-cert") from error
    return context


def _towards_memgraph(authority: Path | None, *, verified: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise typer.BadParameter(f"no certificate: {error}", param_hint="--upstream-ca") from error
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _show_error(text: str, error: ClauseError | SettingError, *, as_json: bool) -> None:
    names = ("line", "column", "found", "expected") if isinstance(error, ClauseError) else ()
    if as_json:
        _show_json({"error": str(error), **{name: getattr(error, name) for name in names}})
        return
    console = Console(stderr=True)
    _show(console, str(error), style="red")
    if isinstance(error, ClauseError):
        for line in excerpt(text, error.line, error.column):
            _show(console, "  " + line)


def excerpt(text: str, line: int, column: int) -> tuple[str, str]:
    """The line of `text` that an error is in, or 80 characters of it, and a caret under the place."""
    whole = re.split(r"\r\n|\r|\n", text)[line - 1]
    start = max(0, column - 1 - 50)
    shown = "".join(c if c.isprintable() else " " for c in whole[start : start + 80])
    before = "..." if start else ""
    after = "..." if start + 80 < len(whole) else ""
    caret_at = cell_len(before + shown[: column - 1 - start])
    return before + shown + after, " " * caret_at + "^"


for command in (install, uninstall, doctor, top):
    app.command()(command)
app.command("test-transform")(run_transform)


if __name__ == "__main__":
    app()
