"""
The Kafka brokers that librdkafka carries for its own tests, in a process of their own: a cluster without Java.

It speaks enough of the protocol for producers and consumers, keeps messages in memory only, and cannot be asked by an
admin client to create topics. `python mock_broker.py [BROKERS]` runs it by hand: it prints its address, then obeys
lines on its standard input (`topic NAME PARTITIONS`, `leader TOPIC PARTITION BROKER`, `down`, `up`) and ends with it.

Source: librdkafka, `src/rdkafka_mock.h`.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from types import TracebackType

BROKER_ID = 1  # librdkafka numbers mock brokers from 1
PRODUCER = 0  # RD_KAFKA_PRODUCER


class MockBrokerError(Exception):
    """The mock broker did not start, or refused a command."""


class MockBroker:
    """
    One mock broker, or some, which end with this process at the latest.

    A topic exists from when `create_topic` made it, or from when a producer sent to it: then with librdkafka's four
    partitions.

    Threads: one thread at a time.

    States: down -> start -> up -> stop -> down; what it held is gone after a stop.
    """

    def __init__(self, partitions: int = 1, brokers: int = 1) -> None:
        """
        Args:
            partitions: how many `create_topic` gives a topic when it is not told.
            brokers: numbered from 1.
        """
        self._partitions = partitions
        self._brokers = brokers
        self._process: subprocess.Popen[str] | None = None
        self._bootstrap = ""

    def __enter__(self) -> MockBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Its address, `127.0.0.1:port[,...]`, for `bootstrap.servers`. Known once it is started."""
        return self._bootstrap

    def start(self) -> None:
        """
        Start the process and wait for its address.

        Raises:
            MockBrokerError: it did not give one; what it said is on standard error.
        """
        # Isolated, or the modules beside this file would stand before the standard library's.
        command = [sys.executable, "-I", str(Path(__file__).resolve()), str(self._brokers)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._bootstrap = self._answer().removeprefix("listening at ")
        except MockBrokerError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process; does nothing if it is down."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()  # closes the pipes as well

    def create_topic(self, name: str, partitions: int | None = None) -> str:
        """
        Create a topic.

        Returns:
            `name`.

        Raises:
            MockBrokerError: there is such a topic already.
        """
        self._command(f"topic {name} {partitions or self._partitions}")
        return name

    def move_leader(self, topic: str, partition: int, broker: int) -> None:
        """Let another broker lead a partition; its messages go along."""
        self._command(f"leader {topic} {partition} {broker}")

    def set_down(self) -> None:
        """Close every connection of the first broker and refuse new ones; topics and messages stay."""
        self._command("down")

    def set_up(self) -> None:
        """Undo `set_down`."""
        self._command("up")

    def _command(self, line: str) -> None:
        if self._process is None or self._process.stdin is None:
            raise MockBrokerError("the mock broker is not running")
        print(line, file=self._process.stdin, flush=True)
        self._answer()

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise MockBrokerError(answer or "the mock broker ended")
        return answer


class _Cluster:
    """A mock cluster in this process, by librdkafka's C functions; confluent_kafka offers none."""

    def __init__(self, brokers: int) -> None:
        """
        Raises:
            MockBrokerError: librdkafka refuses.
        """
        self._c = _librdkafka()
        failure = ctypes.create_string_buffer(512)
        settings = ctypes.c_void_p(self._c.rd_kafka_conf_new())
        # Or it would say that it has no bootstrap.servers.
        self._c.rd_kafka_conf_set(settings, b"log_level", b"2", failure, len(failure))
        client = ctypes.c_void_p(self._c.rd_kafka_new(PRODUCER, settings, failure, len(failure)))
        if not client:
            raise MockBrokerError(failure.value.decode())
        self._cluster = ctypes.c_void_p(self._c.rd_kafka_mock_cluster_new(client, brokers))
        if not self._cluster:
            raise MockBrokerError("librdkafka could not make a mock cluster")

    def bootstrap(self) -> str:
        """The brokers' addresses."""
        address: bytes = self._c.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return address.decode()

    def obey(self, line: str) -> None:
        """
        Carry out one command, as the module's docstring lists them.

        Raises:
            MockBrokerError: there is no such command, or librdkafka refuses.
        """
        match line.split():
            case ["topic", name, partitions]:
                error = self._c.rd_kafka_mock_topic_create(self._cluster, name.encode(), int(partitions), 1)
            case ["leader", topic, partition, broker]:
                error = self._c.rd_kafka_mock_partition_set_leader(
                    self._cluster, topic.encode(), int(partition), int(broker)
                )
            case ["down"]:
                error = self._c.rd_kafka_mock_broker_set_down(self._cluster, BROKER_ID)
            case ["up"]:
                error = self._c.rd_kafka_mock_broker_set_up(self._cluster, BROKER_ID)
            case _:
                raise MockBrokerError(f"no such command: {line.strip()}")
        if error:
            text: bytes = self._c.rd_kafka_err2str(error)
            raise MockBrokerError(text.decode())


# What librdkafka's functions return, where it is not a number.
RESULTS = {
    "rd_kafka_conf_new": ctypes.c_void_p,
    "rd_kafka_new": ctypes.c_void_p,
    "rd_kafka_mock_cluster_new": ctypes.c_void_p,
    "rd_kafka_mock_cluster_bootstraps": ctypes.c_char_p,
    "rd_kafka_err2str": ctypes.c_char_p,
}


def _librdkafka() -> ctypes.CDLL:
    """
    The library that confluent_kafka has loaded, wherever it came from.

    Raises:
        MockBrokerError: it is not a library of its own, or it has no mock broker.
    """
    import confluent_kafka  # noqa: F401, PLC0415 - loads it; only this process needs it

    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    paths = {f"/{line.partition('/')[2]}" for line in maps.splitlines() if "librdkafka" in line}
    if len(paths) != 1:
        raise MockBrokerError(f"confluent_kafka should have loaded one librdkafka, there are {len(paths)}")
    library = ctypes.CDLL(paths.pop())
    for name, result in RESULTS.items():
        getattr(library, name).restype = result
    return library


def main() -> None:
    """Run brokers until the standard input ends; one line of answer for each command."""
    cluster = _Cluster(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(f"listening at {cluster.bootstrap()}", flush=True)
    for line in sys.stdin:
        try:
            cluster.obey(line)
        except (MockBrokerError, ValueError) as error:
            print(f"error: {error}", flush=True)
        else:
            print("ok", flush=True)


if __name__ == "__main__":
    main()
