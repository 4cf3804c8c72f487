"""
The tables of `sluice:debezium`: what its options say of them, and what is taken for granted where they say nothing.

A row is a vertex with two labels. `Customer__key` stands for the row's key: a vertex has it from when the key is first
named, by its row or by a foreign key of another, until neither names it any more. `Customer` says that the row exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongMessage, WrongOption
from sluice.ready.debezium_values import ColumnKind, ColumnKinds, Values
from sluice.ready.identifiers import quoted

DEFAULT_SCHEMAS = ("public", "dbo")
"The schemas whose tables go by their bare names, unless the option `schemas` names others."

KEY_LABEL = "__key"
"Follows a table's label in the label that its keys have."

OTHERS = ("error", "ignore", "apply")
"What the option `other_tables` may say."

MAX_TOPICS = 10_000
"Topics whose tables are remembered; keys of routed messages may name any."

_CHANGED_IN_TOPICS = re.compile(r"[^a-zA-Z0-9._-]")
"What Debezium writes as an underscore. Source: `AbstractTopicNamingStrategy`."


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key."""

    columns: tuple[str, ...]
    table: str
    "The name of the table that it refers to."
    type: str
    "Of the relationship."
    to: tuple[str, ...]
    "The columns of that table's key, in the order of `columns`."


@dataclass(frozen=True, eq=False)
class Table:
    """One table."""

    name: str
    "As `Tables.name_of` has it."
    label: str
    key: tuple[str, ...] = ()
    "The columns of the key; empty if the events' keys say."
    columns: frozenset[str] | None = None
    "Those that become properties; None: all."
    properties: Mapping[str, str] = field(default_factory=dict)
    "Column -> property, for those that are renamed."
    kinds: ColumnKinds = field(default_factory=dict)
    references: tuple[ForeignKey, ...] = ()

    @cached_property
    def referring(self) -> frozenset[str]:
        """The columns of its foreign keys."""
        return frozenset(column for one in self.references for column in one.columns)

    @property
    def key_label(self) -> str:
        """The label of the vertices for its keys."""
        return self.label + KEY_LABEL

    def has(self, column: str) -> bool:
        """Whether a column becomes a property."""
        return self.columns is None or column in self.columns

    def property_of(self, column: str) -> str:
        """The name of a column's property."""
        return self.properties.get(column, column)


class Tables:
    """All tables by name. Those that the options do not name come into it when the first event of theirs is met."""

    def __init__(self, options: OptionReader, values: Values) -> None:
        """
        Takes its options.

        Raises:
            WrongOption: an option is missing, unknown, of a wrong form, or contradicts another.
        """
        self._schemas = frozenset(options.texts("schemas", DEFAULT_SCHEMAS))
        given = options.map("tables")
        self._others = options.choice("other_tables", OTHERS, "error" if given else "apply")
        self._tables: dict[str, Table | None] = {}
        for listed, settings in given.items():
            name = self.bare(listed)
            if name in self._tables:
                raise WrongOption(f"the option tables has {name} twice")
            self._tables[name] = None if settings is None else self._table(name, settings, values)
        self._listed = tuple(self._tables)
        self._topics: dict[str, str | None] = {
            topic: self.bare(str(name)) for topic, name in options.map("topics").items()
        }
        self._check()

    def name_of(self, schema: object, table: object) -> str:
        """A table's name: with its schema (MySQL: its database), unless that is one of the default ones."""
        return str(table) if not schema or schema in self._schemas else f"{schema}.{table}"

    def bare(self, name: str) -> str:
        """The name that a user or a topic may write with its schema or without."""
        return self.name_of(*name.split(".", 1)) if "." in name else name

    def of(self, name: str) -> Table | None:
        """
        The table of that name; None if its events are passed over.

        Raises:
            WrongMessage: the options do not name it, and do not say that others are taken.
        """
        if name not in self._tables:
            if self._others == "error":
                raise WrongMessage(
                    f"the option tables does not name the table {name}: add `{name}`: {{}}, or `{name}`: null to pass "
                    "over its events, or other_tables: 'ignore' or 'apply' for all others"
                )
            self._tables[name] = Table(name, name) if self._others == "apply" else None
        return self._tables[name]

    def of_tombstone(self, name: str) -> Table | None:
        """The same for a name that a topic only seems to have: None, and no error, if the options do not name it."""
        return self.of(name) if name in self._tables or self._others == "apply" else None

    def of_topic(self, topic: str) -> str | None:
        """
        The table of a topic that has a table's name: one that the option `topics` names, `prefix.schema.table`, or the
        table alone. None if that may be several, or is not known.
        """
        if topic in self._topics:
            return self._topics[topic]
        found = self._named_like(topic)
        if len(self._topics) < MAX_TOPICS:
            self._topics[topic] = found
        return found

    def _named_like(self, topic: str) -> str | None:
        parts = topic.split(".")
        found = [name for name in self._listed if set(self._written(name)) & {topic, ".".join(parts[-2:])}]
        if found:
            return found[0] if len(found) == 1 else None
        return self.name_of(*parts[-2:]) if len(parts) > 2 else None  # noqa: PLR2004 - prefix, schema, table

    def key_of(self, table: Table) -> tuple[str, ...]:
        """The columns of a table's key as far as the options say, be it by what refers to it."""
        return table.key or next((one.to for one in self._references() if one.table == table.name), ())

    def types_to(self, name: str) -> frozenset[str] | None:
        """The types of the relationships that refer to a table; None: any, since the options name no foreign key."""
        references = list(self._references())
        return frozenset(one.type for one in references if one.table == name) if references else None

    def _written(self, name: str) -> Iterable[str]:
        """A table's name as it may be in topics."""
        names = [name] if "." in name else [name, *(f"{schema}.{name}" for schema in self._schemas)]
        return (_CHANGED_IN_TOPICS.sub("_", one) for one in names)

    def _references(self) -> Iterable[ForeignKey]:
        return (one for table in self._tables.values() if table for one in table.references)

    def _table(self, name: str, given: Any, values: Values) -> Table:
        if not isinstance(given, Mapping):
            raise WrongOption(f"the table {name} in the option tables must be a map or null, got {given!r}")
        options = OptionReader(given)
        try:
            columns = options.texts("columns", ())
            table = Table(
                name,
                options.text("label", name),
                tuple(options.texts("key", ())),
                frozenset(columns) if columns else None,
                {column: str(renamed) for column, renamed in options.map("properties").items()},
                _kinds(options.map("types"), values),
                tuple(map(self._reference, _maps(options.take("references", ())))),
            )
            options.done()
            for text in (table.label, *table.properties.values(), *(one.type for one in table.references)):
                quoted(text, "a label, a type or a property")
        except ValueError as error:
            raise WrongOption(f"the table {name} in the option tables: {error}") from None
        return table

    def _reference(self, given: Mapping[str, Any]) -> ForeignKey:
        options = OptionReader(given)
        columns, table, kind = options.texts("columns"), self.bare(options.text("table")), options.text("type")
        to = options.texts("to", ())
        options.done()
        return ForeignKey(tuple(columns), table, kind, tuple(to))

    def _check(self) -> None:
        """Completes the references by the keys of the tables that they name, and refuses what is ambiguous."""
        for name, table in self._tables.items():
            if table is not None:
                references = tuple(self._completed(table, one) for one in table.references)
                for one, other in combinations(references, 2):
                    if (one.type, one.table) == (other.type, other.table):
                        raise WrongOption(f"the table {name} has two references of type {one.type} to {one.table}")
                self._tables[name] = replace(table, references=references)
        for name in self._tables:
            if len({frozenset(one.to) for one in self._references() if one.table == name}) > 1:
                raise WrongOption(f"the references to {name} go by different columns: a vertex has one key")
        labels = [label for table in self._tables.values() if table for label in (table.label, table.key_label)]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise WrongOption(f"the option tables gives the label {twice[0]} to two tables")

    def _completed(self, table: Table, one: ForeignKey) -> ForeignKey:
        target = self._tables.get(one.table)
        where = f"the reference of {table.name} to {one.table}"
        if target is None:
            raise WrongOption(f"{where}: the option tables does not name that table")
        to = one.to or target.key
        if len(to) != len(one.columns):
            raise WrongOption(
                f"{where} has {len(one.columns)} columns, and the key to which they refer {len(to)}: "
                f"give the key of {one.table}, or the reference's option to"
            )
        if target.key and set(to) != set(target.key):
            raise WrongOption(f"{where} goes by {', '.join(to)}, and the key of {one.table} is {', '.join(target.key)}")
        return replace(one, to=to)


def _maps(given: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(given, (list, tuple)) or not all(isinstance(item, Mapping) for item in given):
        raise WrongOption(f"the option references must be a list of maps, got {given!r}")
    return given


def _kinds(given: Mapping[str, Any], values: Values) -> dict[str, ColumnKind]:
    return {column: values.named(column, name) for column, name in given.items()}
