"""A model as a Pipeline of scikit-learn's. Imported only when asked for."""

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

from dkmeans.models.exports.moved import Moved
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling


def to_sklearn(model: Model) -> Pipeline:
    """Return a fitted Pipeline of scaler and KMeans with the centers of `model`.

    It begins with a cast to the model's dtype, which decides what a row is, and rounds scaled rows
    to it, as the model does. Then it goes on in float64, about the middle of the centers:
    scikit-learn's KMeans does not center rows when it predicts, and would label rows far from zero
    wrongly. Its last step has the cluster ids as `cluster_ids_`.
    """
    moved = Moved.of(model)
    kmeans = KMeans(model.n_clusters, n_init=1)
    kmeans.cluster_centers_ = moved.centers.astype(np.float64)
    kmeans.cluster_ids_ = model.cluster_ids.copy()
    kmeans.n_features_in_ = model.n_features
    kmeans._n_threads = 1
    kmeans.inertia_ = model.inertia
    kmeans.n_iter_ = 0
    cast = _cast(model.dtype)
    steps = [("cast", cast)]
    if model.filling is not None:
        # the mean of one row is that row
        fill = SimpleImputer(strategy="mean").fit(model.filling.values[None, :])
        steps.append(("fill", fill))
    if isinstance(model.scaling, Scaling):
        steps += [("widen", _cast("float64")), ("scale", _scaler(model, model.scaling))]
        if model.dtype != "float64":
            steps.append(("round", _cast(model.dtype)))
    elif model.scaling is not None:
        normalizer = Normalizer(model.scaling.norm)
        normalizer.n_features_in_ = model.n_features
        steps.append(("scale", normalizer))
    center = StandardScaler(with_std=False)
    center.mean_, center.scale_, center.var_ = moved.middle.astype(np.float64), None, None
    center.n_features_in_, center.n_samples_seen_ = model.n_features, 1
    pipeline = Pipeline(
        [*steps, ("widen_scaled", _cast("float64")), ("center", center), ("kmeans", kmeans)]
    )
    if model.feature_names is not None:
        cast.feature_names_in_ = np.asarray(model.feature_names, dtype=object)
    cast.n_features_in_ = model.n_features
    return pipeline


def _cast(dtype: str) -> FunctionTransformer:
    """A step that gives rows as an array of a dtype; of types that every reader of skops trusts."""
    return FunctionTransformer(np.float32 if dtype == "float32" else np.float64)


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
