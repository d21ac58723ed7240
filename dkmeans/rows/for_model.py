"""Open rows with the features of a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from dkmeans.errors import FeaturesMismatch, SchemaMismatch
from dkmeans.models.model import Model
from dkmeans.rows.parquet_plan import OnBadFile
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.rows.values import MissingName
from dkmeans.storage.filesystem import redact


def read_for(
    model: Model,
    model_url: str,
    url: str | Sequence[str],
    *,
    filters: Any = None,
    keys: Sequence[str] | None = None,
    weight: str | None = None,
    labels: Sequence[str] = (),
    missing: MissingName = "raise",
    on_bad_file: OnBadFile = "raise",
    max_bad_files: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    stage: StageName = "none",
) -> Rows:
    """Open the rows at `url` with the features of a model; parameters are as of `read_parquet`.

    Missing values are filled in where the model does.

    Parameters
    ----------
    model_url
        Where the model lies, for errors.

    Raises
    ------
    FeaturesMismatch
        If they lack columns of the model.
    """
    try:
        return read_parquet(
            url,
            columns=None if model.columns is None else [one.name for one in model.columns],
            filters=filters,
            weight=weight,
            keys=keys,
            labels=labels,
            dtype=model.dtype,
            missing="mean" if model.filling is not None else missing,
            on_bad_file=on_bad_file,
            max_bad_files=max_bad_files,
            storage_options=storage_options,
            stage=stage,
        )
    except SchemaMismatch as error:
        if not any(repr(one.name) in str(error) for one in model.columns or ()):
            # of a column that the user has named
            raise
        raise FeaturesMismatch(f"the model at {model_url} needs other columns: {error}") from None


def left_out(rows: Rows) -> dict[str, Any]:
    """Return what was left out by policy, as plain values."""
    skipped = () if rows.parquet is None else rows.parquet.skipped
    return {
        "rows_missing": rows.known.n_missing_rows,
        "skipped_files": [{"url": redact(url), "reason": reason} for url, reason in skipped],
    }
