"""Compare what a pass has found with a baseline: figures by cluster and by feature."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.evaluation.drift import figures
from dkmeans.evaluation.drift.figures import DistanceShift
from dkmeans.evaluation.drift.survey import to_units
from dkmeans.kernels.block import Array
from dkmeans.models import shares
from dkmeans.models.baseline import Baseline
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.log_histograms import LogHistograms
from dkmeans.partials.moments import Moments
from dkmeans.partials.outside import Outside


@dataclass(frozen=True, eq=False)
class ClusterDrift:
    """Each cluster then and now, `(n_clusters,)` each; NaN where it has no rows.

    Distances are measured in the space where the model measures them.
    """

    cluster_id: Array
    base_weight: Array
    weight: Array
    base_share: Array
    share: Array
    base_distance: Array
    """Mean distance to the center, from the middles of bins."""

    distance: Array
    ks: Array
    shift: Array
    """Wasserstein distance of the distances, as a share of `base_distance`."""

    center_shift: Array
    """From the mean of its rows then to that now, in root mean squared distances to the center: the
    larger one of then and now."""

    width_ratio: Array
    """Root mean squared distance to the mean of its rows, now over then."""

    @classmethod
    def between(
        cls, model: Model, baseline: Baseline, sums: ClusterSums, distances: LogHistograms
    ) -> Self:
        """Compare."""
        k = model.n_clusters
        base, now = baseline.cluster_weights, sums.weight
        table = distances.dense(k, baseline.bins.n_cells)
        by_distance = DistanceShift.between(baseline.distance_table, table, baseline.bins)
        means = sums.centers(otherwise=model.scaled_centers)
        with np.errstate(divide="ignore", invalid="ignore"):
            there = (base > 0) & (now > 0)
            moved = np.sqrt(((means - baseline.cluster_means) ** 2).sum(axis=1))
            rms = [
                np.sqrt(baseline.cluster_sq_distances / base),
                np.sqrt(sums.sq_distances / now),
            ]
            widest = np.maximum(*rms)
            shift = np.where(moved > 0, moved / widest, 0.0)
            widths = [
                np.sqrt(np.maximum(one**2 - ((mean - model.scaled_centers) ** 2).sum(axis=1), 0.0))
                for one, mean in zip(rms, (baseline.cluster_means, means), strict=True)
            ]
            return cls(
                model.cluster_ids,
                base,
                now,
                base / base.sum(),
                now / (now.sum() or 1.0),
                by_distance.base_mean,
                by_distance.now_mean,
                by_distance.ks,
                by_distance.wasserstein,
                np.where(there, shift, np.nan),
                np.where(there, widths[1] / widths[0], np.nan),
            )


@dataclass(frozen=True, eq=False)
class FeatureDrift:
    """Each feature then and now, `(n_features,)` each, in the units of the data.

    Of a model of rows scaled to length 1: of the scaled rows.
    """

    feature: tuple[str, ...]
    base_mean: Array
    mean: Array
    base_std: Array
    std: Array
    psi: Array
    probability: Array
    """That chance makes the bins of rows of one distribution differ as much; NaN if it has one
    bin, or rows are too few."""

    mean_shift: Array
    """Mean now less mean then, in standard deviations of then; infinite where that is 0."""

    variance_ratio: Array
    """Variance now over variance then."""

    base_minimum: Array
    base_maximum: Array
    below: Array
    """Share of the weight below the least value of the baseline."""

    above: Array
    base_missing: Array
    """Share of the weight that lacks it; NaN where nobody counted."""

    missing: Array

    @classmethod
    def between(
        cls,
        model: Model,
        baseline: Baseline,
        moments: Moments,
        histograms: LogHistograms,
        outside: Outside,
        missing: Array,
    ) -> Self:
        """Compare."""
        from dkmeans.evaluation.drift import chances

        d, weight = model.n_features, moments.weight
        n_cells = np.int64(1) << np.int64(64 - 52 + baseline.feature_bits)
        base, now = (_by_feature(one, n_cells, d) for one in (baseline.features, histograms))
        psi, probability = np.zeros(d), np.full(d, np.nan)
        for j in range(d):
            then_and_now = _side_by_side(base[j], now[j])
            groups = figures.equal_groups(*then_and_now)
            counts = [figures.grouped(one, groups) for one in then_and_now]
            psi[j] = shares.psi(counts[0], counts[1])
            probability[j] = chances.of_counts(counts[0], counts[1])
        unit = model.scaling.factor if isinstance(model.scaling, Scaling) else np.ones(d)
        mean = moments.mean if weight > 0 else np.full(d, np.nan)
        variance = moments.variance if weight > 0 else np.full(d, np.nan)
        # what has one value has no variance, whatever was rounded
        base_variance = np.where(baseline.minimum == baseline.maximum, 0.0, baseline.variance)
        variance = np.where(moments.minimum == moments.maximum, 0.0, variance)
        moved = mean - baseline.mean
        if weight > 0:
            is_same = (baseline.minimum == moments.minimum) & (baseline.maximum == moments.maximum)
            moved = np.where(is_same & (base_variance == 0), 0.0, moved)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_shift = np.where(moved == 0, 0.0, moved / np.sqrt(base_variance))
            ratio = np.where(variance == base_variance, 1.0, variance / base_variance)
        return cls(
            _names(model),
            _units(model, baseline.mean),
            _units(model, mean),
            np.sqrt(base_variance) * unit,
            np.sqrt(variance) * unit,
            psi,
            probability,
            mean_shift,
            ratio,
            _units(model, baseline.minimum),
            _units(model, baseline.maximum),
            outside.below / (weight or 1.0),
            outside.above / (weight or 1.0),
            baseline.missing,
            missing,
        )


def columns_of(table: ClusterDrift | FeatureDrift) -> dict[str, Any]:
    """Return the columns of a table, by name."""
    return dict(vars(table))


def _names(model: Model) -> tuple[str, ...]:
    return model.feature_names or tuple(f"x{j}" for j in range(model.n_features))


def _units(model: Model, point: Array) -> Array:
    return np.asarray(to_units(model, point[None])[0])


def _by_feature(
    histograms: LogHistograms, n_cells: Any, n_features: int
) -> list[tuple[Array, Array]]:
    ends = np.searchsorted(histograms.keys, np.arange(1, n_features) * n_cells)
    return list(
        zip(np.split(histograms.keys, ends), np.split(histograms.weights, ends), strict=True)
    )


def _side_by_side(base: tuple[Array, Array], now: tuple[Array, Array]) -> tuple[Array, Array]:
    """Weights of two histograms in the bins that either has, ascending."""
    keys = np.union1d(base[0], now[0])
    out = np.zeros((2, len(keys)))
    for row, (of_bins, weights) in zip(out, (base, now), strict=True):
        row[np.searchsorted(keys, of_bins)] = weights
    return out[0], out[1]
