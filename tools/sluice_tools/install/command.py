"""`sluice install` and `sluice uninstall`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sluice import __version__
from sluice.errors import UserError
from sluice_tools.install import copies
from sluice_tools.install.places import (
    EXTRAS,
    PACKAGES,
    Extra,
    ServerPython,
    dotted,
    find_interpreter,
    modules_directory,
    numbers,
)
from sluice_tools.terminal import show

ModulesDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where the server loads query modules. Without: what its configuration file says, or else where "
        "Memgraph's packages and images have them.",
    ),
]

METADATA = (
    "MATCH (n) WHERE n:SluiceCatalog OR n:SluiceStream OR n:SluiceCheckpoint OR n:SluiceParked "
    "OPTIONAL MATCH (n)-[:CHECKPOINT]->(k) WHERE k.sluice_uid = n.uid DETACH DELETE n, k;"
)


def install(
    modules_dir: ModulesDir = None,
    python: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="An interpreter of the Python that the server embeds. Without: found by it."),
    ] = None,
    memgraph_bin: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The server's program, to see which Python it embeds.")
    ] = None,
    extra: Annotated[
        list[Extra] | None,
        typer.Option("--extra", metavar="NAME", help="Say what the server's Python needs for it, and lacks: msk-iam."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also over a newer version, and into a Python that lacks something.")
    ] = False,
) -> None:
    """
    Put the query modules where a Memgraph server loads them.

    The server may be running. Exit code 0: they are there. 1: they are not, nothing was changed.
    """
    try:
        folder = modules_directory(modules_dir)
        old = copies.installed(folder)
        interpreter = find_interpreter(python, memgraph_bin, folder)
        refusal = _refusal(folder, old, interpreter)
        if refusal and not force:
            raise copies.InstallError(f"{refusal}. (--force goes on all the same)")
        if old is not None and copies.is_current(folder, old):
            show(Console(), f"{folder} has sluice {__version__} already: nothing was changed")
            _tell_extras(extra or [], interpreter)
            return
        kept = copies.put(folder, old)
    except UserError as error:
        show(Console(stderr=True), f"sluice install: {error}", style="red")
        raise typer.Exit(1) from error
    _tell(folder, old, kept, interpreter, refusal)
    _tell_extras(extra or [], interpreter)


def uninstall(modules_dir: ModulesDir = None) -> None:
    """
    Remove what `sluice install` put there, and nothing else.

    Exit code 0: it is gone. 1: nothing was changed.
    """
    try:
        folder = modules_directory(modules_dir)
        old = copies.installed(folder)
        if old is None:
            show(Console(), f"{folder} has no Sluice: nothing was changed")
            return
        if not old.files:
            text = f"{folder} has sluice {old.version}, copied there by hand: remove {copies.MODULE} and "
            raise copies.InstallError(f"{text}{copies.PACKAGE}/ by hand, or let sluice install take it over first")
        kept = copies.remove(folder, old)
    except UserError as error:
        show(Console(stderr=True), f"sluice uninstall: {error}", style="red")
        raise typer.Exit(1) from error
    out = Console()
    show(out, f"sluice {old.version} is removed from {folder}")
    for path in kept:
        show(out, f"kept, since it was added or changed: {path}")
    show(out, "Next: restart the server, which runs what it has loaded until then.")
    show(
        out,
        f"Streams and their positions stay in the graph, for another installation. To be rid of them:\n  {METADATA}",
    )


def _refusal(folder: Path, old: copies.Copy | None, interpreter: ServerPython | None) -> str | None:
    if old is not None and numbers(old.version) > numbers(__version__):
        return f"{folder} has sluice {old.version}, which is newer than {__version__}"
    return interpreter.refusal(__version__) if interpreter else None


def _tell(
    folder: Path, old: copies.Copy | None, kept: list[Path], interpreter: ServerPython | None, refusal: str | None
) -> None:
    out = Console()
    before = f", in place of {old.version}" if old else ""
    show(out, f"sluice {__version__} is in {folder}{before}")
    for path in kept:
        show(out, f"kept, since it was added or changed: {path}")
    if refusal:
        show(out, f"Mind: {refusal}", style="yellow")
    elif interpreter is None:
        show(out, "No server's program was found to see which Python it embeds: --memgraph-bin or --python names it.")
        show(out, f"That Python needs {' and '.join(PACKAGES)}.")
    else:
        has = f"confluent-kafka {interpreter.confluent_kafka}, requests {interpreter.requests}"
        show(out, f"The server's Python is {dotted(interpreter.version)} ({interpreter.path}), {has}")
    show(out, "Next: restart the server, or, if it is running, tell it from any client:\n  CALL mg.load_all();")
    show(out, "Then see whether all is well:\n  sluice doctor")
    show(out, f"Transforms to begin with: {folder / copies.EXAMPLES}")


def _tell_extras(extras: list[Extra], interpreter: ServerPython | None) -> None:
    for extra in extras:
        needs = f"For {extra.value} the server's Python needs {' and '.join(EXTRAS[extra])}"
        show(Console(), needs if interpreter is None else interpreter.has(extra))
