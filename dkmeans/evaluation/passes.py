"""The passes that find what metrics are computed from: two at most, for all of them.

The first assigns rows and finds the weight and mean of each cluster; the second, which assigns
nothing again, finds what depends on these means. Where they are known, from a fit to the same rows,
one pass finds all.

What an evaluation wants of the next pass it yields, so that evaluations of several models share
their passes.
"""

import uuid
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from dkmeans.evaluation.asked import answers
from dkmeans.evaluation.block_statistics import of_block
from dkmeans.evaluation.statistics import AFTER_MEANS, Clusters, Need, Sampling, Statistics, Task
from dkmeans.models.model import Model
from dkmeans.partials.labelled_sums import LabelledSums
from dkmeans.partials.together import Together
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.requests import Reduce, Request, Scan
from dkmeans.rows.rows import Rows

_T = TypeVar("_T")
Wants = Generator[Request, Any, _T]
"""Yields what it wants of the next pass, gets the partial, and returns what it has found."""

_INERTIAS: frozenset[Need] = frozenset(("inertias",))
_WITHIN: frozenset[Need] = frozenset(("within",))
_MARGINS: frozenset[Need] = frozenset(("margins",))


def of_model(
    rows: Rows,
    model: Model,
    needs: Iterable[Need],
    *,
    known: Statistics | None = None,
    sampling: Sampling | None = None,
) -> Statistics:
    """Find statistics of rows that belong to their nearest centers.

    Two passes; one if `known` has the clusters or no need depends on their means; none if `known`
    has all. One more where centers are so far from their rows that digits would be lost.

    Parameters
    ----------
    rows
        The rows, unscaled; with true labels if "truth" is needed.
    model
        Whose centers they belong to.
    needs
        What to find.
    known
        What is known of these rows under these centers: clusters and inertias.
    sampling
        For "sample".
    """
    while True:
        with suppress(RowsChanged):
            wants = wants_of_model(model, needs, known=known, sampling=sampling)
            (found,) = side_by_side(rows.scaled(model.scaling), [wants])
            return found
        # files were left out: these are other rows
        known = None


def of_fit(model: Model) -> Statistics:
    """Return what a model knows of the rows of its fit."""
    centers, n_rows = model.scaled_centers, int(model.provenance["rows"])
    clusters = Clusters.about_centers(
        model.weights, model.scaled_means, model.inertias, centers, n_rows
    )
    return Statistics(clusters, model.inertias)


def side_by_side(rows: Rows, wanting: Sequence[Wants[_T]]) -> list[_T]:
    """Answer several evaluations of the same rows, each pass for all that want one more.

    Raises
    ------
    RowsChanged
        If files had to be left out: what was known or found before is of other rows.
    """
    found: dict[int, _T] = {}
    told: dict[int, Any] = dict.fromkeys(range(len(wanting)))
    while told:
        asked: dict[int, Request] = {}
        for i, partial in told.items():
            try:
                asked[i] = wanting[i].send(partial)
            except StopIteration as end:
                found[i] = end.value
        told = dict(zip(asked, answers(rows, list(asked.values())))) if asked else {}
    return [found[i] for i in range(len(wanting))]


def wants_of_model(
    model: Model,
    needs: Iterable[Need],
    *,
    known: Statistics | None = None,
    sampling: Sampling | None = None,
) -> Wants[Statistics]:
    """`of_model`, as an evaluation that can share its passes: of rows that are scaled already."""
    needs = frozenset(needs)
    passes, found = _Passes(), known
    values, centers = tuple(model.cluster_ids.tolist()), model.scaled_centers
    if found is None:
        now: frozenset[Need] = (needs - AFTER_MEANS) | _INERTIAS
        # that "within" takes a pass of its own is rare, and then rows are assigned again
        last = needs - _WITHIN <= now
        of_centers = yield passes.next("clusters", Task(now, values, centers), last=last)
        sums = of_centers["inertias"]
        means = sums.centers(otherwise=centers)
        clusters = Clusters.about_centers(
            sums.weight, means, sums.sq_distances, centers, sums.n_rows
        )
        found = _taken(Statistics(clusters, sums.sq_distances), of_centers)
        needs -= now
    task = Task(needs - _INERTIAS, values, centers, found.clusters, sampling)
    return (yield from _about_means(passes, found, task))


def of_labels(
    rows: Rows, needs: Iterable[Need], *, sampling: Sampling | None = None
) -> tuple[tuple[Any, ...], Statistics]:
    """Find the labels that rows came with, and statistics of rows that belong to them.

    Two passes; one if nothing is needed but the clusters. Here "margins" are silhouettes by
    distances to the means.
    """
    while True:
        with suppress(RowsChanged):
            return _of_labels(rows, frozenset(needs), sampling)


def _of_labels(
    rows: Rows, needs: frozenset[Need], sampling: Sampling | None
) -> tuple[tuple[Any, ...], Statistics]:
    origin = rows.pilot_mean()
    sums: LabelledSums
    (sums,) = answers(rows, [Reduce("labels", LabelledSums.from_block, (origin,))])
    means = origin + sums.sums / np.where(sums.weight > 0, sums.weight, 1.0)[:, None]
    clusters = Clusters.about_centers(sums.weight, means, sums.sq_sums, origin, sums.n_rows)
    task = Task(needs, sums.values, None, clusters, sampling)
    (found,) = side_by_side(rows, [_about_means(_Passes(), Statistics(clusters), task)])
    return sums.values, found


def _about_means(passes: "_Passes", found: Statistics, task: Task) -> Wants[Statistics]:
    """Find what depends on means: in one pass, unless these are far from where rows were summed."""
    needs = task.needs
    if found.clusters.precise:
        needs -= _WITHIN
    elif "squared" in needs:
        # if nothing was known but the clusters, rows are assigned now, and not again
        now = _WITHIN if task.centers is None else _WITHIN | (needs & _MARGINS)
        found = _taken(found, (yield passes.next("spread", replace(task, needs=now), last=False)))
        needs -= now
    if not needs or found.clusters.total_weight == 0:
        return found
    most_key = most_key_of(task.sampling, found.clusters.total_weight)
    task = replace(task, needs=needs, clusters=found.clusters, most_key=most_key)
    return (yield from _sampled(passes, found, task))


def _taken(found: Statistics, more: Together) -> Statistics:
    """Add what a pass has found."""
    changes: dict[str, Any] = {name: more[name] for name in ("truth", "sample") if name in more}
    changes |= {name: more[name].totals[0] for name in ("margins", "squared") if name in more}
    if "spread" in more:
        sq_spread, changes["spread"] = more["spread"].totals
        changes["clusters"] = replace(found.clusters, sq_spread=sq_spread, precise=True)
    return replace(found, **changes)


def _sampled(passes: "_Passes", found: Statistics, task: Task) -> Wants[Statistics]:
    """Make the last pass, and another one if a sample came out too small."""
    found = _taken(found, (yield passes.next("metrics", task, last=True)))
    if task.most_key < np.inf and found.sample is not None and is_too_small(found.sample):
        again = replace(task, needs=frozenset(("sample",)), most_key=np.inf)
        found = _taken(found, (yield passes.next("sample", again, last=True)))
    return found


class _Passes:
    """The passes of one evaluation: labels stay beside each block from one to the next."""

    def __init__(self) -> None:
        self._name = f"evaluation-{uuid.uuid4().hex}"
        self._tasks: tuple[tuple[Task], ...] = ()

    def next(self, kind: str, task: Task, *, last: bool) -> Scan:
        self._tasks = (*self._tasks, (task,))
        return Scan(kind, of_block, self._tasks, self._name, last)


def is_too_small(sample: WeightedSample) -> bool:
    """Whether rows are missing: the weights of a few are most of the weight."""
    return len(sample.keys) < min(sample.size + 1, sample.n_rows)


def most_key_of(sampling: Sampling | None, weight: float) -> float:
    """Return a key that a sample of rows, of this weight together, most likely lies below."""
    if sampling is None or weight <= 4 * sampling.size:
        return np.inf
    # of rows of equal weight, fewer than size + 1 lie below it with a chance of 1e-8 at most: rows
    # of small clusters are more important than that, none is less
    return (4 * sampling.size + 64) / weight
