"""Batches of queries into fewer queries with the same effect."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import NamedTuple, TypeVar

from sluice.bolt.values import Value
from sluice.folding.access import Trait
from sluice.folding.chain import ROOT
from sluice.folding.conflicts import conflicts
from sluice.folding.needs import Need
from sluice.folding.ordering import in_index_order
from sluice.folding.plan import Plan, plan_of
from sluice.folding.schedule import Schedule, TextAndParameters
from sluice.folding.series import SIZES
from sluice.folding.template import Row, Template
from sluice.folding.text_queue import QueryGroup
from sluice.folding.token_stream import NotUnderstood
from sluice.folding.unwinding import Unwinder
from sluice.values.same_query import texts_of

MAX_TEXTS = 512
"How many texts a folder knows at a time."

MAX_SCHEDULES = 128

MAX_FOLDED_TEXTS = 24
"How many texts of a batch are folded, the most frequent ones. Each is compared with each, once."

QUERIES_PER_LOOK = 100
"How many queries have to go by for each new text that is looked into: that costs as much as sending a few queries."

MAX_REFUSALS = 3
"How many times what was folded with a chain in it may be refused, before there are no more chains."

FOLDED = "folded"
"What `explain` says of a text whose queries are."

_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


class Folded(NamedTuple):
    """A query that stands for one or more of a batch."""

    text: str
    parameters: Mapping[str, Value]
    indices: list[int]
    "Which queries of the batch it stands for, counted from 0."


class Folder:
    """
    Folds the batches of one stream.

    Remembers what it found out about the texts of earlier batches; a text that it meets for the first time, and once
    only, is left as it is.

    Threads: one thread at a time.
    """

    def __init__(self, lacks: Set[Need] = frozenset()) -> None:
        """`lacks`: what the server does not do that folding rests on."""
        self._lacks = lacks
        self._plans: OrderedDict[str, Plan | None] = OrderedDict()
        "By text, the least recently used first; None: it cannot be folded."
        self._seen_once: OrderedDict[str, None] = OrderedDict()
        "Texts that have been there, and have not been looked into."
        self._schedules: OrderedDict[frozenset[str], Schedule] = OrderedDict()
        self._unwinders: OrderedDict[str, Unwinder] = OrderedDict()
        self._conflicts = lru_cache(maxsize=MAX_TEXTS * 8)(conflicts)
        self._chained = False
        "Whether there was a chain in what was folded last."
        self._refusals = 0
        self._looks = float(MAX_TEXTS)
        "How many texts may be looked into now."
        self._news: list[tuple[str, str]] = []

    def fold(self, queries: Sequence[TextAndParameters]) -> list[Folded]:
        """
        Queries that do to the graph what `queries` do, one after the other, in one transaction.

        If one of them fails, the queries themselves need not: whoever runs them runs the batch again as it was.
        """
        if len(queries) < 2:
            return [Folded(text, values, [index]) for index, (text, values) in enumerate(queries)]
        texts = texts_of(queries)
        plans = self._known(texts)
        groups = self._schedule(plans).groups(texts, queries, chains=self._refusals < MAX_REFUSALS)
        self._chained = any(group.root is not None for group in groups)
        return [self._folded(run, plans.get(run[0].text), queries) for run in _runs(groups, plans)]

    def refused(self) -> None:
        """
        What was folded last was refused. A stream whose chains begin with nothing, time and again, does without them:
        in series they are not refused.
        """
        self._refusals += self._chained
        self._chained = False

    def news(self) -> list[tuple[str, str]]:
        """The texts that were looked into since this was last called, and whether they are folded, or why not."""
        news, self._news = self._news, []
        return news

    def _known(self, all_texts: Sequence[str]) -> dict[str, Plan]:
        """The plans of those texts that can be folded, given that of each query."""
        self._looks = min(self._looks + len(all_texts) / QUERIES_PER_LOOK, MAX_TEXTS)
        texts = set(all_texts)
        if not texts <= self._plans.keys() or len(texts) > MAX_FOLDED_TEXTS:
            counts = Counter(all_texts)
            for text in texts - self._plans.keys():
                self._meet(text, counts[text])
            texts = {text for text, _ in counts.most_common(MAX_FOLDED_TEXTS)}
        plans = {}
        for text in texts & self._plans.keys():
            self._plans.move_to_end(text)
            plan = self._plans[text]
            if plan is not None:
                plans[text] = plan
        return plans

    def _meet(self, text: str, count: int) -> None:
        """A text that is not known: look into it if it is there to stay."""
        if count == 1 and text not in self._seen_once:
            _keep(self._seen_once, text, None, MAX_TEXTS)
        elif self._looks >= 1:
            self._looks -= 1
            self._seen_once.pop(text, None)
            try:
                plan = plan_of(text, self._lacks)
            except NotUnderstood as error:
                _keep(self._plans, text, None, MAX_TEXTS)
                self._news.append((text, _not_understood(error)))
            else:
                _keep(self._plans, text, plan, MAX_TEXTS)
                self._news.append((text, _explained(plan)))

    def _folded(self, run: Sequence[QueryGroup], plan: Plan | None, queries: Sequence[TextAndParameters]) -> Folded:
        group = run[0]
        if plan is not None and plan.rewrites.series is not None and len(run) > 1:
            series = plan.rewrites.series
            indices = [index for one in run for index in one.indices]
            return Folded(series.text(len(run)), series.parameters([row for one in run for row in one.rows]), indices)
        if plan is None or len(group.rows) < 2:
            [index] = group.indices
            return Folded(group.text, queries[index][1], group.indices)
        chain = plan.rewrites.chain
        if chain is not None and group.root is not None:
            text, parameters = self._unwound(group.rows, chain.template)
            return Folded(f"{chain.before}{text}", {**parameters, ROOT: group.root}, group.indices)
        template = plan.rewrites.rows
        return Folded(*self._unwound(in_index_order(group.rows, plan.index_key, template), template), group.indices)

    def _unwound(self, rows: Sequence[Row], template: Template) -> tuple[str, dict[str, Value]]:
        unwinder = self._unwinders.get(template.text)
        if unwinder is None:
            unwinder = Unwinder(template)
            _keep(self._unwinders, template.text, unwinder, MAX_TEXTS)
        return unwinder.unwound(rows)

    def _schedule(self, plans: Mapping[str, Plan]) -> Schedule:
        texts = frozenset(plans)
        found = self._schedules.get(texts)
        if found is None:
            found = Schedule(plans, self._conflicts)
            _keep(self._schedules, texts, found, MAX_SCHEDULES)
        return found


def explain(text: str) -> str:
    """Whether queries of this text are folded on Memgraph, and if not, why not. One line."""
    try:
        return _explained(plan_of(text))
    except NotUnderstood as error:
        return _not_understood(error)


def _not_understood(error: NotUnderstood) -> str:
    return f"sent as it is: {error}"


def _explained(plan: Plan) -> str:
    if not any(conflict.strict and not conflict.first for conflict in conflicts(plan.access, plan.access)):
        return FOLDED
    is_ambiguous = Trait.AMBIGUOUS in plan.access.traits
    why = "what it sets depends on the order of matches" if is_ambiguous else "it may find what it has written"
    if plan.rewrites.series is None:
        return f"never folded with its like: {why}"
    return f"{'in chains, or ' if plan.rewrites.chain else ''}in series, one after the other: {why}"


def _runs(groups: Sequence[QueryGroup], plans: Mapping[str, Plan]) -> Iterator[Sequence[QueryGroup]]:
    """The groups in order, each by itself or with those after it that become one series with it."""
    start = 0
    while start < len(groups):
        plan, end = plans.get(groups[start].text), start
        if plan is not None and plan.rewrites.series is not None:
            longest = min(len(groups), start + SIZES[0])
            while end < longest and groups[end].text == groups[start].text and len(groups[end].rows) == 1:
                end += 1
        size = next((size for size in SIZES if size <= end - start), 1)
        yield groups[start : start + size]
        start += size


def _keep(cache: OrderedDict[_Key, _Kept], key: _Key, value: _Kept, size: int) -> None:
    cache[key] = value
    if len(cache) > size:
        cache.popitem(last=False)
