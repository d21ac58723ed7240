"""A model in scikit-learn's form. Imported only when asked for."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from dkmeans.models.model import Model


def to_sklearn(model: Model) -> Pipeline:
    """Return a fitted Pipeline of scaler and KMeans with the centers of `model`.

    It begins with a cast to the model's dtype, which decides what a row is, and goes on in float64:
    scikit-learn's KMeans does not center rows when it predicts, and in float32 would label rows far
    from zero wrongly.
    """
    names = None if model.feature_names is None else np.asarray(model.feature_names, dtype=object)
    cast = FunctionTransformer(np.asarray, kw_args={"dtype": np.dtype(model.dtype)})
    widen = FunctionTransformer(np.asarray, kw_args={"dtype": np.dtype(np.float64)})
    kmeans = KMeans(model.n_clusters, n_init=1)
    kmeans.cluster_centers_ = model.scaled_centers.copy()
    kmeans.n_features_in_ = model.n_features
    kmeans._n_threads = 1
    kmeans.inertia_ = model.inertia
    kmeans.n_iter_ = 0
    steps = [("cast", cast), ("widen", widen), ("kmeans", kmeans)]
    if model.scaling is not None:
        steps.insert(2, ("scale", _scaler(model)))
    if model.filling is not None:
        # the mean of one row is that row
        fill = SimpleImputer(strategy="mean").fit(model.filling.values[None, :])
        steps.insert(2, ("fill", fill))
    pipeline = Pipeline(steps)
    if names is not None:
        cast.feature_names_in_ = names
    cast.n_features_in_ = model.n_features
    return pipeline


def _scaler(model: Model) -> StandardScaler | MinMaxScaler:
    scaling = model.scaling
    assert scaling is not None
    if scaling.kind == "standard":
        scaler = StandardScaler()
        scaler.mean_, scaler.scale_, scaler.var_ = scaling.shift, scaling.factor, scaling.factor**2
    else:
        scaler = MinMaxScaler()
        scaler.scale_, scaler.min_ = 1 / scaling.factor, -scaling.shift / scaling.factor
        scaler.data_min_, scaler.data_max_ = scaling.shift, scaling.shift + scaling.factor
        scaler.data_range_ = scaling.factor
    scaler.n_features_in_ = model.n_features
    scaler.n_samples_seen_ = int(model.provenance.get("rows", 0))
    return scaler
