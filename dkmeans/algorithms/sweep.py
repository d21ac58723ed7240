"""Fits for several numbers of clusters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dkmeans.algorithms.callbacks import Callbacks
from dkmeans.algorithms.kmeans import kmeans
from dkmeans.algorithms.lloyd import least
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.kernels.block import Array
from dkmeans.rows.rows import Rows


@dataclass(frozen=True, eq=False)
class Swept:
    """The fits of one number of clusters."""

    result: FitResult
    """The best of them."""

    other: Array | None
    """`(n_clusters, n_features)` float64: the centers, scaled, of the best fit from another seed;
    None if there is none."""


def fit_each(
    rows: Rows,
    settings: KMeansSettings,
    n_clusters: Sequence[int],
    checkpoint: str | None = None,
    callbacks: Callbacks | None = None,
    on_interrupt: str = "raise",
) -> dict[int, Swept]:
    """Cluster rows for each of several numbers of clusters; that of `settings` does not count."""
    before = rows.n_passes, rows.rows_read, rows.bytes_read
    found: dict[int, list[FitResult]] = {}
    for k in n_clusters:
        for seed in settings.seeds:
            one = replace(settings, n_clusters=k, n_init=1, seed=seed)
            result = kmeans(rows, one, None, callbacks, on_interrupt)
            found.setdefault(k, []).append(result)
    swept = {}
    for k, results in found.items():
        best = results.pop(least([one.fit.inertia for one in results]))
        other = None
        if results:
            other = results[least([one.fit.inertia for one in results])].fit.centers
        result = replace(
            best,
            seed=settings.seed,
            n_passes=rows.n_passes - before[0],
            rows_read=rows.rows_read - before[1],
            bytes_read=rows.bytes_read - before[2],
        )
        swept[k] = Swept(result, other)
    return swept
