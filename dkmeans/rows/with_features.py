"""Open what a user passes as X with the features of a fit."""

from collections.abc import Sequence
from typing import Any

from dkmeans.errors import FeaturesMismatch, SchemaMismatch
from dkmeans.models.arrays import wrong_width
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.filling import Filling
from dkmeans.rows.reading import as_rows
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName


def rows_with(
    X: Any,
    columns: Sequence[FeatureColumn] | None,
    n_features: int,
    dtype: str | None,
    sample_weight: Any = None,
    filling: Filling | None = None,
    stage: StageName = "none",
    labels: Sequence[Any] = (),
) -> Rows:
    """Open X as `Rows` that have the given features, in their order.

    Parameters
    ----------
    X, sample_weight, stage, labels
        As for `as_rows`.
    columns, n_features
        The features that X should have, by name where they have names.
    dtype
        What rows are converted to; None for what they come in.
    filling
        What missing values are replaced by; None where they are refused.

    Raises
    ------
    FeaturesMismatch
        If X has other features.
    """
    names = None if columns is None else [column.name for column in columns]
    try:
        rows = as_rows(
            X,
            sample_weight,
            columns=names,
            labels=labels,
            stage=stage,
            dtype=dtype,
            missing="raise" if filling is None else "mean",
        )
    except SchemaMismatch as error:
        if not any(repr(name) in str(error) for name in names or ()):
            # of what the user has named here
            raise
        raise FeaturesMismatch(f"X does not have the features of the fit: {error}") from None
    if columns is not None and rows.columns is not None and tuple(rows.columns) != tuple(columns):
        raise FeaturesMismatch(
            f"X has the feature columns {[column.name for column in rows.columns]}, the fit had "
            f"{names}; read it with columns={names}."
        )
    if rows.n_features != n_features:
        raise FeaturesMismatch(wrong_width(rows.n_features, n_features))
    return rows if filling is None else rows.filled(filling)


def tell(rows: Rows, view: Rows) -> None:
    """Tell `rows` what passes over a view with a filling of its own have cost, and left out."""
    if view.known is rows.known:
        return
    if view.parquet is not None and rows.parquet is not None:
        new = [one for one in view.parquet.skipped if one not in rows.parquet.skipped]
        rows.leave_out(new, is_known=True)
    for name in ("n_passes", "rows_read", "bytes_read", "n_requests"):
        setattr(rows.known, name, getattr(view.known, name))
