"""Metrics of labels, with the names and signatures of scikit-learn, for rows of any kind and size.

Labels are given, by hand or by any clusterer; `evaluate` is for those of a model. Weights are
counts: weight w means w copies of a row.
"""

from typing import TYPE_CHECKING, Any, Literal, Self

from dkmeans.errors import ArgumentError
from dkmeans.evaluation import metrics
from dkmeans.evaluation.agreement import (
    adjusted_mutual_info,
    adjusted_rand,
    fowlkes_mallows,
    homogeneity_completeness_v,
    normalized_mutual_info,
    purity,
)
from dkmeans.evaluation.metrics import Figure
from dkmeans.evaluation.passes import of_labels
from dkmeans.evaluation.shown import Section, Shown, number, plain
from dkmeans.evaluation.statistics import Need, Sampling, Statistics
from dkmeans.kernels.block import Array
from dkmeans.partials.contingency import Contingency
from dkmeans.rows.reading import as_rows
from dkmeans.rows.rows import Rows

if TYPE_CHECKING:
    import pandas as pd
