"""`python -m tests.faults`: the fault harness on the command line, a line for each round and a total."""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.kinds import KINDS
from tests.faults.rounds import MakeHost, run_round
from tests.faults.variants import VARIANTS, query_modules
from tests.faults.verdict import Order, Verdict, summary
from tests.hosts import MemgraphHost, SandboxHost, ServerHost
from tests.hosts.host import HostOptions
from tests.hosts.options import setting
from tests.kafka import KafkaBroker
from tests.kafka.topics import log

LANES = (1, 4)
"With how many lanes each kind has a round."


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
    verdicts: list[Verdict] = []
    try:
        modules = query_modules(arguments.variant, folder)
        broker.start()
        for order in _orders(arguments, seed):
            place = folder / f"{order.seed}-{order.kind}-{order.lanes}"
            place.mkdir()
            try:
                if not broker.running:
                    broker.start()
                verdict = run_round(order, _host_maker(arguments, place, modules), broker, place)
            except Exception as error:  # whatever it is, the other rounds go on
                verdict = Verdict(order, violations=[f"the harness failed: {type(error).__name__}: {error}"])
            print(verdict, flush=True)
            verdicts.append(verdict)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    finally:
        broker.kill()
    right = bool(verdicts) and all(verdict.right for verdict in verdicts)
    print(summary(verdicts))
    if right:
        shutil.rmtree(folder)
    else:
        print(f"logs: {folder}")
    return 0 if right else 1


def _orders(arguments: argparse.Namespace, seed: int) -> Iterator[Order]:
    """A round of each kind and each number of lanes, and then with the next seed, until the time is over."""
    until = time.monotonic() + 60 * arguments.minutes
    for number in itertools.count():
        for kind, lanes in itertools.product(arguments.only or KINDS, arguments.lanes or LANES):
            if number and time.monotonic() > until:
                return
            yield Order(
                kind,
                seed + number,
                arguments.messages,
                strikes=arguments.strikes,
                kills=arguments.kills,
                partitions=arguments.partitions,
                batch_size=arguments.batch_size,
                chained=arguments.chained,
                fold=arguments.fold,
                riders=arguments.riders,
                lanes=lanes,
            )
        if time.monotonic() > until:
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="of content, faults and their points (default: a new one)")
    parser.add_argument("--messages", type=int, default=20_000, metavar="N", help="of each round (default: 20000)")
    parser.add_argument("--strikes", type=int, default=10, metavar="N", help="faults of each sort (default: 10)")
    parser.add_argument(
        "--kills", type=int, default=10, metavar="N", help="host kills, in kinds that have them (default: 10)"
    )
    parser.add_argument("--only", choices=KINDS, action="append", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument(
        "--lanes",
        type=int,
        action="append",
        metavar="N",
        help="of the stream: a round of each kind for each N (default: 1 and 4). With several, the stream reads two "
        "topics, all lanes merge the same vertices and relationships, and lanes and positions are altered on the way",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=0.0,
        metavar="N",
        help="begin again with the next seed for so long (default: 0)",
    )
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


if __name__ == "__main__":
    sys.exit(main())
