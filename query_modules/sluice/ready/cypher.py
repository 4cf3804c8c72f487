"""
`sluice:cypher`: queries of the options, run for each message.

    query       a query, or a list of them; each may be a map {when: {...}, query: '...'}
    on_null     the same for tombstones. Without it they are passed over
    format      json, text, csv, avro, protobuf or jsonschema, each with its own options: what `$value` is. A message of
                several rows has several values
    key_format  what `$key` is: the same, but csv; text if nothing is said
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sluice.decoding.decoder import Decoder
from sluice.decoding.formats import decoder_of
from sluice.decoding.options import OptionReader
from sluice.decoding.refusals import WrongOption
from sluice.ready.keys import check_column
from sluice.ready.message import HEADERS, NAMES, VALUE, Context, at_path, contexts
from sluice.ready.template import QueryTemplate, template_of
from sluice.values.record import FIELDS, Columns, OfColumns, records_of
from sluice.values.same_query import Queries, Query, SameParameter, SameQuery


class Route(NamedTuple):
    """A query, and the messages for which it is run."""

    template: QueryTemplate
    conditions: tuple[tuple[str, tuple[str, ...], tuple[Any, ...]], ...] = ()
    "For each: one of NAMES, the path in it, and the values of which it must have one. All have to hold."

    @property
    def names(self) -> frozenset[str]:
        """What of a message it needs."""
        return self.template.names | {name for name, _, _ in self.conditions}

    def takes(self, parameters: Context) -> bool:
        """Whether it is run for a message with these parameters."""
        return all(_is_one(at_path(parameters[name], path), allowed) for name, path, allowed in self.conditions)


def configured(given: Mapping[str, Any]) -> dict[str, Callable[[list[Any]], Queries]]:
    """The transform that these options mean: the name of its function, and the function. Raises WrongOption."""
    options = OptionReader(given)
    routes = _routes(options, "query")
    on_null = _routes(options, "on_null")
    decoder = decoder_of(options)
    options.done()
    if not routes and not on_null:
        raise WrongOption("the option query is missing: a query, or a list of them")
    for route in on_null:
        if VALUE in route.names:
            raise WrongOption("the option on_null: a tombstone has no $value; its $key says what it is about")
    transform = CypherTransform(routes, on_null, decoder)
    is_simple = {name for route in (*routes, *on_null) for name in route.names} <= {VALUE} and not on_null
    if is_simple and not decoder.framed:
        return {"stream": transform.of_values}
    of_columns = transform.of_value_columns if is_simple else transform.of_columns
    return {"stream_messages": OfColumns(of_columns, transform.fields)}


class CypherTransform:
    """Queries for messages. Its functions raise WrongMessage at a message that cannot be applied."""

    def __init__(self, routes: list[Route], on_null: list[Route], decoder: Decoder) -> None:
        self._routes = routes
        self._on_null = on_null
        self._decoder = decoder
        self._names = frozenset(name for route in (*routes, *on_null) for name in route.names)

    @property
    def fields(self) -> tuple[str, ...]:
        """What it uses of messages."""
        wanted = {VALUE, *self._names, *([HEADERS] if self._decoder.framed else [])}
        return tuple(name for name in FIELDS if name in wanted)

    def of_values(self, batch: Sequence[bytes | None]) -> Queries:
        """The queries for the values of messages."""
        return self._of_values(self._decoder.values_of(batch))

    def of_value_columns(self, columns: Columns) -> Queries:
        """The same, where a header may say by which schema a value was written."""
        return self._of_values(self._decoder.values_of(columns[VALUE], columns.get(HEADERS, ())))

    def _of_values(self, values: list[Any]) -> Queries:
        if self._decoder.many:
            values = [value for rows in values for value in rows or ()]
        return _queries(self._routes, SameParameter(VALUE, [value for value in values if value is not None]))

    def of_columns(self, columns: Columns) -> list[Query]:
        """The queries for whole messages."""
        batch = records_of(columns)
        values = self._decoder.values(batch)
        queries: list[Query] = []
        waiting: list[Context] = []
        is_null = False
        for value, context in zip(values, contexts(batch, self._names, self._decoder), strict=True):
            if (value is None) is not is_null:
                queries += self._of(waiting, is_null=is_null)
                waiting, is_null = [], value is None
            rows = value if self._decoder.many and value is not None else [value]
            waiting += [context if is_null else {**context, VALUE: row} for row in rows]
        return [*queries, *self._of(waiting, is_null=is_null)]

    def _of(self, waiting: list[Context], *, is_null: bool) -> Queries:
        return _queries(self._on_null if is_null else self._routes, waiting)


def _queries(routes: list[Route], messages: Sequence[Context]) -> Queries:
    """The queries for messages one after the other, for each those of the routes that take it, in their order."""
    if len(routes) == 1 and not routes[0].conditions:
        return _of_route(routes[0], messages)
    placed = []
    for number, route in enumerate(routes):
        places = [place for place, message in enumerate(messages) if route.takes(message)]
        queries = _of_route(route, [messages[place] for place in places])
        placed += [((place, number), query) for place, query in zip(places, queries, strict=True)]
    return [query for _, query in sorted(placed, key=lambda item: item[0])]


def _of_route(route: Route, messages: Sequence[Context]) -> Queries:
    """One query for each message. Raises WrongMessage if a key is null in one."""
    template = route.template
    for name, key in template.keys:
        check_column(name, key, messages)
    if isinstance(messages, SameParameter) and not template.fields and template.names == {messages.name}:
        return SameQuery(template.text, messages)
    if template.fields:
        return [(template.text, _trimmed(template, message)) for message in messages]
    if messages and messages[0].keys() != template.names:
        return [(template.text, {name: message[name] for name in template.names}) for message in messages]
    return [(template.text, message) for message in messages]


def _trimmed(template: QueryTemplate, message: Context) -> dict[str, Any]:
    """The parameters with only those fields of the value that the query uses."""
    parameters = {name: message[name] for name in template.names}
    value = parameters[VALUE]
    if isinstance(value, dict):
        parameters[VALUE] = {name: value[name] for name in template.fields if name in value}
    return parameters


def _routes(options: OptionReader, name: str) -> list[Route]:
    """The queries of an option, in their order. Raises WrongMessage."""
    found = options.take(name, [])
    items = found if isinstance(found, (list, tuple)) else [found]
    return [_route(item, name) for item in items]


def _route(item: Any, option: str) -> Route:
    if isinstance(item, str):
        return Route(template_of(item, option))
    if not isinstance(item, Mapping) or not set(item) <= {"query", "when"} or not isinstance(item.get("query"), str):
        raise WrongOption(
            f"the option {option} must have queries: a text, or a map {{when: {{...}}, query: '...'}}, got {item!r}"
        )
    when = item.get("when", {})
    if not isinstance(when, Mapping):
        raise WrongOption(f"the option {option}: when must be a map of fields and their values, got {when!r}")
    return Route(template_of(item["query"], option), tuple(_condition(*pair, option) for pair in when.items()))


def _condition(field: str, allowed: Any, option: str) -> tuple[str, tuple[str, ...], tuple[Any, ...]]:
    """`type`, `$key.id`, `$topic` and the values that are allowed there, as `Route` has them."""
    name, *path = field.removeprefix("$").split(".") if field.startswith("$") else [VALUE, *field.split(".")]
    if name not in NAMES:
        raise WrongOption(
            f"the option {option}: when has no ${name}; there are {', '.join(f'${one}' for one in NAMES)}"
        )
    return name, tuple(path), tuple(allowed) if isinstance(allowed, (list, tuple)) else (allowed,)


def _is_one(value: Any, allowed: tuple[Any, ...]) -> bool:
    """Whether a value is one of these: 1 and true are not the same."""
    return any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in allowed)
