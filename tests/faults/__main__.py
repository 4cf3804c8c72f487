"""`python -m tests.faults`: the fault harness on the command line, a line for each kind of fault and a total."""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.kinds import KINDS
from tests.faults.rounds import MakeHost, Order, Verdict, run_round
from tests.faults.variants import VARIANTS, query_modules
from tests.hosts import MemgraphHost, SandboxHost, ServerHost
from tests.hosts.host import HostOptions
from tests.hosts.options import setting
from tests.kafka import KafkaBroker
from tests.kafka.topics import log


def main() -> int:
    """0 if every round was right."""
    arguments = _parser().parse_args()
    log.addHandler(logging.NullHandler())  # that a broker has gone is no news here
    if arguments.host == "memgraph" and arguments.memgraph_bin is None:
        sys.exit("--host=memgraph needs --memgraph-bin PATH")
    seed = random.getrandbits(32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}: --seed {seed} replays it", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="sluice-faults-"))
    broker = KafkaBroker(folder / "kafka")
    verdicts = []
    try:
        modules = query_modules(arguments.variant, folder)
        broker.start()
        for kind in arguments.only or KINDS:
            order = Order(
                kind,
                seed,
                arguments.messages,
                strikes=arguments.strikes,
                kills=arguments.kills,
                partitions=arguments.partitions,
                batch_size=arguments.batch_size,
                chained=arguments.chained,
                fold=arguments.fold,
                riders=arguments.riders,
            )
            place = folder / kind
            place.mkdir()
            verdict = run_round(order, _host_maker(arguments, place, modules), broker, place)
            print(verdict, flush=True)
            verdicts.append(verdict)
    finally:
        broker.kill()
    right = bool(verdicts) and all(verdict.right for verdict in verdicts)
    print(_total(verdicts))
    if right:
        shutil.rmtree(folder)
    else:
        print(f"logs: {folder}")
    return 0 if right else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of content, faults and their points (default: a new one)")
    parser.add_argument("--messages", type=int, default=20_000, metavar="N", help="of each round (default: 20000)")
    parser.add_argument("--strikes", type=int, default=10, metavar="N", help="faults of each sort (default: 10)")
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="host kills, in kill and all (default: 10)")
    parser.add_argument("--only", choices=KINDS, action="append", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--partitions", type=int, default=4, metavar="N", help="of each topic (default: 4)")
    parser.add_argument("--batch-size", type=int, default=100, metavar="N", help="BATCH_SIZE (default: 100)")
    parser.add_argument("--chained", action="store_true", help="an edge from each message's vertex to the next one's")
    parser.add_argument("--no-fold", action="store_false", dest="fold", help="each query as it is")
    parser.add_argument("--riders", type=int, default=0, metavar="N", help="further streams on the topic (default: 0)")
    parser.add_argument("--variant", choices=VARIANTS, default=VARIANTS[0], help="what the product promises")
    parser.add_argument("--host", choices=("sandbox", "memgraph"), default="sandbox", help="default: sandbox")
    parser.add_argument("--memgraph-bin", type=Path, metavar="PATH", help="with --host=memgraph: the binary")
    parser.add_argument("--memgraph-pythonpath", type=Path, metavar="DIR", help="... and its confluent_kafka")
    parser.add_argument("--setting", type=setting, action="append", default=[], metavar="SLUICE_X=VALUE")
    return parser


def _host_maker(arguments: argparse.Namespace, folder: Path, modules: Path) -> MakeHost:
    numbers = itertools.count()

    def make(loopback_port: int) -> ServerHost:
        settings = {
            **dict(arguments.setting),
            **({"SLUICE_LOOPBACK_PORT": str(loopback_port)} if loopback_port else {}),
        }
        options = HostOptions(settings, (), modules)
        place = folder / f"host-{next(numbers)}"
        if arguments.host == "memgraph":
            binary = arguments.memgraph_bin.resolve()
            return MemgraphHost(place, binary, arguments.memgraph_pythonpath, options)
        return SandboxHost(place, options)

    return make


def _total(verdicts: list[Verdict]) -> str:
    messages = sum(verdict.comparison.messages for verdict in verdicts)
    lost = sum(verdict.comparison.lost for verdict in verdicts)
    twice = sum(verdict.comparison.twice for verdict in verdicts)
    kills = sum(verdict.kills for verdict in verdicts)
    failed = ", ".join(verdict.order.kind for verdict in verdicts if not verdict.right)
    ending = f"FAILED: {failed}" if failed else "every promise kept"
    return f"total: {messages} messages, {kills} host kills, {lost} lost, {twice} twice; {ending}"


if __name__ == "__main__":
    sys.exit(main())
