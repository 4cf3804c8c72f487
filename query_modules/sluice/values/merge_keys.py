"""
What a transaction merges: which vertices and relationships it looks for and creates if they are missing.

Two transactions that MERGE the same new vertex both create it, unless a uniqueness constraint refuses one of them; of
relationships the same is true on Memgraph 3, and no constraint helps. `MergeKeys` says whether that can happen to two
transactions. It never says no if it could happen. If it wrongly says yes, a transaction waits unnecessarily.

The transform process computes the keys from the queries (`folding.merges`), since the server only sees bytes.

Source: measured on 2.14.1 and on a 3.x; both write new vertices without looking for those of transactions in progress.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sluice.bolt.packstream import pack, unpack

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

_WHOLE = frozenset({0})
"The keys of a shape of which no value is known."

_SIZE = struct.Struct(">I")


class MergeShape(NamedTuple):
    """What kind of vertex or relationship is merged, whatever the values are."""

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
        labels = "".join(f":{label}" for label in sorted(self.required or self.labels) if label)
        return f"[{labels}]" if self.is_edge else f"({labels})"


class MergeKeys(NamedTuple):
    """The keys of one transaction. Never changes."""

    keys: Mapping[MergeShape, frozenset[int]]
    everything: bool = False
    "Whether it may merge anything: its queries are not understood, or were not analysed."

    @property
    def is_empty(self) -> bool:
        """Whether it merges nothing, so that no other transaction can interfere."""
        return not self.keys and not self.everything

    def meets(self, other: MergeKeys) -> str | None:
        """What both may create, as text for users; None: nothing."""
        if self.is_empty or other.is_empty:
            return None
        if self.everything or other.everything:
            return _shown(self) if other.everything else _shown(other)
        for shape, keys in self.keys.items():
            for theirs, their_keys in other.keys.items():
                if shape.may_be(theirs) and (shape.known != theirs.known or not keys.isdisjoint(their_keys)):
                    return str(shape)
        return None

    def without(self, constraints: Collection[Constraint]) -> MergeKeys:
        """The keys without those that uniqueness constraints cover."""
        if not constraints or not any(shape.is_covered_by(constraints) for shape in self.keys):
            return self
        kept = {shape: keys for shape, keys in self.keys.items() if not shape.is_covered_by(constraints)}
        return MergeKeys(kept, self.everything)


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
    """As bytes, for `decode` on the same machine: the shapes as PackStream, then the keys as 8-byte integers."""
    if keys.everything or len(keys.keys) > MAX_SHAPES:
        return _SIZE.pack(0)
    limited = {shape: found if len(found) <= MAX_KEYS else _WHOLE for shape, found in keys.keys.items()}
    shapes = [
        [
            shape.is_edge,
            sorted(shape.labels),
            sorted(shape.names),
            sorted(shape.known) if limited[shape] is not _WHOLE else [],
            None if shape.gains is None else sorted(shape.gains),
            sorted(shape.required),
            len(limited[shape]),
        ]
        for shape in keys.keys
    ]
    head = pack(shapes)
    numbers = b"".join(struct.pack(f"={len(found)}q", *found) for found in limited.values())
    return _SIZE.pack(len(head)) + head + numbers


def decode(data: bytes) -> MergeKeys:
    """The reverse of `encode`; EVERYTHING for anything else."""
    try:
        (size,) = _SIZE.unpack_from(data)
        if not size:
            return EVERYTHING
        at = _SIZE.size + size
        found: dict[MergeShape, frozenset[int]] = {}
        for is_edge, labels, names, known, gains, required, count in unpack(data[_SIZE.size : at]):
            if not 0 <= count <= MAX_KEYS:
                return EVERYTHING
            shape = MergeShape(
                bool(is_edge),
                frozenset(map(str, labels)),
                frozenset(map(str, names)),
                frozenset(map(str, known)),
                None if gains is None else frozenset(map(str, gains)),
                frozenset(map(str, required)),
            )
            keys = frozenset(struct.unpack_from(f"={count}q", data, at))
            found[shape] = found[shape] | keys if shape in found else keys
            at += 8 * count
    except Exception:
        return EVERYTHING
    return MergeKeys(found) if len(found) <= MAX_SHAPES else EVERYTHING


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
