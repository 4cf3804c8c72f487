"""A fail-over as drivers in JavaScript see it: managed transactions go on at the new MAIN."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.integration.shim_server import ShimServer
from tests.javascript import node_folder
from tests.unit.shim.member import Member

PROGRAM = """
const neo4j = require(process.argv[1]);
const lines = require('readline').createInterface({ input: process.stdin });
const driver = neo4j.driver(process.argv[2], undefined, { telemetryDisabled: true });
(async () => {
  for await (const line of lines) {
    const session = driver.session();
    try {
      const { records } = await session.executeWrite(transaction => transaction.run(line));
      console.log(records[0].get('server'));
    } catch (error) {
      console.log(error.message);
    }
    await session.close();
  }
  await driver.close();
})();
"""
"A query per line in; the server that has answered it, or the error, out."


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
@pytest.mark.parametrize("package", ["neo4j-driver-5", "neo4j-driver-6"])
def test_managed_transactions_in_javascript_survive_a_fail_over(package: str, scheme: str, tmp_path: Path) -> None:
    folder = node_folder()
    with Member("one", "main") as one, Member("two", "replica") as two:
        shim = ShimServer(tmp_path, [one.port, two.port])
        shim.start()
        command = ["node", "-e", PROGRAM, package, f"{scheme}://127.0.0.1:{shim.port}"]
        with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdin is not None
            assert program.stdout is not None

            def write(number: int) -> str:
                assert program.stdin is not None
                assert program.stdout is not None
                print(f"CREATE ({number})", file=program.stdin, flush=True)
                return program.stdout.readline().strip()

            assert write(1) == "one"
            one.kill()
            two.role = "main"
            assert write(2) == "two"
            one.role = "replica"
            one.start()
            one.role, two.role = "main", "replica"
            eventually(lambda: two.clients, equals=1)  # that of the shim itself
            assert write(3) == "one"
            program.stdin.close()
        shim.kill()
        assert (one.written, two.written) == (["CREATE (1)", "CREATE (3)"], ["CREATE (2)"])
