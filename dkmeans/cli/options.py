"""Options that several sub-commands share, and what they are turned into."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import click
from distributed import Client

from dkmeans.cli.store_options import json_option as json_option
from dkmeans.cli.store_options import parse_storage_options as parse_storage_options
from dkmeans.cli.store_options import say as say
from dkmeans.cli.store_options import storage_option as storage_option
from dkmeans.cluster.chosen import chosen_cluster
from dkmeans.cluster.connect import connected
from dkmeans.models.scaling import SCALES
from dkmeans.rows.filters import parse_comparison

F = TypeVar("F", bound=Callable[..., Any])

LEFT_OUT = 4
"""Exit code of a job that is done, but left out files or rows by policy."""


def input_options(function: F) -> F:
    """Add `source_options`, and what becomes of rows that lack values."""
    return missing_option(source_options(function))


missing_option = click.option(
    "--missing",
    type=click.Choice(["raise", "drop", "mean"]),
    default="raise",
    show_default=True,
    help="Rows with missing values: refuse, leave out, fill with the column's mean.",
)


def source_options(function: F) -> F:
    """Add which rows of the input, and how to reach the store."""
    for option in (
        click.option(
            "--filter",
            "filters",
            multiple=True,
            metavar="'COLUMN OP VALUE'",
            help="Use only rows that pass, as in 'amount > 0'; repeat to and them.",
        ),
        click.option(
            "--keys",
            metavar="A,B",
            help="Columns that tell rows apart; written beside the clusters, never clustered.",
        ),
        storage_option,
        click.option(
            "--on-bad-file",
            type=click.Choice(["raise", "skip"]),
            default="raise",
            show_default=True,
            help="Files that cannot be read: refuse, or leave out whole.",
        ),
        click.option(
            "--max-bad-files", type=int, help="Most files to leave out [default: any number]."
        ),
    ):
        function = option(function)
    return function


weight_option = click.option("--weight", metavar="COLUMN", help="Column of sample weights.")
stage_option = click.option(
    "--stage",
    type=click.Choice(["auto", "memory", "disk", "none"]),
    default="auto",
    show_default=True,
    help="Where decoded rows stay between passes.",
)


coreset_size_option = click.option(
    "--coreset-size",
    type=int,
    help="Rows that stand for all, with --init coreset [default: 1024 a cluster, from 200000 to "
    "5000000].",
)


def fit_options(function: F) -> F:
    """Add what to fit, but for what is the algorithm's."""
    k = click.option("--k", "n_clusters", type=int, required=True, help="Number of clusters.")
    return _options_of_fits(k, function)


def sweep_options(function: F) -> F:
    """Add what to fit several times, but for what is the algorithm's."""
    k = click.option(
        "--k",
        "counts",
        required=True,
        metavar="2:30",
        help="Numbers of clusters: both ends, and all between; or 10,20,50; or 2:10,20,50.",
    )
    return _options_of_fits(k, function)


def _options_of_fits(k: Callable[[F], F], function: F) -> F:
    for option in reversed(
        (
            k,
            click.option(
                "--columns",
                metavar="A,B",
                help="Feature columns [default: all numbers and lists of numbers].",
            ),
            weight_option,
            click.option(
                "--scale",
                type=click.Choice([*SCALES, "none"]),
                default="standard",
                show_default=True,
                help="Scaling of features, or of rows to length 1, before distances.",
            ),
            click.option(
                "--init",
                help="coreset, k-means|| (or scalable), k-means++, random [default: coreset; "
                "k-means|| of minibatch, which knows no coreset].",
            ),
            click.option(
                "--seed", type=int, help="Seed [default: a fresh one, recorded in the model]."
            ),
            click.option(
                "--dtype",
                type=click.Choice(["float32", "float64"]),
                default="float32",
                show_default=True,
                help="What features are decoded to.",
            ),
            click.option(
                "--block-bytes", type=int, help="Bytes of a decoded block [default: 33554432]."
            ),
            stage_option,
            click.option(
                "--sample",
                metavar="SHARE|ROWS",
                help="Fit on a share of the rows, as 0.05, or on about so many, as 100000.",
            ),
        )
    ):
        function = option(function)
    return input_options(function)


def cluster_options(function: F) -> F:
    """Add where passes run."""
    for option in reversed(
        (
            click.option(
                "--scheduler", metavar="ADDRESS", help="Run on the Dask cluster of this scheduler."
            ),
            click.option("--tls-ca", type=click.Path(), help="CA certificate of the cluster."),
            click.option("--tls-cert", type=click.Path(), help="Our certificate."),
            click.option("--tls-key", type=click.Path(), help="Our key."),
            click.option(
                "--workers",
                type=int,
                help="Start this many workers here; 0 for threads [default: one a core].",
            ),
            click.option(
                "--memory",
                metavar="SIZE",
                help="Memory limit of each, as 4GiB [default: an equal share of 80 %].",
            ),
        )
    ):
        function = option(function)
    return function


def budget_options(function: F) -> F:
    """Add what a job may cost, and how it goes on."""
    for option in reversed(
        (
            click.option(
                "--checkpoint",
                metavar="URL",
                help="Store the state of the fit here after each pass; removed when all is done.",
            ),
            click.option(
                "--resume",
                is_flag=True,
                help="Go on from the checkpoint, if there is one.",
            ),
            click.option("--max-passes", type=int, help="Stop, to be resumed, after so many."),
            click.option("--max-bytes", type=int, help="Most bytes to read from the source."),
            click.option("--max-seconds", type=float, help="Begin no pass that would end later."),
        )
    ):
        function = option(function)
    return function


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace a model or clusters that lie there already."
)


@contextmanager
def cluster(asked: Mapping[str, Any]) -> Iterator[None]:
    """Connect to the cluster that the options name, or start one; print its dashboard."""
    tls = _tls(asked)
    with chosen_cluster(asked["scheduler"], asked["workers"], asked["memory"], **tls, say=say):
        yield


def connected_to(asked: Mapping[str, Any]) -> AbstractContextManager[Client]:
    """Connect to the scheduler that the options name."""
    return connected(asked["scheduler"], **_tls(asked))


def _tls(asked: Mapping[str, Any]) -> dict[str, str | None]:
    """The files for the scheduler, which goes without options of local workers."""
    is_elsewhere = asked["scheduler"] is not None
    if is_elsewhere and (asked["workers"] is not None or asked["memory"] is not None):
        raise click.UsageError("--scheduler goes without --workers and --memory.")
    return {name: asked[name] for name in ("tls_ca", "tls_cert", "tls_key")}


def split(names: str | None) -> list[str] | None:
    """Turn `a,b` into a list; None stays None."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def parse_filters(texts: Sequence[str]) -> list[tuple[str, str, Any]] | None:
    """Turn every `--filter` into a comparison."""
    return [parse_comparison(text) for text in texts] or None


def parse_sample(text: str | None) -> float | None:
    """Turn `0.05` into a share, and `100000` into a number of rows."""
    if text is None:
        return None
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise click.UsageError(
            f"--sample {text} is neither a share nor a number of rows."
        ) from None
