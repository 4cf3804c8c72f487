"""Rules of folding, broken one at a time: the tests that compare graphs have to notice each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest

from sluice.folding import access, conflicts, encounters, ordering, rewrites, solitary, text_queue, whole
from sluice.folding.access import Origin
from sluice.folding.encounters import Encounter
from sluice.folding.query import Query
from sluice.folding.series import Series
from sluice.folding.template import Template
from sluice.folding.text_queue import QueryGroup
from sluice.folding.whole import Column

Patch = pytest.MonkeyPatch
Rule = Callable[..., Any]

TUPLES: Sequence[tuple[ModuleType, str]] = (
    (access, "FORGETTING"),
    (conflicts, "RULES"),
    (conflicts, "STRICT"),
    (conflicts, "DIRECTIONS"),
    (encounters, "SEARCH_RULES"),
    (encounters, "COMMUTING"),
    (rewrites, "RULES"),
    (solitary, "RULES"),
    (text_queue, "COMPARING"),
    (whole, "GROUPING"),
    (whole, "KEEPING_BACK"),
)
"Where the rules are."


def broken(patch: Patch, rule: Rule, other: Rule | None = None) -> None:
    """Puts another rule in the place of one, or leaves it out."""
    [(module, name)] = [place for place in TUPLES if rule in getattr(*place)]
    rules = [other if entry is rule else entry for entry in getattr(module, name)]
    patch.setattr(module, name, tuple(entry for entry in rules if entry is not None))


def nothing_conflicts(patch: Patch) -> None:
    """Anything may go anywhere."""
    patch.setattr(conflicts, "RULES", ())


def rows_see_each_other(patch: Patch) -> None:
    """MATCH in a later row finds what an earlier row made: chains are folded."""
    patch.setattr(conflicts, "STRICT", ())


def edges_pass_their_vertices(patch: Patch) -> None:
    """What MATCH looks for may be made later."""
    for rule in (encounters.new_vertex, encounters.new_edge):
        broken(patch, rule, lambda one, rule=rule: one.sought.origin is not Origin.MATCHED and rule(one))


def new_edges_are_not_found(patch: Patch) -> None:
    """Nobody looks for edges that others make."""
    broken(patch, encounters.new_edge)


def the_dead_are_still_found(patch: Patch) -> None:
    """DELETE does not matter to others."""
    broken(patch, encounters.deletion)


def labels_do_not_decide(patch: Patch) -> None:
    """Labels that come and go do not matter to others."""
    broken(patch, encounters.label_change)


def keys_do_not_change(patch: Patch) -> None:
    """SET of a property by which others look does not matter to them."""
    broken(patch, encounters.key_change)
    broken(patch, encounters.condition_change)


def maps_do_not_replace(patch: Patch) -> None:
    """SET n = $map takes nothing away."""
    broken(patch, encounters.replacement)


def maps_hold_no_keys(patch: Patch) -> None:
    """A map of properties never has one by which others look."""
    broken(patch, solitary.overwritten_keys)


def values_may_pass_each_other(patch: Patch) -> None:
    """Two SETs of one property give the same in either order."""
    for rule in (conflicts.write_then_read, conflicts.read_then_write, conflicts.write_twice):
        broken(patch, rule)


def vertices_have_one_label(patch: Patch) -> None:
    """A vertex is found by the first of its labels only."""

    def new_vertex(one: Encounter) -> bool:
        return encounters.new_vertex(one) and one.sought.labels <= set(sorted(one.changed.labels)[:1])

    broken(patch, encounters.new_vertex, new_vertex)


def equal_means_identical(patch: Patch) -> None:
    """1 is no 1.0."""
    comparable = text_queue.comparable
    broken(patch, comparable, lambda values, alone: list(map(repr, comparable(values, alone))))


def equal_numbers_are_the_same(patch: Patch) -> None:
    """What is made has the number of the first MERGE, whichever that is."""
    broken(patch, solitary.equal_numbers)


def joins_keep_the_order(patch: Patch) -> None:
    """The rows of a MATCH with two parts come in their order."""
    broken(patch, conflicts.rows_out_of_order)


def a_key_once_known_stays(patch: Patch) -> None:
    """A vertex that is looked for by a key has it to the end, whatever the query sets."""
    patch.setattr(access, "FORGETTING", ())


def merges_commute(patch: Patch) -> None:
    """MERGEs of one form give the same in either order, whatever ON CREATE does."""

    def bare_merges(one: Encounter) -> bool:
        return one.changed.labels == one.sought.labels and one.changed.properties.keys() == one.sought.properties.keys()

    broken(patch, encounters.bare_merges, bare_merges)


def conditions_do_not_look(patch: Patch) -> None:
    """WHERE depends on nothing but equalities."""
    for rule in (encounters.condition_change, conflicts.write_then_read, conflicts.read_then_write):
        broken(patch, rule)


def edges_have_to_be_there(patch: Patch) -> None:
    """A vertex from which an edge is looked for is found only if it has one."""

    def new_vertex(one: Encounter) -> bool:
        ends = {
            end for item in one.finder.elements.values() if item.origin is Origin.MATCHED for end in item.ends or ()
        }
        return encounters.new_vertex(one) and one.sought.variable not in ends

    broken(patch, encounters.new_vertex, new_vertex)


def edges_point_one_way(patch: Patch) -> None:
    """An edge without a direction is matched in the direction in which it is written."""
    broken(patch, conflicts.turned_round)
    broken(patch, encounters.repeated_merge, lambda one: one.changed.clause == one.sought.clause)


def a_series_ends_where_nothing_is_found(patch: Patch) -> None:
    """The parts of a series hand on the rows that they have."""
    _, make, _ = rewrites.RULES

    def series(query: Query, template: Template) -> Series | None:
        found = make(query, template)
        return found and found._replace(between=found.between.replace("count(*)", "1"))

    broken(patch, make, series)


def chains_begin_anywhere(patch: Patch) -> None:
    """Whether the first query of a chain finds anything does not matter."""
    *_, chain = rewrites.RULES
    broken(patch, chain, lambda query: (found := chain(query)) and found._replace(before=""))


def links_hang_together(patch: Patch) -> None:
    """Queries of a text that makes chains are one chain."""

    def in_chains(column: Column) -> list[QueryGroup] | None:
        queue, indices, rows, _ = column.found
        links = queue.links(rows)
        return links and [QueryGroup(queue.text, indices, rows, links[0][0])]

    broken(patch, whole.in_chains, in_chains)


def texts_pass_each_other(patch: Patch) -> None:
    """All queries of a text may run before all of another, whatever came first."""
    patch.setattr(whole, "KEEPING_BACK", ())


def texts_run_at_once(patch: Patch) -> None:
    """All queries of a text may run as one where texts run as a whole."""

    def all_at_once(column: Column) -> list[QueryGroup]:
        return [QueryGroup(column.found.queue.text, column.found.indices, column.found.rows)]

    broken(patch, whole.all_at_once, all_at_once)


def rows_go_in_any_order(patch: Patch) -> None:
    """Rows go in the order of the index though one has to come after another."""
    patch.setattr(ordering, "conflicts", lambda one, other: ())


WRONG_RULES = (
    nothing_conflicts,
    rows_see_each_other,
    edges_pass_their_vertices,
    new_edges_are_not_found,
    the_dead_are_still_found,
    labels_do_not_decide,
    keys_do_not_change,
    maps_do_not_replace,
    maps_hold_no_keys,
    values_may_pass_each_other,
    vertices_have_one_label,
    equal_means_identical,
    equal_numbers_are_the_same,
    joins_keep_the_order,
    a_key_once_known_stays,
    merges_commute,
    conditions_do_not_look,
    edges_have_to_be_there,
    edges_point_one_way,
    a_series_ends_where_nothing_is_found,
    chains_begin_anywhere,
    links_hang_together,
    texts_pass_each_other,
    texts_run_at_once,
    rows_go_in_any_order,
)
