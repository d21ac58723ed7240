"""The figures of one number of clusters."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.agreement.figures import adjusted_rand
from dkmeans.evaluation.metrics import (
    Figure,
    calinski_harabasz,
    davies_bouldin,
    explained_share,
    silhouette_of_sample,
    silhouette_simplified,
    silhouette_squared,
)
from dkmeans.evaluation.statistics import Sampling, Statistics
from dkmeans.evaluation.sweeps.reference import SPREAD_ROWS, reference_silhouette, spread_of
from dkmeans.kernels.block import Array, Labels
from dkmeans.kernels.nearest import nearest
from dkmeans.models.model import Model
from dkmeans.partials.contingency import MOST_LABELS, Contingency
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.progress import reporter

AGREEMENT_ROWS = 20_000
"""Sampled rows that two clusterings are compared on: to some 0.003."""

_MOST_THREADS = 8
"""Each takes the memory of a tile of distances."""


@dataclass(frozen=True)
class Scores:
    """How good one number of clusters is; None for what is not defined, or was not asked for."""

    n_clusters: int
    inertia: float
    """Weighted sum of squared distances to centers, exact."""

    explained_share: float | None
    """1 - inertia / sum of squared distances to the mean of all rows."""

    gain: float
    """What moving the centers once more would lower the inertia by, labels fixed."""

    smallest_cluster: float
    """Weight of the smallest cluster."""

    smallest_share: float
    """Its share of the weight of all rows."""

    calinski_harabasz: float | None
    davies_bouldin: float | None
    silhouette: float | None
    """By Euclidean distances between rows, of a sample of them."""

    silhouette_squared: float | None
    """By squared distances between all rows, exact."""

    silhouette_simplified: float | None
    """By distances to the centers, exact."""

    silhouette_reference: float | None
    """The same of rows without clusters, of the same spread."""

    adjusted_rand: float | None
    """How alike the clusters of the best fit and of the best from another seed are: of
    `AGREEMENT_ROWS` sampled rows."""

    @property
    def excess(self) -> float | None:
        """How far the silhouette by distances to centers is above that of rows without clusters."""
        if self.silhouette_simplified is None or self.silhouette_reference is None:
            return None
        return self.silhouette_simplified - self.silhouette_reference


def sampling_of(sample_size: int | None, seed: int) -> Sampling:
    """Return how rows are sampled for scores: enough for their spread and agreement, too."""
    return Sampling(max(sample_size or 0, SPREAD_ROWS, AGREEMENT_ROWS), seed)


def scores_of(
    models: Sequence[Model],
    others: Sequence[Array | None],
    found: Sequence[Statistics],
    sample: WeightedSample,
    sample_size: int | None,
    seed: int,
) -> list[Scores]:
    """Compute the figures of each model; no pass.

    Parameters
    ----------
    models, found, sample
        Fitted to the same rows; what `of_fits` has found.
    others
        For each model other centers, `(n_clusters, n_features)` float64, scaled, whose clusters are
        compared with its own; or None.
    sample_size
        Rows for "silhouette", at most those of the sample; None for none.
    seed
        Of rows without clusters.
    """
    spread = spread_of(sample)
    measured = None if sample_size is None else sample.first(sample_size)
    between = "" if measured is None else f", and distances between {len(measured.X):,} rows"
    reporter().note(f"silhouettes of rows without clusters{between}")

    def scores(i: int) -> Scores:
        k = models[i].n_clusters
        reference = reference_silhouette(spread, sample.n_rows, k, seed)
        agreement = _agreement(models[i], others[i], sample)
        return _scores(models[i], found[i], measured, reference, agreement)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        return list(pool.map(scores, range(len(models))))


def _scores(
    model: Model,
    found: Statistics,
    sample: WeightedSample | None,
    reference: float | None,
    agreement: float | None,
) -> Scores:
    assert found.inertias is not None
    clusters = found.clusters
    smallest = float(clusters.weight.min())
    return Scores(
        n_clusters=model.n_clusters,
        inertia=float(found.inertias.sum()),
        explained_share=_value(explained_share, found),
        gain=float(model.provenance["gain"]),
        smallest_cluster=smallest,
        smallest_share=smallest / (clusters.total_weight or 1.0),
        calinski_harabasz=_value(calinski_harabasz, found),
        davies_bouldin=_value(davies_bouldin, found),
        silhouette=None if sample is None else _value(_of_sample(model, sample), found),
        silhouette_squared=_value(silhouette_squared, found),
        silhouette_simplified=_value(silhouette_simplified, found),
        silhouette_reference=reference,
        adjusted_rand=agreement,
    )


def _value(metric: Callable[[Statistics], Figure], found: Statistics) -> float | None:
    try:
        value = metric(found).value
    except ArgumentError:
        return None
    return value if np.isfinite(value) else None


def _agreement(model: Model, other: Array | None, sample: WeightedSample) -> float | None:
    """The adjusted Rand index of two clusterings of sampled rows."""
    # of more clusters than a table can hold it is not told
    if other is None or len(other) > MOST_LABELS or len(sample.X) == 0:
        return None
    here, there = (
        Labels(nearest(sample.X, centers)[0], tuple(range(len(centers))))
        for centers in (model.scaled_centers, other)
    )
    weight = sample.expanded_weight
    if sample.threshold < np.inf:
        # pairs of rows are counted among as many as were drawn
        weight *= len(weight) / weight.sum()
    return float(adjusted_rand(Contingency.from_pairs(here, there, weight)))


def _of_sample(model: Model, sample: WeightedSample) -> Callable[[Statistics], Figure]:
    """The silhouette of sampled rows, whose clusters are found here."""

    def silhouette(found: Statistics) -> Figure:
        labels = nearest(sample.X, model.scaled_centers)[0].astype(np.int64)
        return silhouette_of_sample(found.clusters, sample, sample.X, labels, sample.weight)

    return silhouette
