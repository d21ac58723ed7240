"""The model that a fit ends in."""

import numpy as np

from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import Settings
from dkmeans.estimators.provenance import parameters, provenance
from dkmeans.models.model import Model
from dkmeans.rows.rows import Rows


def fitted_model(result: FitResult, rows: Rows, settings: Settings, of_all_rows: bool) -> Model:
    """Return the model of a fit to `rows`.

    `of_all_rows` tells whether its weights, means and inertias are exactly those of `rows`.
    """
    fit = result.fit
    return Model(
        scaled_centers=fit.centers,
        scaling=result.scaling,
        columns=rows.columns,
        dtype=rows.dtype,
        cluster_ids=np.arange(settings.n_clusters),
        weights=fit.ledger.weight,
        inertias=fit.ledger.sq_distances,
        scaled_means=fit.ledger.centers(otherwise=fit.centers),
        filling=rows.known.filling,
        parameters=parameters(settings),
        provenance=provenance(result, rows, settings, of_all_rows),
    )
