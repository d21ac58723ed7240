"""What one block contributes to a pass, and how contributions merge. Neither Dask nor I/O."""

from dkmeans.partials.base import Partial, merge_all
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.farthest import Farthest
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles
from dkmeans.partials.weighted_sample import WeightedSample

__all__ = [
    "ClusterSums",
    "Farthest",
    "Moments",
    "Partial",
    "Quantiles",
    "WeightedSample",
    "merge_all",
]
