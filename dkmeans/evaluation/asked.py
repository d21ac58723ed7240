"""What evaluations are asked about: a model, and rows that have its features."""

from collections.abc import Sequence
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.models.model import Model
from dkmeans.rows.rows import Rows
from dkmeans.rows.with_features import rows_with


def model_of(model: Any) -> Model:
    """Return the model that is meant: itself, or that of a fitted estimator.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    if isinstance(model, Model):
        return model
    name = type(model).__name__
    if isinstance(found := getattr(model, "model_", None), Model):
        return found
    if hasattr(model, "checked_settings"):
        raise ArgumentError(f"this {name} is not fitted; call fit first.")
    raise ArgumentError(
        f"model is a {name}; pass a dkmeans Model or fitted estimator, or Model.load(url)."
    )


def rows_of(model: Model, X: Any, sample_weight: Any, labels: Sequence[Any] = ()) -> Rows:
    """Open X as rows with the features, and the dtype, of a model.

    Raises
    ------
    ArgumentError
        If X is `Rows` of another dtype.
    FeaturesMismatch
        If X has other features.
    """
    rows = rows_with(
        X,
        model.columns,
        model.n_features,
        model.dtype,
        sample_weight,
        model.filling,
        stage="auto",
        labels=labels,
    )
    if rows.dtype != model.dtype:
        raise ArgumentError(
            f"the rows are {rows.dtype}, the model {model.dtype}; read them with dtype=."
        )
    return rows
