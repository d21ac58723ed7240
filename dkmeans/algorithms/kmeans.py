"""The whole fit for one number of clusters."""

from dkmeans.algorithms.callbacks import Callbacks
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.sweep import fit_each
from dkmeans.rows.rows import Rows


def kmeans(
    rows: Rows,
    settings: KMeansSettings,
    checkpoint: str | None = None,
    callbacks: Callbacks | None = None,
    on_interrupt: str = "raise",
) -> FitResult:
    """Cluster rows: `fit_each`, for `settings.n_clusters` alone."""
    k = settings.n_clusters
    return fit_each(rows, settings, (k,), checkpoint, callbacks, on_interrupt)[k].result
