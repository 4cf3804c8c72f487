"""
Messages per second from Kafka into the graph: Sluice beside Memgraph's own streams, the same messages, the same run.

    python -m tests.bench.ingest --memgraph-bin PATH [--memgraph-pythonpath DIR] [--messages N] [--rounds N]

Without a binary it measures the sandbox, which has no streams of its own. The rate is that of the database's users: all
messages, from START STREAM until the last one is visible. Sluice and the peer take turns, so that a machine that gets
slower is slower for both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from sandbox.mock_broker import MockBroker
from tests.bench.workloads import WORKLOADS, final
from tests.hosts.host import QUERY_MODULES, HostOptions, ServerHost
from tests.hosts.memgraph import MemgraphHost
from tests.hosts.sandbox import SandboxHost

PATIENCE = 120.0
"Seconds for one measurement."

NATIVE_MODULE = """
import mgp

SOURCES = {sources!r}
STREAMS = {{}}
for name, source in SOURCES.items():
    namespace = {{}}
    exec(source, namespace)
    STREAMS[name] = namespace["stream"]

def records(name, messages):
    batch = [messages.message_at(i).payload() for i in range(messages.total_messages())]
    return [mgp.Record(query=query, parameters=parameters) for query, parameters in STREAMS[name](batch)]
"""

NATIVE_TRANSFORMATION = """
@mgp.transformation
def {name}(messages: mgp.Messages) -> mgp.Record(query=str, parameters=mgp.Nullable[mgp.Map]):
    return records({name!r}, messages)
"""


def main() -> None:
    """Measures and prints."""
    options = _options()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as name, MockBroker() as broker:
        folder = Path(name)
        host = _host(folder, options)
        host.start()
        try:
            results = [
                _measure(host, broker, folder, workload, batch, options)
                for workload in options.workloads.split(",")
                for batch in map(int, options.batches.split(","))
            ]
        finally:
            host.kill()
    console.print(_table(results))
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else None)
    parser.add_argument("--memgraph-bin", type=Path)
    parser.add_argument("--memgraph-pythonpath", type=Path)
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--batches", default="1000,10")
    parser.add_argument("--json", help="a file for the results")
    return parser.parse_args()


def _host(folder: Path, options: argparse.Namespace) -> ServerHost:
    modules = folder / "modules"
    shutil.copytree(QUERY_MODULES, modules)
    if options.memgraph_bin is None:
        return SandboxHost(folder / "host", HostOptions(query_modules=modules))
    native = NATIVE_MODULE.format(sources={name: workload.source for name, workload in WORKLOADS.items()})
    native += "".join(NATIVE_TRANSFORMATION.format(name=name) for name in WORKLOADS)
    (modules / "native_transforms.py").write_text(native)
    host_options = HostOptions(query_modules=modules)
    return MemgraphHost(folder / "host", options.memgraph_bin, options.memgraph_pythonpath, host_options)


def _measure(
    host: ServerHost, broker: MockBroker, folder: Path, name: str, batch: int, options: argparse.Namespace
) -> dict[str, Any]:
    workload = WORKLOADS[name]
    n = min(options.messages, workload.most)
    topic = f"{name}{batch}"
    _produce(broker, topic, workload.messages(n))
    script = folder / f"{name}.py"
    script.write_text(workload.source)
    rates: dict[str, list[float]] = {"sluice": [], "native": []}
    for round_ in range(options.rounds):
        stream = f"{topic}_{round_}"

        def sluice(stream: str = stream) -> Callable[[], None]:
            host.run(
                "CALL streams.create($name, $uri, $topic, $transform, 100, $batch)",
                name=stream, uri=broker.bootstrap, topic=topic, transform=str(script), batch=batch,
            )  # fmt: skip
            host.run("CALL streams.start($name)", name=stream)
            return lambda: host.run("CALL streams.drop($name)", name=stream) and None

        def native(stream: str = f"native_{stream}") -> Callable[[], None]:
            host.run(
                f"CREATE KAFKA STREAM {stream} TOPICS {topic} TRANSFORM native_transforms.{name} "
                f"CONSUMER_GROUP {stream} BATCH_INTERVAL 100 BATCH_SIZE {batch} "
                f"BOOTSTRAP_SERVERS '{broker.bootstrap}' CONFIGS {{'auto.offset.reset': 'earliest'}}"
            )
            host.run(f"START STREAM {stream}")
            return lambda: host.run(f"DROP STREAM {stream}") and None

        rates["sluice"].append(_rate(host, name, n, sluice))
        if options.memgraph_bin is not None:
            rates["native"].append(_rate(host, name, n, native))
    result = {"workload": name, "batch": batch, "messages": n, "rates": rates}
    print(json.dumps(result), flush=True)
    return result


def _produce(broker: MockBroker, topic: str, messages: list[bytes]) -> None:
    broker.create_topic(topic, 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "queue.buffering.max.messages": 2 * len(messages)})
    for message in messages:
        producer.produce(topic, message, partition=0)
        producer.poll(0)
    producer.flush()


def _rate(host: ServerHost, name: str, n: int, start: Callable[[], Callable[[], None]]) -> float:
    """Messages per second between the first one and the last one that are visible."""
    workload, wanted = WORKLOADS[name], final(name, n)
    host.run("MATCH (n:Node) DETACH DELETE n")
    host.run("CREATE INDEX ON :Node(id)")
    if workload.before is not None:
        host.run(workload.before, n=n)
    driver = host.new_driver()
    with driver, driver.session() as session:
        end = start()
        deadline = time.monotonic() + PATIENCE
        began, first = None, 0
        while True:
            (record,) = session.run(workload.done)
            seen, now = int(record["n"] or 0), time.monotonic()
            if began is None and seen:
                began, first = now, seen
            if seen == wanted:
                break
            if now > deadline:
                raise TimeoutError(f"{name}: {seen} of {wanted} after {PATIENCE:g} s")
            time.sleep(0.01)
        end()
    share = 1 - first / wanted
    return n * share / max(now - (began or now), 1e-6)


def _table(results: list[dict[str, Any]]) -> Table:
    table = Table(title="messages per second, median (min..max)")
    for column in ("workload", "batch", "messages", "Sluice", "native", "ratio"):
        table.add_column(column, justify="right")
    for result in results:
        ours, native = result["rates"]["sluice"], result["rates"]["native"]
        ratio = f"{statistics.median(a / b for a, b in zip(ours, native, strict=True)):.2f}" if native else ""
        row = (result["workload"], str(result["batch"]), str(result["messages"]), _spread(ours), _spread(native), ratio)
        table.add_row(*row)
    return table


def _spread(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f}..{max(rates):,.0f})" if rates else ""


if __name__ == "__main__":
    main()
