"""Open the input of a command with the features of a saved model."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from dkmeans.cli.options import LEFT_OUT, parse_filters, say, split
from dkmeans.models.model import Model
from dkmeans.rows.for_model import read_for
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName


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
    return read_for(
        model,
        model_url,
        input_url,
        filters=parse_filters(asked["filters"]),
        keys=split(asked["keys"]),
        weight=weight,
        labels=labels,
        missing=asked["missing"],
        on_bad_file=asked["on_bad_file"],
        max_bad_files=asked["max_bad_files"],
        storage_options=options,
        stage=stage,
    )


def tell_of_weights(model: Model, weight: str | None) -> None:
    """Say so if the fit had weights and this command has none."""
    of_fit = model.provenance.get("weight_column")
    if of_fit is not None and weight is None:
        say(f"note: the model was fitted with weights; --weight {of_fit} counts rows alike")


def exit_if_left_out(found: Mapping[str, Any], as_json: bool) -> None:
    """End with the exit code that says so if rows or files were left out; name them."""
    if not as_json:
        if found["rows_missing"]:
            click.echo(f"left out: {found['rows_missing']:,} rows that lack a value")
        for one in found["skipped_files"]:
            click.echo(f"left out: {one['url']} ({one['reason']})")
    if found["rows_missing"] or found["skipped_files"]:
        sys.exit(LEFT_OUT)
