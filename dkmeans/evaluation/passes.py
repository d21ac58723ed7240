"""The passes that find what metrics are computed from: two at most, for all of them.

The first assigns rows and finds the weight and mean of each cluster; the second, which assigns
nothing again, finds what depends on these means. Where they are known, from a fit to the same rows,
one pass finds all.
"""

import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from dkmeans.evaluation.asked import answer
from dkmeans.evaluation.block_statistics import of_block
from dkmeans.evaluation.statistics import AFTER_MEANS, Clusters, Need, Sampling, Statistics, Task
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.partials.labelled_sums import LabelledSums
from dkmeans.partials.together import Together
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.requests import Reduce, Scan
from dkmeans.rows.rows import Rows

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
            return _of_model(rows.scaled(model.scaling), model, frozenset(needs), known, sampling)
        # files were left out: these are other rows
        known = None


def _of_model(
    rows: Rows,
    model: Model,
    needs: frozenset[Need],
    known: Statistics | None,
    sampling: Sampling | None,
) -> Statistics:
    passes, found = _Passes(rows), known
    values, centers = tuple(model.cluster_ids.tolist()), model.scaled_centers
    if found is None:
        now: frozenset[Need] = (needs - AFTER_MEANS) | _INERTIAS
        # that "within" takes a pass of its own is rare, and then rows are assigned again
        last = needs - _WITHIN <= now
        of_centers = passes.run("clusters", Task(now, values, centers), last=last)
        sums = of_centers["inertias"]
        means = sums.centers(otherwise=centers)
        clusters = Clusters.about_centers(
            sums.weight, means, sums.sq_distances, centers, sums.n_rows
        )
        found = _taken(Statistics(clusters, sums.sq_distances), of_centers)
        needs -= now
    return _about_means(passes, found, needs - _INERTIAS, values, centers, sampling)


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
    passes = _Passes(rows)
    origin = rows.pilot_mean()
    sums: LabelledSums = answer(rows, Reduce("labels", LabelledSums.from_block, (origin,)))
    means = origin + sums.sums / np.where(sums.weight > 0, sums.weight, 1.0)[:, None]
    clusters = Clusters.about_centers(sums.weight, means, sums.sq_sums, origin, sums.n_rows)
    found = Statistics(clusters)
    return sums.values, _about_means(passes, found, needs, sums.values, None, sampling)


def _about_means(
    passes: "_Passes",
    found: Statistics,
    needs: frozenset[Need],
    values: tuple[Any, ...],
    centers: Array | None,
    sampling: Sampling | None,
) -> Statistics:
    """Find what depends on means: in one pass, unless these are far from where rows were summed."""
    if found.clusters.precise:
        needs -= _WITHIN
    elif "squared" in needs:
        # distances to centers are found in the first pass, which assigns rows
        now = _WITHIN if centers is None else _WITHIN | (needs & _MARGINS)
        task = Task(now, values, centers, found.clusters)
        found = _taken(found, passes.run("spread", task, last=False))
        needs -= now
    if not needs or found.clusters.total_weight == 0:
        return found
    most_key = _most_key(sampling, found.clusters.total_weight)
    task = Task(needs, values, centers, found.clusters, sampling, most_key)
    return _sampled(passes, found, task)


def _taken(found: Statistics, more: Together) -> Statistics:
    """Add what a pass has found."""
    changes: dict[str, Any] = {name: more[name] for name in ("truth", "sample") if name in more}
    changes |= {name: more[name].totals[0] for name in ("margins", "squared") if name in more}
    if "spread" in more:
        sq_spread, changes["spread"] = more["spread"].totals
        changes["clusters"] = replace(found.clusters, sq_spread=sq_spread, precise=True)
    return replace(found, **changes)


def _sampled(passes: "_Passes", found: Statistics, task: Task) -> Statistics:
    """Make the last pass, and another one if a sample came out too small."""
    found = _taken(found, passes.run("metrics", task, last=True))
    if task.sampling is not None and found.sample is not None:
        n_sampled = len(found.sample.keys)
        if n_sampled < min(task.sampling.size + 1, found.sample.n_rows) and task.most_key < np.inf:
            # the weights of a few rows are most of the weight
            again = replace(task, needs=frozenset(("sample",)), most_key=np.inf)
            found = _taken(found, passes.run("sample", again, last=True))
    return found


class _Passes:
    """The passes of one evaluation: labels stay beside each block from one to the next."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._name = f"evaluation-{uuid.uuid4().hex}"
        self._tasks: tuple[tuple[Task], ...] = ()

    def run(self, kind: str, task: Task, *, last: bool) -> Together:
        self._tasks = (*self._tasks, (task,))
        found = answer(self._rows, Scan(kind, of_block, self._tasks, self._name, last))
        assert isinstance(found, Together)
        return found


def _most_key(sampling: Sampling | None, weight: float) -> float:
    """Return a key that a sample of rows, of this weight together, most likely lies below."""
    if sampling is None or weight <= 4 * sampling.size:
        return np.inf
    # of rows of equal weight, fewer than size + 1 lie below it with a chance of 1e-8 at most: rows
    # of small clusters are more important than that, none is less
    return (4 * sampling.size + 64) / weight
