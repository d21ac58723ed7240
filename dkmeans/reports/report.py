"""A report of a model: one HTML file that needs nothing else."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import ArgumentError, OutputExists
from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.statistics import check_integer
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.models.model import Model
from dkmeans.registry.reference import locate, parse
from dkmeans.reports.about import Named
from dkmeans.reports.findings import EXAMPLES, Findings, findings
from dkmeans.reports.page import Asked, rendered
from dkmeans.reports.sweeps import chosen_sweep
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.filesystem import absolute, redact, remember
from dkmeans.storage.objects import exists

_FRAME_PIXELS = 800


@dataclass(frozen=True, eq=False)
class Report:
    """A page that shows and explains a model, shown in notebooks in a frame of its own."""

    html: str
    """The whole page; it loads nothing."""

    n_rows: int
    """Rows that it is of."""

    n_passes: int
    """Passes made."""

    rows_shown: bool
    """Whether it has values and keys of single rows."""

    @property
    def n_bytes(self) -> int:
        """Size of the page."""
        return len(self.html.encode())

    def save(
        self,
        url: str,
        *,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the page to any fsspec URL, in one step.

        Raises
        ------
        OutputExists
            If something lies there and `overwrite` is false.
        """
        refuse_existing_report(url, overwrite, storage_options)
        write_bytes(absolute(url), self.html.encode(), remember(storage_options))

    def _repr_html_(self) -> str:
        # a frame of its own: styles of the notebook and of the page know nothing of each other
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="{_FRAME_PIXELS}" '
            'sandbox="allow-scripts" title="dkmeans report"></iframe>'
        )


def report(
    model: Any,
    X: Any,
    *,
    out: str | None = None,
    overwrite: bool = False,
    rows_shown: bool = True,
    against: Any = None,
    sweep: Sweep | str | None = None,
    sample_weight: Any = None,
    title: str | None = None,
    random_state: int = 0,
    storage_options: Mapping[str, Any] | None = None,
) -> Report:
    """Show and explain a model on one page: two passes over the rows, of which one reads them.

    The page tells what was fitted and on what, how it converged, sizes, metrics and what they mean,
    centers, a map, silhouettes, a card for each cluster, tests, checks of assumptions, typical
    rows, drift, and what became of the clusters of another model. One more pass counts rows of
    unknown number (Dask DataFrames), or is made where rows are very far from the centers.

    Parameters
    ----------
    model
        A `Model`, a fitted estimator, or what names a saved model: a URL, `URL@champion` of a
        registry.
    X
        `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame, a
        NumPy array, a pandas DataFrame or an Arrow table.
    out
        Where the page is written, on any fsspec URL; None for nowhere.
    overwrite
        Whether to replace what lies there.
    rows_shown
        Whether to show rows that are typical of each cluster, with the keys of `Rows` from
        `read_parquet(keys=[...])`, and the row numbers of dots on the map. They may be personal
        data. Without them, how values are spread is not shown of clusters of fewer than 10 rows;
        the center of a cluster of one row is that row all the same.
    against
        Another model, the one before: which clusters continue which, and where rows went. As
        `model`.
    sweep
        A `Sweep`, or the URL of a saved one: its curves by number of clusters. None for the one
        that a model at `URL/k=12` was saved with, if there is one.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
    title
        Of the page; None for the name of the rows.
    random_state
        Seed of the samples.
    storage_options
        For the stores of all URLs but X.

    Returns
    -------
    Report
        The page, as text in `html`; shown in notebooks.

    Raises
    ------
    ArgumentError
        If a parameter cannot be.
    FeaturesMismatch
        If X or the other model have other features than the model.
    OutputExists
        If something lies at `out` and `overwrite` is false.
    TooLarge
        If a task does not fit in the memory of the workers.

    Examples
    --------
    >>> from dkmeans import KMeans, report
    >>> X = [[0.0], [1.0], [9.0], [11.0]]
    >>> page = report(KMeans(2, random_state=0).fit(X), X, title="Four rows")
    >>> page.n_passes, "<title>Four rows" in page.html
    (2, True)
    """
    if out is not None:
        refuse_existing_report(out, overwrite, storage_options)
    seed = check_integer("random_state", random_state, 0)
    mine, named = named_model(model, storage_options)
    other, other_named = None, Named()
    if against is not None:
        other, other_named = named_model(against, storage_options)
    if sweep is None or isinstance(sweep, str):
        sweep = chosen_sweep(sweep, model, storage_options)
    found = findings(
        mine,
        X,
        sample_weight=sample_weight,
        against=other,
        n_examples=EXAMPLES if rows_shown else 0,
        seed=seed,
    )
    made = made_of(found, Asked(rows_shown, named, other_named, sweep, title))
    if out is not None:
        made.save(out, overwrite=overwrite, storage_options=storage_options)
    return made


def made_of(found: Findings, asked: Asked) -> Report:
    """Return the report of what passes have found."""
    n_rows = found.evaluation.n_rows
    if not float(found.evaluation.weights.sum()) > 0:
        raise ArgumentError(f"a report needs a row of positive weight; the data has {n_rows} rows.")
    return Report(rendered(found, asked), n_rows, found.n_passes, asked.rows_shown)


def named_model(
    model: Any, storage_options: Mapping[str, Any] | None = None
) -> tuple[Model, Named]:
    """Return the model that is meant, and how it was named."""
    if not isinstance(model, str):
        return model_of(model), Named()
    located = locate(model, storage_options)
    loaded = Model.load(located.url, storage_options=storage_options)
    if located.registry is None:
        return loaded, Named(redact(located.url))
    name = parse(model).name
    alias = name if isinstance(name, str) else None
    return loaded, Named(redact(located.url), located.version, redact(located.registry), alias)


def refuse_existing_report(
    url: str, overwrite: bool, storage_options: Mapping[str, Any] | None = None
) -> None:
    """Raise `OutputExists` if something lies where a report goes, and may not be replaced."""
    if not overwrite and exists(absolute(url), remember(storage_options)):
        raise OutputExists(
            f"something lies at {redact(url)} already; pass --overwrite (overwrite=True) to "
            "replace it, or another place."
        )
