"""The house keeps its order: who may import whom, and what runs inside the server needs."""

from __future__ import annotations

import sys

from tests.house import arrows, imported, long_constructors, long_modules, modules, names_defined_twice

FLOORS = (
    *("streams", "sluice.procedures", "sluice.supervising", "sluice.engine", "sluice.persistence", "sluice.scripting"),
    *("sluice.ready", "sluice.decoding"),
    *("sluice.brokers", "sluice.folding", "sluice.clauses", "sluice.cypher", "sluice.values", "sluice.host"),
    *("sluice.bolt", "sluice.errors"),
)
"The rooms inside the server, from the top down."

OUTSIDERS = {"confluent_kafka", "requests", "urllib3"}
"What is imported inside besides the standard library; urllib3 comes with requests."

MAX_ARROWS = 61
"Pairs of rooms inside of which one imports from the other. A new one should take the place of another."

BROUGHT_BY_USERS = {"orjson", "fastavro", "google", "proto_schema_parser", "jsonschema", "referencing"}
"What formats need (`decoding.packages`), where transforms run; nothing in the server's own process imports them."

FOUND = modules()


def test_no_import_goes_up() -> None:
    up = [
        where
        for (room, other), places in arrows(FOUND).items()
        if room in FLOORS and other in FLOORS and FLOORS.index(room) > FLOORS.index(other)
        for where in places
    ]
    assert up == []


def test_no_more_rooms_know_of_others() -> None:
    inside = [pair for pair in arrows(FOUND) if set(pair) <= set(FLOORS[1:])]
    assert len(inside) <= MAX_ARROWS, sorted(inside)


def test_every_room_has_its_floor() -> None:
    assert {module.room for module in FOUND if module.name.startswith("sluice.")} == set(FLOORS[1:])


def test_the_inside_needs_little_and_nothing_of_the_outside() -> None:
    standard = set(sys.stdlib_module_names) | {"sluice"} | OUTSIDERS
    foreign = {
        f"{module.name} -> {name}"
        for module in FOUND
        if module.name.split(".")[0] in ("sluice", "streams")
        for name in imported(module)
        if name.split(".")[0] not in (standard | BROUGHT_BY_USERS if module.room == "sluice.decoding" else standard)
    }
    assert foreign == set()


def test_what_transforms_import_is_imported_by_nothing_else() -> None:
    importers = {room for room, other in arrows(FOUND) if other == "sluice.decoding"}
    assert importers == {"sluice.ready"}


def test_long_modules_are_the_two_that_have_a_reason() -> None:
    # The procedures with their docstrings, which users read; and the file that the transform process is started with.
    assert {name for _, name in long_modules(FOUND)} <= {"streams", "sluice.scripting.child"}


def test_no_class_has_the_name_of_another() -> None:
    assert names_defined_twice(FOUND) == {}


def test_no_constructor_takes_more_than_five_arguments() -> None:
    assert long_constructors(FOUND) == []
