"""
What a transaction merges: which vertices and relationships it looks for and creates if they are missing.

Two transactions that MERGE the same new vertex both create it, unless a uniqueness constraint refuses one of them; of
relationships the same is true on Memgraph 3, and no constraint helps. `MergeKeys` says whether that can happen to two
transactions. It never says no if it could happen. If it wrongly says yes, a transaction waits unnecessarily.

The transform process computes the keys from the queries (`folding.merges`), since the server only sees bytes.

Source: measured on 2.14.1 and on a 3.x; both write new vertices without looking for those of transactions in progress.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

ANY_LABEL = ""
"The label of vertices that are looked for without one."

MAX_KEYS = 1 << 16
"Maximum number of keys of one shape in a transaction; with more, every value counts as merged."

MAX_SHAPES = 64
"Maximum number of shapes in a transaction; with more, everything counts as merged."

UNIQUE_IS_SAFE = (3, 1)
"The first version that is not harmed by a COMMIT that a uniqueness constraint refuses."

Constraint = tuple[str, frozenset[str]]
"A uniqueness constraint: a label, and the properties whose values together are unique."

MERGES, FINDS, MAKES, CHANGES, DELETES, ANY = "m", "f", "n", "c", "d", "*"
"""
Roles of a shape. MERGES: for other streams, it is found or made. The others are for the lanes of the same stream: it is
looked for or read; it may be new; it may be changed; it may be deleted; or anything may happen.
"""

_WHOLE = frozenset({0})
"The keys of a shape of which no value is known."

_SIZE = struct.Struct(">I")


class Wanted(IntEnum):
    """What matters of what a transaction writes."""

    NOTHING = 0
    MERGED = 1
    "Other streams run."
    ALL = 2
    "Other lanes of the same stream run."


class MergeShape(NamedTuple):
    """What kind of vertex or relationship is merged, or found or written, whatever the values are."""

    is_edge: bool
    labels: frozenset[str]
    "Labels of a vertex, those that it is given afterwards included; the type of a relationship."
    names: frozenset[str]
    "Properties that it is looked for by; of a relationship also `<` and `>` with those of its ends."
    known: frozenset[str]
    "Those of them whose values are part of the keys."
    gains: frozenset[str] | None
    "Properties that it may have once it is created, beyond `names`; None: any."
    required: frozenset[str] = frozenset()
    "Labels of a vertex that it certainly has. Only these can be protected by a constraint."
    roles: str = MERGES
    watched: frozenset[str] = frozenset()
    "Properties that are read besides `names`."

    def interferes(self, other: MergeShape) -> bool:
        """
        Whether, for lanes of one stream, one may find or read what the other writes, or both may change the same, for
        some values.
        """
        if ANY in (self.roles, other.roles):
            return True
        are_types = self.is_edge and self.labels and other.labels
        if self.is_edge is not other.is_edge or (are_types and self.labels.isdisjoint(other.labels)):
            return False
        # The server notices that both change a vertex, unless one gives it the value that it has.
        both = CHANGES in self.roles and other._may_change(self.gains)
        return both or self._sees(other) or other._sees(self)

    def _may_change(self, names: frozenset[str] | None) -> bool:
        return CHANGES in self.roles and (
            None in (self.gains, names) or not (self.gains or set()).isdisjoint(names or ())
        )

    def _sees(self, other: MergeShape) -> bool:
        if FINDS not in self.roles:
            return False
        is_fit = self.is_edge or self.required <= other.labels
        if MAKES in other.roles and is_fit and (other.gains is None or self.names <= other.names | other.gains):
            return True
        seen = self.names | self.watched | {f":{label}" for label in self.required}
        return DELETES in other.roles or other._may_change(seen)

    def may_be(self, other: MergeShape) -> bool:
        """Whether what one creates can be what the other looks for, and the reverse, for some values."""
        if self.is_edge is not other.is_edge or self.labels.isdisjoint(other.labels):
            return False
        if self.known == other.known:
            return True
        mine = self.gains is None or other.names <= self.names | self.gains
        yours = other.gains is None or self.names <= other.names | other.gains
        return mine and yours

    def is_covered_by(self, constraints: Iterable[Constraint]) -> bool:
        """Whether a uniqueness constraint refuses a second vertex with the same values."""
        if self.is_edge:
            return False
        return any(label in self.required and names and names <= self.names for label, names in constraints)

    def __str__(self) -> str:
        if self.roles == ANY:
            return "everything"
        labels = "".join(f":{label}" for label in sorted(self.required or self.labels) if label)
        return f"[{labels}]" if self.is_edge else f"({labels})"


class MergeKeys(NamedTuple):
    """The keys of one transaction. Never changes."""

    keys: Mapping[MergeShape, frozenset[int]]
    everything: bool = False
    "Whether it may merge anything: its queries are not understood, or were not analysed."

    @property
    def is_empty(self) -> bool:
        """Whether it merges and finds nothing, so that no other transaction can interfere."""
        return not self.keys and not self.everything

    def meets(self, other: MergeKeys, *, in_stream: bool = False) -> str | None:
        """
        What both may create, or one may find that the other writes, as text for users; None: nothing.

        Args:
            in_stream: whether they are of lanes of one stream, whose transactions also find what the others write.
        """
        mine, yours = (keys.keys if in_stream else keys.merged for keys in (self, other))
        if not (mine or self.everything) or not (yours or other.everything):
            return None
        if self.everything or other.everything:
            return _shown(self) if other.everything else _shown(other)
        for shape, keys in mine.items():
            for theirs, their_keys in yours.items():
                may_meet = shape.interferes(theirs) if in_stream else shape.may_be(theirs)
                if may_meet and (shape.known != theirs.known or not keys.isdisjoint(their_keys)):
                    return str(theirs if theirs.roles == ANY else shape)
        return None

    @property
    def merged(self) -> Mapping[MergeShape, frozenset[int]]:
        """Those that are merged: what matters to other streams."""
        return {shape: keys for shape, keys in self.keys.items() if MERGES in shape.roles}

    def without(self, constraints: Collection[Constraint]) -> MergeKeys:
        """The keys without those that uniqueness constraints cover."""
        if not constraints or not any(shape.is_covered_by(constraints) for shape in self.keys):
            return self
        kept = {shape: keys for shape, keys in self.keys.items() if not shape.is_covered_by(constraints)}
        return MergeKeys(kept, self.everything)


ANYTHING = MergeShape(False, frozenset(), frozenset(), frozenset(), None, roles=ANY)
"The shape of a query that is not understood, for other lanes of its stream."

NOTHING = MergeKeys({})
EVERYTHING = MergeKeys({}, everything=True)


class Analysis(NamedTuple):
    """What a transform process reports about the queries that it returns."""

    keys: MergeKeys = EVERYTHING
    "What they merge; EVERYTHING also if this was not requested."
    shapes: tuple[MergeShape, ...] = ()
    "Shapes that the process met for the first time."

    def encoded(self) -> bytes:
        """As bytes, for `analysis_of` on the same machine; none where there is nothing to say."""
        if self == UNKNOWN:
            return b""
        keys = encode(self.keys)
        return _SIZE.pack(len(keys)) + keys + encode(MergeKeys(dict.fromkeys(self.shapes, frozenset())))


UNKNOWN = Analysis()


def analysis_of(data: bytes) -> Analysis:
    """The reverse of `Analysis.encoded`. Anything else becomes UNKNOWN: a transform may tamper with its process."""
    if len(data) < _SIZE.size:
        return UNKNOWN
    (size,) = _SIZE.unpack_from(data)
    return Analysis(decode(data[_SIZE.size : _SIZE.size + size]), tuple(decode(data[_SIZE.size + size :]).keys))


def encode(keys: MergeKeys) -> bytes:
    """As JSON, for `decode` on the same machine: a row for each shape, its keys at the end."""
    if keys.everything or len(keys.keys) > MAX_SHAPES:
        return b""
    rows = [
        [*shape, found] if len(found) <= MAX_KEYS else [*shape._replace(known=frozenset()), _WHOLE]
        for shape, found in keys.keys.items()
    ]
    return json.dumps(rows, default=list, separators=(",", ":")).encode()


def decode(data: bytes) -> MergeKeys:
    """The reverse of `encode`; EVERYTHING for anything else."""
    found: dict[MergeShape, frozenset[int]] = {}
    try:
        for is_edge, labels, names, known, gains, required, roles, watched, keys in json.loads(data):
            gained = None if gains is None else _texts(gains)
            texts = (_texts(labels), _texts(names), _texts(known), gained, _texts(required))
            shape = MergeShape(bool(is_edge), *texts, str(roles), _texts(watched))
            found[shape] = found.get(shape, frozenset()) | frozenset(map(int, keys))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return EVERYTHING
    is_limited = len(found) <= MAX_SHAPES and all(len(keys) <= MAX_KEYS for keys in found.values())
    return MergeKeys(found) if is_limited else EVERYTHING


def _texts(values: Iterable[object]) -> frozenset[str]:
    return frozenset(map(str, values))


def constraint_statement(label: str, names: Collection[str]) -> str:
    """The statement that makes vertices of this label unique by these properties."""
    asserted = ", ".join(f"n.{_quoted(name)}" for name in sorted(names))
    return f"CREATE CONSTRAINT ON (n:{_quoted(label)}) ASSERT {asserted} IS UNIQUE;"


def constraints_of(rows: Iterable[Mapping[str, Any]]) -> frozenset[Constraint]:
    """The uniqueness constraints among the rows of SHOW CONSTRAINT INFO."""
    found = set()
    for row in rows:
        if "unique" in row.values():
            names = row.get("properties")
            found.add((str(row.get("label")), frozenset([names] if isinstance(names, str) else map(str, names or ()))))
    return frozenset(found)


def survives_violations(versions: Iterable[str]) -> bool:
    """
    Whether a server of the given version, as SHOW VERSION reports it, is not harmed by a COMMIT that a uniqueness
    constraint refuses. Up to 3.0 the server may end because of it, and 2.14.1 frees no memory from then on
    (docs/failures.md).
    """
    found = next(filter(None, map(re.compile(r"(\d+)\.(\d+)").match, versions)), None)
    return found is not None and (int(found[1]), int(found[2])) >= UNIQUE_IS_SAFE


def unprotected(shapes: Iterable[MergeShape], constraints: Collection[Constraint]) -> list[str]:
    """
    The statements that keep other clients' MERGEs from creating a second vertex of these shapes; none for shapes that
    are covered, have no label, or are looked for without properties.
    """
    return sorted(
        {
            constraint_statement(min(shape.required - {ANY_LABEL}), shape.names)
            for shape in shapes
            if shape.required - {ANY_LABEL} and shape.names and not shape.is_edge
            if not shape.is_covered_by(constraints)
        }
    )


def _quoted(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else "`" + name.replace("`", "``") + "`"


def _shown(keys: MergeKeys) -> str:
    return "everything" if keys.everything else " ".join(sorted({str(shape) for shape in keys.keys}))
