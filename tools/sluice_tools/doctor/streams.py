"""The streams of a server: the status of each, its brokers and its topic."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from sluice.brokers.references import is_public
from sluice.errors import GraphError, SettingError
from sluice.host.kafka_properties import is_path, is_reference, uses_msk_iam
from sluice.persistence import nodes
from sluice.values import configuration
from sluice.values.merge_keys import UNIQUE_IS_SAFE
from sluice_tools.doctor.checks import Check, Finding, fix, note
from sluice_tools.doctor.kafka import Cluster
from sluice_tools.doctor.server import Server

ADDITIONS = (
    f"MATCH (:{nodes.CATALOG})-[:{nodes.HAS_STREAM}]->(s:{nodes.STREAM})-[:{nodes.HAS_CHECKPOINT}]->(k) "
    f"WHERE k.{nodes.OWNER} = s.uid "
    "RETURN s.name AS name, s.config AS config, s.transform_sha256 AS sha256, k.error AS error"
)

REASON = "CALL streams.info($name) YIELD reason RETURN reason"
SIGN_IN = "CALL streams.sign_in($name) YIELD part, found, trouble RETURN part, found, trouble"
MERGES = "CALL streams.info($name) YIELD merges RETURN merges"


SIGN_IN_PATIENCE = 30.0
"Seconds that the server may take to look for credentials."


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
            ] + ["sasl.mechanism"] * uses_msk_iam(dict(settings))
            if kept:
                raise SettingError(f"{stream} has what the server alone has in its config: {kept[0]}")
            known = self._known[uri, config] = Cluster(uri, self._timeout, dict(settings))
        return known


def stream_checks(server: Server, name: str | None, clusters: Clusters) -> Iterator[Check]:
    """
    The rows "stream", "merges", "kafka-auth", "kafka", "topic" and "transform" of each stream.

    Args:
        name: of one stream; None: all there are.
    """
    if server.streams is None:
        return
    streams = [row for row in server.streams if name in (None, row["name"])]
    if name is not None and not streams:
        yield Check("stream", (), partial(_missing, server.streams, name))
    additions = _additions(server) if streams else {}
    for stream in streams:
        yield from _checks(server, stream, additions.get(stream["name"], {}), clusters)


def _missing(streams: list[dict[str, Any]], name: str) -> Finding:
    there = ", ".join(str(row["name"]) for row in streams) or "none"
    return fix(f"there is no stream {name}", f"give the name of one that there is ({there}), or create it")


def _checks(server: Server, stream: dict[str, Any], addition: dict[str, Any], clusters: Clusters) -> Iterator[Check]:
    name = stream["name"]
    needs = ("procedures",)
    yield Check("stream", needs, partial(_state, server, stream, addition), of=name)
    yield Check("merges", needs, partial(examine_merges, server, name), of=name)
    yield Check("kafka-auth", needs, partial(examine_sign_in, server, name), of=name)
    try:
        cluster = clusters.get(stream["uri"], name, addition.get("config") or "")
    except SettingError as error:
        yield Check("kafka", (), partial(note, f"not looked at: {error}"), of=name)
    else:
        yield from cluster.checks(stream["topic"])
    if addition.get("sha256"):
        text = f"{name} keeps its script of {stream['transform']}, SHA-256 {addition['sha256'][:12]}"
        yield Check("transform", (), partial(str, text), of=name)


def _state(server: Server, stream: dict[str, Any], addition: dict[str, Any]) -> str | Finding:
    name, status = stream["name"], stream["status"]
    if status == "error":
        text = f"{name} ended: {addition.get('error') or 'its checkpoint says why'}"
        return fix(text, f"put that right, then START STREAM {name}: it goes on where it was")
    rows = server.ask(REASON, name=name) if status == "running" else []
    if rows and rows[0]["reason"]:
        return fix(f"{name} is {rows[0]['reason']}", "it continues by itself afterwards")
    return f"{name} is {status}"


def examine_sign_in(server: Server, name: str) -> str | Finding | None:
    """Whether the server has what the stream signs in to Kafka with; None: it needs nothing, or the server is older."""
    rows = server.ask(SIGN_IN, patience=SIGN_IN_PATIENCE, name=name)
    missing = [row["trouble"] for row in rows if row["trouble"]]
    if missing:
        return fix(f"{name} cannot sign in: {'; '.join(missing)}", "correct that on the server's machine")
    found = ", ".join(f"{row['part']}: {row['found']}" for row in rows)
    return f"{name} has what it signs in with ({found})" if rows else None


def examine_merges(server: Server, name: str) -> Finding | None:
    """What the stream merges that other clients could create a second time; None: nothing that is known."""
    rows = server.ask(MERGES, name=name)
    statements = (rows[0].get("merges") or {}).get("unprotected") if rows else None
    if not statements:
        return None
    text = (
        f"{name} merges vertices that no constraint protects: two clients that merge the same new one at "
        f"the same time both create it (streams of this server wait for each other). To rule that out: "
        f"{' '.join(statements)}"
    )
    if server.version is not None and server.version < UNIQUE_IS_SAFE:
        text += " But upgrade to Memgraph 3.1 first, since a violated constraint can end an older server"
    return note(text)


def _additions(server: Server) -> dict[str, dict[str, Any]]:
    """What the metadata nodes contain beyond SHOW, by stream; empty if they may not be read."""
    try:
        return {row["name"]: row for row in server.fetch(ADDITIONS)}
    except GraphError:
        return {}
