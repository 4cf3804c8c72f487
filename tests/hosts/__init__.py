"""The hosts that the integration tests run against: whichever `--host` names."""

from tests.hosts.host import Host, ServerHost
from tests.hosts.memgraph import MemgraphHost
from tests.hosts.sandbox import SandboxHost
from tests.hosts.script_server import ScriptServer
from tests.hosts.uri import UriHost

__all__ = ["Host", "MemgraphHost", "SandboxHost", "ScriptServer", "ServerHost", "UriHost"]
