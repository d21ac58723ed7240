"""A model in scikit-learn's form. Imported only when asked for."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling


def to_sklearn(model: Model) -> Pipeline:
    """Return a fitted Pipeline of scaler and KMeans with the centers of `model`.

    It begins with a cast to the model's dtype, which decides what a row is, and goes on in float64:
    scikit-learn's KMeans does not center rows when it predicts, and in float32 would label rows far
    from zero wrongly. Rows are scaled to length 1 before, as the dtype decides which are zero.
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
    steps = [("cast", cast)]
    if model.filling is not None:
        # the mean of one row is that row
        fill = SimpleImputer(strategy="mean").fit(model.filling.values[None, :])
        steps.append(("fill", fill))
    if isinstance(model.scaling, Scaling):
        steps += [("widen", widen), ("scale", _scaler(model, model.scaling))]
    elif model.scaling is not None:
        normalizer = Normalizer(model.scaling.norm)
        normalizer.n_features_in_ = model.n_features
        steps += [("scale", normalizer), ("widen", widen)]
    else:
        steps.append(("widen", widen))
    pipeline = Pipeline([*steps, ("kmeans", kmeans)])
    if names is not None:
        cast.feature_names_in_ = names
    cast.n_features_in_ = model.n_features
    return pipeline


def _scaler(
    model: Model, scaling: Scaling
) -> StandardScaler | MinMaxScaler | MaxAbsScaler | RobustScaler:
    shift, factor = scaling.shift, scaling.factor
    if scaling.kind == "standard":
        scaler = StandardScaler()
        scaler.mean_, scaler.scale_, scaler.var_ = shift, factor, factor**2
    elif scaling.kind == "minmax":
        scaler = MinMaxScaler()
        scaler.scale_, scaler.min_ = 1 / factor, -shift / factor
        scaler.data_min_, scaler.data_max_, scaler.data_range_ = shift, shift + factor, factor
    elif scaling.kind == "maxabs":
        scaler = MaxAbsScaler()
        scaler.scale_ = scaler.max_abs_ = factor
    else:
        scaler = RobustScaler()
        scaler.center_, scaler.scale_ = shift, factor
    scaler.n_features_in_ = model.n_features
    if scaling.kind != "robust":
        scaler.n_samples_seen_ = int(model.provenance.get("rows", 0))
    return scaler
