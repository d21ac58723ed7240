"""What evaluations are asked about, a model and rows that have its features, and their passes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.models.model import Model
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Request
from dkmeans.rows.rows import Rows
from dkmeans.rows.with_features import rows_with, tell


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


@contextmanager
def opened(model: Model, X: Any, sample_weight: Any, labels: Sequence[Any] = ()) -> Iterator[Rows]:
    """Open X as rows with the features, the dtype and the filling of a model, for a while.

    What passes over `Rows` of the user cost is told to these.

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
    try:
        yield rows
    finally:
        if isinstance(X, Rows):
            tell(X, rows)
        else:
            rows.close()


def answers(
    rows: Rows, requests: Sequence[Request], record: dict[str, Any] | None = None
) -> list[Any]:
    """Make one pass that answers all requests, in order, and report what it cost, in `record`."""
    record = {} if record is None else record
    partials = rows.run(requests, record)
    reporter().ended(record)
    return list(partials)
