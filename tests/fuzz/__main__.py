"""The fuzzers by themselves: `python -m tests.fuzz --help`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.runner import input_of, run, try_input
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Exit code 0: nothing but errors of ours came out."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers of bytes from outside.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(TARGETS)}; all without one")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each (60)")
    parser.add_argument("--start", type=int, help="number of the first input (by the clock)")
    parser.add_argument("--input", type=int, help="only this input of one of them")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(TARGETS)
    if unknown or (arguments.input is not None and len(arguments.names) != 1):
        parser.error(f"there is no {', '.join(unknown)}" if unknown else "--input needs one NAME")
    targets = [TARGETS[name] for name in arguments.names or TARGETS]
    if arguments.input is not None:
        [target] = targets
        finding = try_input(target, input_of(target, target.seeds, arguments.input))
        print(finding)
        return isinstance(finding, str)
    start = int(time.time()) << 32 if arguments.start is None else arguments.start
    failed = False
    for target in targets:
        outcome = run(target, arguments.seconds, start)
        print(f"{target.name:<16} {outcome.inputs:>12,} inputs, {outcome.refused:,} refused", flush=True)
        if outcome.finding:
            failed = True
            print(outcome.finding, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
