"""A host, and a broker, for a benchmark that is a program of its own."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.hosts import MemgraphHost, SandboxHost, ServerHost
from tests.hosts.host import HostOptions
from tests.kafka import KafkaBroker

PACKAGED = ("--storage-wal-file-flush-every-n-tx=100000",)
"What the tests' hosts have otherwise than `/etc/memgraph/memgraph.conf`: they are killed, and must have lost nothing."


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """With the options that say which host it is."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memgraph-bin", type=Path)
    parser.add_argument("--memgraph-pythonpath", type=Path)
    return parser


def host_of(folder: Path, options: argparse.Namespace, arguments: Sequence[str] = ()) -> ServerHost:
    """The host that the options name, not started; `arguments`: more of Memgraph's."""
    if options.memgraph_bin is None:
        return SandboxHost(folder)
    binary = options.memgraph_bin.resolve()
    return MemgraphHost(folder, binary, options.memgraph_pythonpath, HostOptions(arguments=tuple(arguments)))


@contextmanager
def started(
    options: argparse.Namespace, arguments: Sequence[str] = ()
) -> Iterator[tuple[ServerHost, KafkaBroker, Path]]:
    """Both, running, and an empty folder; as `host_of`."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name:
        folder = Path(name)
        host, broker = host_of(folder / "host", options, arguments), KafkaBroker(folder / "broker")
        try:
            broker.start()
            host.start()
            yield host, broker, folder
        finally:
            host.kill()
            broker.kill()
