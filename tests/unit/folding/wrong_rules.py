"""Rules of folding, broken one at a time: the tests that compare graphs have to notice each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from sluice.folding import conflicts, effects, folder, schedule, series, text_queue, whole
from sluice.folding.conflicts import Conflict
from sluice.folding.plan import Action, Change, Element, Merging, Origin, Plan

Patch = pytest.MonkeyPatch

_conflicts = conflicts.conflicts
_finds = conflicts._finds
_plan_of = effects.plan_of


def rows_see_each_other(patch: Patch) -> None:
    """MATCH in a later row finds what an earlier row made: chains are folded."""
    patch.setattr(
        folder, "conflicts", lambda one, other: {item._replace(strict=False) for item in _conflicts(one, other)}
    )


def _without_changes(patch: Patch, is_left_out: Callable[[Change, Element, Element], bool]) -> None:
    def finds(writer: Plan, change: Change, finder: Plan, found: Element) -> Iterator[Any]:
        if not is_left_out(change, writer.elements[change.variable], found):
            yield from _finds(writer, change, finder, found)

    patch.setattr(conflicts, "_finds", finds)


def edges_pass_their_vertices(patch: Patch) -> None:
    """What MATCH looks for may be made later."""
    _without_changes(patch, lambda change, _, found: change.action is Action.CREATED and found.born is Origin.MATCHED)


def new_edges_are_not_found(patch: Patch) -> None:
    """Nobody looks for edges that others make."""
    _without_changes(patch, lambda change, changed, _: change.action is Action.CREATED and changed.ends is not None)


def the_dead_are_still_found(patch: Patch) -> None:
    """DELETE does not matter to others."""
    _without_changes(patch, lambda change, *_: change.action is Action.DELETED)


def labels_do_not_decide(patch: Patch) -> None:
    """Labels that come and go do not matter to others."""
    _without_changes(patch, lambda change, *_: change.action is Action.LABELLED)


def keys_do_not_change(patch: Patch) -> None:
    """SET of a property by which others look does not matter to them."""
    _without_changes(patch, lambda change, *_: change.action is Action.ASSIGNED)


def maps_do_not_replace(patch: Patch) -> None:
    """SET n = $map takes nothing away."""
    _without_changes(patch, lambda change, *_: change.action is Action.REPLACED)


def maps_hold_no_keys(patch: Patch) -> None:
    """A map of properties never has one by which others look."""
    patch.setattr(text_queue._Guarded, "holds", lambda *_: True)


def values_may_pass_each_other(patch: Patch) -> None:
    """Two SETs of one property give the same in either order."""
    patch.setattr(conflicts, "_same_element", lambda *_: iter(()))


def vertices_have_one_label(patch: Patch) -> None:
    """A vertex is found by the first of its labels only."""

    def finds(writer: Plan, change: Change, finder: Plan, found: Element) -> Iterator[Any]:
        changed = writer.elements[change.variable]
        if change.action is not Action.CREATED or changed.ends or found.labels <= set(sorted(changed.labels)[:1]):
            yield from _finds(writer, change, finder, found)

    patch.setattr(conflicts, "_finds", finds)


def equal_means_identical(patch: Patch) -> None:
    """1 is no 1.0."""
    compared = text_queue.TextQueue._compared
    patch.setattr(text_queue.TextQueue, "_compared", lambda self, *given: list(map(repr, compared(self, *given))))


def equal_numbers_are_the_same(patch: Patch) -> None:
    """What is made has the number of the first MERGE, whichever that is."""
    patch.setattr(schedule.Schedule, "_part_equal_numbers", lambda *_: None)


def _with_plans(patch: Patch, changed: Callable[[Plan], Plan]) -> None:
    patch.setattr(folder, "plan_of", lambda text, lacks: changed(_plan_of(text, lacks)))


def joins_keep_the_order(patch: Patch) -> None:
    """The rows of a MATCH with two parts come in their order."""
    _with_plans(patch, lambda plan: replace(plan, unordered=False))


def a_key_once_known_stays(patch: Patch) -> None:
    """A vertex that is looked for by a key has it to the end, whatever the query sets."""
    nothing = {False: frozenset[str](), True: frozenset[str]()}
    _with_plans(patch, lambda plan: replace(plan, assigned=nothing))


def merges_commute(patch: Patch) -> None:
    """MERGEs of one form give the same in either order, whatever ON CREATE does."""

    def changed(plan: Plan) -> Plan:
        merges = {}
        for number, merging in plan.merges.items():
            [first, *_] = [item for item in plan.elements.values() if item.clause == number]
            merges[number] = Merging(merging.repeatable, (frozenset(first.labels), frozenset(first.required)))
        return replace(plan, merges=merges)

    _with_plans(patch, changed)


def conditions_do_not_look(patch: Patch) -> None:
    """WHERE depends on nothing but equalities."""

    def changed(plan: Plan) -> Plan:
        elements = {name: replace(item, watched=set()) for name, item in plan.elements.items()}
        return replace(plan, elements=elements, touches={touch for touch in plan.touches if touch.writes})

    _with_plans(patch, changed)


def edges_have_to_be_there(patch: Patch) -> None:
    """A vertex from which an edge is looked for is found only if it has one."""

    def changed(plan: Plan) -> Plan:
        ends = {end for item in plan.elements.values() if item.born is Origin.MATCHED for end in item.ends or ()}
        elements = {name: replace(item, alone=item.alone and name not in ends) for name, item in plan.elements.items()}
        return replace(plan, elements=elements)

    _with_plans(patch, changed)


def edges_point_one_way(patch: Patch) -> None:
    """An edge without a direction is matched in the direction in which it is written."""

    def changed(plan: Plan) -> Plan:
        elements = {name: replace(item, directed=True) for name, item in plan.elements.items()}
        merges = {number: Merging(True, merging.form) for number, merging in plan.merges.items()}
        return replace(plan, elements=elements, merges=merges)

    _with_plans(patch, changed)


def a_series_ends_where_nothing_is_found(patch: Patch) -> None:
    """The parts of a series hand on the rows that they have."""
    text = series.Series.text
    patch.setattr(series.Series, "text", lambda self, size: text(self, size).replace("count(*)", "1"))


def chains_begin_anywhere(patch: Patch) -> None:
    """Whether the first query of a chain finds anything does not matter."""

    def changed(plan: Plan) -> Plan:
        return plan if plan.chain is None else replace(plan, chain=plan.chain._replace(before=""))

    _with_plans(patch, changed)


def links_hang_together(patch: Patch) -> None:
    """Queries of a text that makes chains are one chain."""
    patch.setattr(text_queue, "chains", lambda found, _: [list(range(len(found)))])


def texts_pass_each_other(patch: Patch) -> None:
    """All queries of a text may run before all of another, whatever came first."""
    patch.setattr(whole, "_may_precede", lambda *_: True)


def texts_run_at_once(patch: Patch) -> None:
    """All queries of a text may run as one where texts run as a whole."""
    patch.setattr(whole, "_runs_at_once", lambda _: True)


def nothing_conflicts(patch: Patch) -> None:
    """Anything may go anywhere."""
    patch.setattr(folder, "conflicts", lambda *_: set[Conflict]())


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
)
