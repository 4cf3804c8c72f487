"""
A client of schema registries that speak Confluent's REST API: Confluent's own, Apicurio (`/apis/ccompat/v7`), Karapace,
Redpanda.

    GET /schemas/ids/ID                     {schema, schemaType, references}
    GET /schemas/guids/GUID                 the same
    GET /subjects/SUBJECT/versions/VERSION  the same, of a reference

What is asked for once need not be asked for again: a registry never gives an id to another schema.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from http import HTTPStatus
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from sluice.decoding.packages import needed
from sluice.decoding.refusals import WrongMessage
from sluice.decoding.registry_options import RegistryOptions, registry_options
from sluice.decoding.schema_ids import SchemaId
from sluice.errors import ServiceUnavailable, one_line

if TYPE_CHECKING:
    import requests

AVRO, PROTOBUF, JSON = "AVRO", "PROTOBUF", "JSON"
"What a registry calls the types of its schemas."

ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"

NOT_THERE = {40401, 40402, 40403}
"`error_code` of a registry that has no such subject, version, or schema; another 404 is none of a registry's."

MAX_BYTES = 16 << 20
"Of an answer."

MAX_REFERENCES = 1000
"Schemas that one refers to, over any others."

READ_SIZE = 1 << 14

PASSING = (408, 429)
"Statuses that pass; so do all from 500 on. What others say is for somebody to change."

FIRST_PAUSE, MAX_PAUSE = 0.1, 1.0
"Seconds between two attempts; each is twice the one before."


class SchemaReference(NamedTuple):
    """What a schema needs of another."""

    name: str
    "As it calls it: a full name in Avro, what is imported in Protobuf, a URI in JSON Schema."
    subject: str
    version: int


class RegisteredSchema(NamedTuple):
    """A schema as its registry has it."""

    kind: str
    "AVRO, PROTOBUF or JSON."
    text: str
    references: tuple[SchemaReference, ...] = ()


class _NoAnswer(ServiceUnavailable):
    """... and a moment later there may be one."""


class SchemaRegistry:
    """One registry. Threads: one at a time."""

    def __init__(self, options: object) -> None:
        """
        Connects to nothing yet.

        Args:
            options: the map that `registry_options` describes.

        Raises:
            WrongOption: as `registry_options`, or the package requests is missing.
        """
        self._options: RegistryOptions = registry_options(options)
        needed("requests", "a schema registry")
        self._session: requests.Session | None = None
        self._urls = cycle(self._options.urls)
        self._url = next(self._urls)

    def schema(self, schema_id: SchemaId, query: str = "") -> RegisteredSchema:
        """
        The schema with that id.

        Raises:
            WrongMessage: the registry has none.
            ServiceUnavailable: it does not answer in time, or does not let us in.
        """
        place = f"/schemas/ids/{schema_id}" if isinstance(schema_id, int) else f"/schemas/guids/{schema_id}"
        return self._get(place + query, f"schema {schema_id}")

    def referenced(self, schema: RegisteredSchema, query: str = "") -> dict[str, RegisteredSchema]:
        """
        Name -> schema, of all that it refers to, those that they refer to included; what is needed comes first. Raises
        as `schema`.
        """
        found: dict[str, RegisteredSchema] = {}
        self._collect(schema, query, found, set())
        return found

    def _collect(
        self, schema: RegisteredSchema, query: str, found: dict[str, RegisteredSchema], asked: set[SchemaReference]
    ) -> None:
        for reference in schema.references:
            if reference in asked:
                continue
            asked.add(reference)
            if len(asked) > MAX_REFERENCES:
                raise WrongMessage(f"of a schema that refers to more than {MAX_REFERENCES} others")
            place = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
            other = self._get(place + query, f"version {reference.version} of {reference.subject}")
            self._collect(other, query, found, asked)
            found[reference.name] = other

    def _get(self, path: str, what: str) -> RegisteredSchema:
        """Asks until the registry answers, for the options' timeout at most. Raises as `schema`."""
        deadline = time.monotonic() + self._options.timeout
        pause = FIRST_PAUSE
        while True:
            try:
                return _schema_of(self._answer(path, what, deadline), what)
            except _NoAnswer:
                self._url = next(self._urls)
                if time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def _answer(self, path: str, what: str, deadline: float) -> Any:
        import requests  # noqa: PLC0415 - only those who have a registry need it

        try:
            session = self._opened()
            response = session.get(
                self._url + path,
                headers={"Accept": ACCEPT, **self._options.headers()},
                timeout=max(deadline - time.monotonic(), FIRST_PAUSE),
                allow_redirects=False,
                stream=True,
            )
            with closing(response):
                body = _body(response, deadline)
        except (OSError, ValueError, requests.RequestException) as error:
            raise _NoAnswer(self._told(what, _cause(error))) from None
        if response.status_code == HTTPStatus.OK:
            return body
        code = body.get("error_code") if isinstance(body, dict) else None
        if response.status_code == HTTPStatus.NOT_FOUND and code in NOT_THERE:
            raise WrongMessage(f"of {what}, which the schema registry at {self._url} does not have")
        if response.status_code == HTTPStatus.NOT_FOUND and path.startswith("/schemas/guids/"):
            # Before any fault of its address: registries other than Confluent's know no GUIDs.
            raise ServiceUnavailable(self._told(what, "it answers 404, as registries do that have no GUIDs"))
        passes = response.status_code in PASSING or response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        why = f"it answers {response.status_code} {response.reason}".rstrip()
        raise (_NoAnswer if passes else ServiceUnavailable)(self._told(what, why))

    def _opened(self) -> requests.Session:
        if self._session is None:
            from sluice.host import web  # noqa: PLC0415 - the same

            secure = any(url.startswith("https:") for url in self._options.urls)
            self._session = web.session(self._options.trust() if secure else None)
        return self._session

    def _told(self, what: str, why: str) -> str:
        return one_line(f"the schema registry at {self._url}, asked for {what}: {why}")


def _body(response: requests.Response, deadline: float) -> Any:
    content = bytearray()
    # In newer releases of urllib3, what has come so far; in others the next of that size.
    read = getattr(response.raw, "read1", response.raw.read)
    while chunk := read(READ_SIZE):
        content += chunk
        if len(content) > MAX_BYTES:
            raise ValueError(f"its answer is larger than {MAX_BYTES} bytes")
        if time.monotonic() >= deadline:
            raise TimeoutError("its answer is not whole in time")
    try:
        return json.loads(bytes(content))
    except ValueError:
        if response.status_code == HTTPStatus.OK:
            raise ValueError("its answer is not JSON") from None
        return None


def _schema_of(answer: Any, what: str) -> RegisteredSchema:
    """The schema in an answer. Raises ServiceUnavailable: whoever answers so is no registry."""
    try:
        references = tuple(
            SchemaReference(str(item["name"]), str(item["subject"]), int(item["version"]))
            for item in answer.get("references") or ()
        )
        return RegisteredSchema(str(answer.get("schemaType") or AVRO), str(answer["schema"]), references)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ServiceUnavailable(f"the schema registry, asked for {what}, answers with something else") from None


def _cause(error: BaseException) -> str:
    """What was the matter in the end: `requests` wraps it more than once."""
    while inner := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
