"""What nodes hold, which whoever may write them can edit; and what procedures are given."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from sluice.bolt.values import Structure
from sluice.errors import SchemaError, SettingError
from sluice.host.installation import Installation
from sluice.persistence import nodes
from sluice.persistence.schema import check_version
from sluice.procedures.stream_node import StreamNode
from sluice.scripting.manual_message import records_given
from sluice.values import configuration
from sluice.values.configuration import Configuration, configuration_of
from sluice.values.model import Checkpoint, CheckpointId, Status, StreamSpec, VertexId
from sluice.values.parked_message import decode_requests, groups, message_of
from sluice.values.seek_target import start_of, target_of
from tests.fuzz.mutator import changed_json
from tests.fuzz.runner import Target

OTHERS = {
    "date": datetime.date(2026, 2, 28),
    "datetime": datetime.datetime(2026, 2, 28, 12, 0, 0),
    "structure": Structure(0x44, [1]),
    "bytes": b"\xff",
}
"Values of the graph and of Bolt that JSON does not have, by what stands for them under `$`."


def value_of(data: bytes) -> Any:
    """A seed's JSON as a value. Raises ValueError if it is none."""
    return json.loads(data, object_hook=lambda item: OTHERS.get(str(item.get("$")), item) if "$" in item else item)


def map_of(data: bytes) -> dict[str, Any]:
    """The same; what is no map is an empty one."""
    try:
        value = value_of(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def config(data: bytes) -> None:
    """A node's text, and a map that CREATE is given: what is read is written so that it is read again."""
    text = data.decode(errors="replace")
    reads: tuple[Callable[[], Configuration], ...] = (
        lambda: configuration.decode("s", text),
        lambda: configuration_of("s", map_of(data)),
    )
    for read in reads:
        try:
            found = read()
        except SettingError:
            continue
        assert configuration.decode("s", found.encode()) == found
    configuration.decode_changed("s", text, map_of(data))


def stream_node(data: bytes) -> None:
    """A stream's node, for the supervisor and for SHOW, which never fails."""
    properties = map_of(data)
    nodes.asks_to_run(properties)
    nodes.asks_to_retry(properties)
    stream = StreamNode(_vertex(1, properties), "s", Installation(None))
    assert isinstance(stream.status, Status)
    assert isinstance(stream.checkpoint(), Checkpoint)
    assert stream.next_generation > 0
    assert isinstance(stream.text("transform"), str)
    desired = nodes.desired_of(properties, VertexId(1), CheckpointId(VertexId(2), "u"))
    assert isinstance(desired.spec, StreamSpec)
    again = nodes.spec_of(nodes.spec_properties(desired.spec))
    assert again == desired.spec


def checkpoint_node(data: bytes) -> None:
    """A checkpoint: what is read is written so that it is read again, and SHOW never fails."""
    properties = map_of(data)
    held = {"uid": "u", "name": "s", "topic": "t", "generation": 1, "running": True}
    kept = _vertex(2, {**properties, nodes.OWNER: "u"})
    stream = StreamNode(_vertex(1, held, CHECKPOINT=kept), "s", Installation(None))
    assert isinstance(stream.status, Status)
    assert stream.next_generation > 0
    checkpoint = nodes.checkpoint_of(properties, "t")
    written = nodes.checkpoint_properties(checkpoint) | nodes.history_properties(checkpoint)
    again = nodes.checkpoint_of(written, "t")
    assert (again.positions, again.messages) == (checkpoint.positions, checkpoint.messages)
    for entry in checkpoint.history:
        entry.as_row()
    check_version(properties.get("schema_version"), 1)


def parked_node(data: bytes) -> None:
    """A parked message's node, and the requests to apply it."""
    properties = map_of(data)
    requests = decode_requests(properties.get("requests"))
    message = message_of(properties)
    assert isinstance(message.place, str)
    record = message.record
    assert isinstance(record.value, bytes | None)
    assert [len(group) for group in groups([message, message], 1, 10)] == [1, 1]
    for request in requests:
        request.means(message)
    message.properties()


def arguments(data: bytes) -> None:
    """What `streams.seek`, `start` and `streams.try_transform` are given."""
    try:
        value = value_of(data)
    except ValueError:
        return
    refused = None
    for read in (
        lambda: target_of("seek", value),
        lambda: start_of("start", value),
        lambda: records_given(value if isinstance(value, list) else [value]),
    ):
        try:
            read()
        except SettingError as error:
            refused = error
    if refused is not None:
        raise refused


class _Properties(dict[str, Any]):
    """As `mgp.Properties`."""

    def items(self) -> Any:
        return [SimpleNamespace(name=name, value=value) for name, value in super().items()]


def _vertex(number: int, properties: dict[str, Any], **ends: Any) -> Any:
    """As `mgp.Vertex`, with a relationship of each of the types that are named."""
    edges = [SimpleNamespace(type=SimpleNamespace(name=kind), to_vertex=end) for kind, end in ends.items()]
    return SimpleNamespace(id=number, properties=_Properties(properties), out_edges=edges, in_edges=[], labels=[])


TARGETS = (
    Target("config", config, (SettingError,), changed_json),
    Target("stream_node", stream_node, (SettingError,), changed_json),
    Target("checkpoint_node", checkpoint_node, (SettingError, SchemaError), changed_json),
    Target("parked_node", parked_node, (ValueError,), changed_json),
    Target("arguments", arguments, (SettingError,), changed_json),
)
