"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.flags import parse_flags


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("--bolt-port 7 --data-directory /d --query-modules-directory /m,/n --log-file /l", id="two words"),
        pytest.param("--bolt-port=7 --data-directory=/d --query-modules-directory=/m,/n --log-file=/l", id="one word"),
        pytest.param(
            "--bolt_port=7 --data_directory=/d --query_modules_directory /m,/n --log_file=/l", id="underscores"
        ),
    ],
)
def test_flags_come_in_several_forms(line: str) -> None:
    flags = parse_flags(line.split())

    assert flags.bolt_port == 7
    assert flags.data_directory == Path("/d")
    assert flags.query_modules_directories == (Path("/m"), Path("/n"))
    assert flags.log_file == Path("/l")
    assert flags.unknown == ()


def test_flags_of_memgraph_that_mean_nothing_here_are_named() -> None:
    flags = parse_flags(
        ["--data-directory=/d", "--telemetry-enabled=false", "--storage-wal-enabled=true", "--also-log-to-stderr"]
    )

    assert flags.unknown == ("--storage-wal-enabled=true", "--also-log-to-stderr")


def test_a_data_directory_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_flags(["--bolt-port=7"])

    assert "--data-directory" in capsys.readouterr().err
