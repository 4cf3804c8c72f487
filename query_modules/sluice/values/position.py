"""Where a stream reads on in a partition, and in which log that is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from sluice.errors import SettingError

UNKNOWN = -1
"Kafka's own value for a leader epoch that is not known."


class Position(NamedTuple):
    """The offset of the next message to read."""

    offset: int
    leader_epoch: int = UNKNOWN
    """
    The leader epoch of the message before it: Kafka counts the leaders of a partition, and stores with each message
    under which it was written. So a broker can tell that it has lost that message, though it has others at its offset.
    """


def encode_leader_epochs(positions: Mapping[int, int], leader_epochs: Mapping[int, Position]) -> str:
    """
    Leader epochs as the checkpoint node holds them beside the positions: JSON, partition -> [offset, leader epoch].

    Each has the offset that it belongs to, since others move positions and leave this alone: earlier versions, SEEK,
    people who edit the node. Only those of the positions are written.
    """
    known = {
        str(partition): list(leader_epochs[partition])
        for partition, offset in sorted(positions.items())
        if (found := leader_epochs.get(partition)) and found.offset == offset and found.leader_epoch != UNKNOWN
    }
    return json.dumps(known, separators=(",", ":"))


def decode_leader_epochs(text: str) -> dict[int, Position]:
    """The reverse of `encode_leader_epochs`. Raises SettingError: the text is not such a JSON object."""
    try:
        found = {int(partition): Position(*pair) for partition, pair in json.loads(text).items()}
        whole = all(isinstance(number, int) for position in found.values() for number in position)
        right = whole and all(0 <= position.leader_epoch < 1 << 31 for position in found.values())
    except (ValueError, AttributeError, TypeError):
        right = False
    if not right:
        raise SettingError(f'leader_epochs of a checkpoint must be like {{"0":[120,3]}}, got {text!r}') from None
    return found
