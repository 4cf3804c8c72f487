"""
`sluice test-transform`: a transform at a developer's desk and in CI, without a server and without Kafka.

The script runs as it does in the server: in a process of its own, with the same limits, checked against the same
contract.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sluice.bolt.temporal import plain
from sluice.errors import ScriptError, SluiceError
from sluice.folding import explain, null_keys
from sluice.host.allow_list import scheme_of
from sluice.host.settings import load
from sluice.scripting import script
from sluice.scripting.process import TransformProcess
from sluice.values.configuration import Configuration
from sluice.values.failed_message import BASE64
from sluice.values.options import Options, options_of
from sluice.values.record import Record, Records
from sluice_tools.terminal import pairs_of, show, show_json, show_table

TOPIC = "test"

Queries = list[tuple[str, dict[str, Any]]]


def run_transform(
    uri: Annotated[str, typer.Argument(metavar="SCRIPT", help="The script: a path or a URI.", show_default=False)],
    message: Annotated[
        list[str] | None,
        typer.Option("--message", "-m", metavar="TEXT", help=f"A message's value; {BASE64}... for bytes. Repeatable."),
    ] = None,
    file: Annotated[
        list[typer.FileBinaryRead] | None,
        typer.Option(metavar="FILE", help="A message on each line; - for standard input. Repeatable."),
    ] = None,
    tombstone: Annotated[bool, typer.Option("--tombstone", help="A message without a value, after those.")] = False,
    key: Annotated[str | None, typer.Option(metavar="TEXT", help="The key of all messages.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TEXT", help="A header of all messages. Repeatable.")
    ] = None,
    topic: Annotated[str, typer.Option(metavar="TOPIC", help="The topic of all messages.")] = TOPIC,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=JSON", help="An option for the script's configure(options). Repeatable."),
    ] = None,
    fold: Annotated[bool, typer.Option("--fold", help="Say of each different query whether it is folded.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """
    Show the queries that a transform makes of a batch of messages, as TEST STREAM would.

    Exit code 0: it keeps the contract. 1: it does not, or cannot be loaded; the reason is one line.
    """
    values = [_bytes(text, "--message") for text in message or []]
    for lines in file or []:
        values += [line.removesuffix(b"\r") for line in lines.read().split(b"\n") if line]
    if not (values or tombstone):
        raise typer.BadParameter("say what the messages are", param_hint="--message, --file or --tombstone")
    headers = [_header(text) for text in header or []]
    now = int(time.time() * 1000)
    records = Records(
        Record(value, None if key is None else _bytes(key, "--key"), headers, topic, 0, offset, now)
        for offset, value in enumerate([*values, *([None] if tombstone else [])])
    )
    try:
        queries = _queries_of(uri, records, options_of(pairs_of(option, "--option")))
    except SluiceError as error:
        _fail(error, as_json=as_json)
    folding = {query: explain(query) for query, _ in queries} if fold else {}
    warnings = _warnings(queries)
    if as_json:
        shown = {"queries": [{"query": query, "params": parameters} for query, parameters in queries]}
        show_json({**shown, **({"folding": folding} if fold else {}), **({"warnings": warnings} if warnings else {})})
        return
    console = Console(width=None if sys.stdout.isatty() else 100_000)
    show_table(console, ["query", "params"], [list(pair) for pair in queries])
    if fold:
        console.print()
        show_table(console, ["query", "folding"], [list(pair) for pair in folding.items()])
    for warning in warnings:
        show(Console(stderr=True), f"Warning: {warning}", style="yellow")


def _warnings(queries: Queries) -> list[str]:
    """A line for each key that queries merge by, and that is null."""
    found = Counter(key for query, parameters in queries for key in null_keys(query, parameters))
    return [
        f"{count} of {len(queries)} queries: MERGE by {key}, which is null and equals nothing, "
        "so that each makes another; leave such messages out, or raise an error"
        for key, count in found.items()
    ]


def _queries_of(uri: str, records: Records, options: Options) -> Queries:
    settings = load(flags={})
    path = Path(uri).absolute()
    transform = script.fetch(uri if scheme_of(uri) else f"{path}/" if path.is_dir() else str(path), settings)
    with TransformProcess(transform, settings, config=Configuration(transform=options)) as transform_process:
        try:
            return [(query, plain(parameters)) for query, parameters in transform_process.rows(records)]
        finally:
            if transform_process.output:
                show(Console(stderr=True), f"The transform wrote: {transform_process.output}")


def _fail(error: SluiceError, *, as_json: bool) -> None:
    cause = error.__cause__ if isinstance(error, ScriptError) else None
    text = f"{error} ({cause})" if isinstance(cause, OSError) else str(error)
    if as_json:
        show_json({"error": text})
    else:
        show(Console(stderr=True), text, style="red")
    raise typer.Exit(1)


def _bytes(text: str, option: str) -> bytes:
    if not text.startswith(BASE64):
        return text.encode()
    try:
        return base64.b64decode(text[len(BASE64) :], validate=True)
    except ValueError as error:
        raise typer.BadParameter(f"what follows {BASE64} is no base64: {error}", param_hint=option) from error


def _header(text: str) -> tuple[str, bytes | None]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{json.dumps(text)} is not NAME=TEXT", param_hint="--header")
    return name, _bytes(value, "--header")
