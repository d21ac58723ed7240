"""Open the input of a command with the features of a saved model."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from dkmeans.cli.options import LEFT_OUT, parse_filters, say, split
from dkmeans.errors import FeaturesMismatch, SchemaMismatch
from dkmeans.models.model import Model
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.storage.filesystem import redact


def rows_for(
    model: Model,
    model_url: str,
    input_url: str,
    asked: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    weight: str | None = None,
    labels: Sequence[str] = (),
    stage: StageName = "none",
) -> Rows:
    """Open the rows at `input_url`; `asked` are the options of the input.

    Raises
    ------
    FeaturesMismatch
        If they lack columns of the model.
    """
    try:
        return read_parquet(
            input_url,
            columns=None if model.columns is None else [one.name for one in model.columns],
            filters=parse_filters(asked["filters"]),
            weight=weight,
            keys=split(asked["keys"]),
            labels=labels,
            dtype=model.dtype,
            missing="mean" if model.filling is not None else asked["missing"],
            on_bad_file=asked["on_bad_file"],
            max_bad_files=asked["max_bad_files"],
            storage_options=options,
            stage=stage,
        )
    except SchemaMismatch as error:
        if not any(repr(one.name) in str(error) for one in model.columns or ()):
            # of a column that the user has named here
            raise
        raise FeaturesMismatch(f"the model at {model_url} needs other columns: {error}") from None


def tell_of_weights(model: Model, weight: str | None) -> None:
    """Say so if the fit had weights and this command has none."""
    of_fit = model.provenance.get("weight_column")
    if of_fit is not None and weight is None:
        say(f"note: the model was fitted with weights; --weight {of_fit} counts rows alike")


def left_out(rows: Rows) -> dict[str, Any]:
    """Return what was left out by policy, as plain values."""
    skipped = () if rows.parquet is None else rows.parquet.skipped
    return {
        "rows_missing": rows.known.n_missing_rows,
        "skipped_files": [{"url": redact(url), "reason": reason} for url, reason in skipped],
    }


def exit_if_left_out(found: Mapping[str, Any], as_json: bool) -> None:
    """End with the exit code that says so if rows or files were left out; name them."""
    if not as_json:
        if found["rows_missing"]:
            click.echo(f"left out: {found['rows_missing']:,} rows that lack a value")
        for one in found["skipped_files"]:
            click.echo(f"left out: {one['url']} ({one['reason']})")
    if found["rows_missing"] or found["skipped_files"]:
        sys.exit(LEFT_OUT)
