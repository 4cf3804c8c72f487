"""
The streams of a server: the status of each, its brokers and its topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sluice.brokers.references import is_public
from sluice.errors import QueryRefused, SettingError
from sluice.host.kafka_properties import is_path, is_reference
from sluice.persistence import nodes
from sluice.values import configuration
from sluice.values.merge_keys import UNIQUE_IS_SAFE
from sluice_tools.doctor.findings import Finding, fix, note, ok
from sluice_tools.doctor.kafka import Cluster
from sluice_tools.doctor.server import Server

ADDITIONS = (
    f"MATCH (:{nodes.CATALOG})-[:{nodes.HAS_STREAM}]->(s:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(k) "
    f"WHERE k.{nodes.OWNER} = s.uid "
    "RETURN s.name AS name, s.config AS config, s.transform_sha256 AS sha256, k.error AS error"
)

MERGES = "CALL streams.info($name) YIELD merges RETURN merges"


class Clusters:
    """The clusters that streams name, each looked at once."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._known: dict[tuple[str, str], Cluster] = {}

    def get(self, uri: str, stream: str = "", config: str = "") -> Cluster:
        """
        Args:
            config: as the stream's node holds it.

        Raises:
            SettingError: it refers to a secret, or is invalid.
        """
        known = self._known.get((uri, config))
        if known is None:
            settings = configuration.decode(stream, config).kafka
            # References are to the server's secrets. If they were resolved here, users who may create streams could
            # have this machine's files sent to their own brokers, or quoted in an error.
            kept = [
                key
                for key, value in settings
                if is_reference(key, value) or (is_path(key, value) and not is_public(key, value))
            ]
            if kept:
                raise SettingError(f"{stream} has what the server alone has in its config: {kept[0]}")
            known = self._known[uri, config] = Cluster(uri, self._timeout, dict(settings))
        return known


def examine_streams(server: Server, name: str | None, clusters: Clusters) -> Iterator[Finding]:
    """
    Findings "stream", "kafka", "topic" and "transform" of each stream.

    Args:
        name: of one stream; None: all there are.
    """
    streams = [row for row in server.streams or [] if name in (None, row["name"])]
    if name is not None and not streams:
        there = ", ".join(str(row["name"]) for row in server.streams or []) or "none"
        yield fix("stream", f"there is no stream {name}", f"give the name of one that there is ({there}), or create it")
        return
    additions = _additions(server)
    for stream in streams:
        yield from _examine(server, stream, additions.get(stream["name"], {}), clusters)


def _examine(server: Server, stream: dict[str, Any], addition: dict[str, Any], clusters: Clusters) -> Iterator[Finding]:
    name = stream["name"]
    yield _state(server, stream, addition)
    yield from examine_merges(server, name)
    try:
        cluster = clusters.get(stream["uri"], name, addition.get("config") or "")
    except SettingError as error:
        yield note("kafka", f"not looked at: {error}")
    else:
        yield from cluster.examine(stream["topic"])
    if addition.get("sha256"):
        yield ok("transform", f"{name} keeps its script of {stream['transform']}, SHA-256 {addition['sha256'][:12]}")


def _state(server: Server, stream: dict[str, Any], addition: dict[str, Any]) -> Finding:
    name, status = stream["name"], stream["status"]
    if status == "error":
        text = f"{name} ended: {addition.get('error') or 'its checkpoint says why'}"
        return fix("stream", text, f"put that right, then START STREAM {name}: it goes on where it was")
    if status == "running":
        reason = _reason(server, name)
        if reason:
            return fix("stream", f"{name} is {reason}", "it goes on by itself once that is over")
    return ok("stream", f"{name} is {status}")


def examine_merges(server: Server, name: str) -> Iterator[Finding]:
    """What the stream merges that other clients could create a second time."""
    try:
        rows = server.fetch(MERGES, name=name)
    except QueryRefused:
        return
    statements = (rows[0].get("merges") or {}).get("unprotected") if rows else None
    if statements:
        text = (
            f"{name} merges vertices that no constraint protects: two clients that merge the same new one at "
            f"the same time both create it (streams of this server wait for each other). To rule that out: "
            f"{' '.join(statements)}"
        )
        if server.version is not None and server.version < UNIQUE_IS_SAFE:
            text += " But upgrade to Memgraph 3.1 first, since a violated constraint can end an older server"
        yield note("merges", text)


def _reason(server: Server, name: str) -> str:
    try:
        rows = server.fetch("CALL streams.info($name) YIELD reason RETURN reason", name=name)
    except QueryRefused:
        return ""
    return str(rows[0]["reason"] or "") if rows else ""


def _additions(server: Server) -> dict[str, dict[str, Any]]:
    """What the metadata nodes contain beyond SHOW, by stream; empty if they may not be read."""
    try:
        return {row["name"]: row for row in server.fetch(ADDITIONS)}
    except QueryRefused:
        return {}
