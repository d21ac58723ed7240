"""`window_fit`: a model of the partitions of a window, of which only the new ones are read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.windows.fit import Windowed
from dkmeans.algorithms.windows.fit import window_fit as fit_partitions
from dkmeans.algorithms.windows.reading import Reading
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.errors import ArgumentError
from dkmeans.estimators.clusterer import seed_of, warn_of
from dkmeans.estimators.provenance import now, parameters, parent_of, versions
from dkmeans.models.model import Model
from dkmeans.rows.allowance import Allowance
from dkmeans.rows.parquet_plan import OnBadFile
from dkmeans.rows.partitions import Partition, list_partitions
from dkmeans.rows.staging import StageName
from dkmeans.rows.values import MissingName
from dkmeans.storage.filesystem import redact

WINDOW_STARTS = 64
"""Fresh starts by default: more than `KMeans` makes, since no iterations over all rows follow that
would choose among what they lead to. They are made in memory, on a part of the coreset."""


def window_fit(
    partitions: Sequence[Partition] | str | Sequence[str],
    store: CoresetStore | str | None = None,
    *,
    champion: Model | None = None,
    n_clusters: int | None = None,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
    dtype: str | None = None,
    missing: MissingName = "raise",
    on_bad_file: OnBadFile = "raise",
    scale: str | None = None,
    keep_scaling: bool = True,
    n_init: int | str = "auto",
    tol: float = 1e-4,
    random_state: Any = None,
    coreset_size: int | None = None,
    exact: bool = False,
    retain: Iterable[str] | None = None,
    stage: StageName = "auto",
    checkpoint: str | None = None,
    allowance: Allowance | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Model:
    """Cluster the rows of some partitions, and read only those that are new.

    Of each partition a coreset is kept: a weighted sample that stands for its rows, with their
    exact weight and moments. Together they stand for the window, and the model is solved on them in
    memory, from fresh starts and from the champion's centers. Partitions that are no longer given
    are no longer part of it: nothing has to be forgotten step by step.

    Parameters
    ----------
    partitions
        Those of the window, from `list_partitions`; or what that takes.
    store
        A folder, on any fsspec URL, where coresets are kept, or a `CoresetStore`. **They hold rows
        of the data**: see `CoresetStore.forget`. None to keep none, and read all partitions.
    champion
        The model to follow: its columns, its filling of missing values and its scaling are kept,
        its centers are what rows of new partitions are drawn by, and one of the starts. Where that
        start comes out within 0.1 % of the best, it is taken, so that clusters stay.
    n_clusters
        Number of clusters; None for the champion's.
    columns, weight, dtype, missing, on_bad_file, stage, storage_options
        As for `read_parquet`. `missing="mean"` fills in the champion's means.
    scale
        As for `KMeans`: learned from the rows of the window, of which the moments are known
        exactly; the quantiles of "robust" are those of the coreset.
    keep_scaling
        Whether the champion's scaling is kept. If not, `scale` is learned.
    n_init
        Fresh starts; "auto" is 64.
    tol
        As for `KMeans`; iterations run on the coreset.
    random_state
        Seed; None for a fresh one. Coresets that are kept stay as they were drawn.
    coreset_size
        About how many rows of the partitions of a window are solved, times 2: None as for
        `KMeans`. Of each partition so many are kept, though no more than half of its rows, and of
        all together no more than 8 times as many: what a partition is worth differs from window to
        window.
    exact
        Whether all rows of the window are read, once, so that weights, means and inertias are
        exact. Centers do not move.
    retain
        Names of partitions whose coresets stay in the store, beside those of the window; all others
        are removed from it, once the fit is done. None to remove none.
    checkpoint
        Where no `store` is given, a folder, on any fsspec URL, for the coresets of this fit: what
        is interrupted goes on from it, and reads no partition again that was read. **They hold rows
        of the data**, and are removed when the fit is done.
    allowance
        What reading may cost: `Allowance(max_passes, max_bytes, max_seconds)`. Several fits may
        share one.

    Returns
    -------
    Model
        Cluster ids are 0, 1, ...: whoever wants the champion's matches them. `inertia`, `weights`
        and `scaled_means` are estimates from the coreset, unless `exact`. `provenance["window"]`
        has `inertia_standard_error`, `exact`, `coreset_rows`, `start` ("champion" or "fresh") and
        `partitions`: for each its name, fingerprint, rows, rows of its coreset, and whether it was
        read. `provenance["bytes_read"]` counts rows, not footers.

    Raises
    ------
    ArgumentError
        If a parameter cannot be.
    BudgetSpent
        If it would cost more than is allowed: before anything is read where new partitions have
        more bytes than that, else before the pass that would go beyond.
    InputRefused
        If rows cannot be used, or a file is not the one that was listed.

    Notes
    -----
    The standard error is that of independent draws, at centers that do not depend on them. Centers
    that were solved on the coreset fit it a little better than all rows: by about the share that
    `n_clusters` is of the coreset's rows. Where a few far rows have much of the inertia, and some
    of them are not among those drawn, it tells too little: ask for `exact` then.

    A partition is known again by its name and by size and ETag (or time of change) of its files: a
    rewritten one is read again, and its old rows are removed from the store.

    A fit that is interrupted has kept the partitions that it has read, in the store or at the
    checkpoint, and goes on with the others when it is called again. From the same seed and champion
    it comes out as if it had not been interrupted.
    """
    if n_clusters is None:
        if champion is None:
            raise ArgumentError("n_clusters=None needs a champion that has some; give a number.")
        n_clusters = champion.n_clusters
    keeps_scaling = champion is not None and keep_scaling
    if keeps_scaling and scale is not None:
        raise ArgumentError(
            f"scale={scale!r} does not go with a champion whose scaling is kept; leave it out, or "
            "pass keep_scaling=False."
        )
    settings = KMeansSettings(
        n_clusters=n_clusters,
        init="coreset",
        n_init=_checked_n_init(n_init),
        seed=seed_of(random_state),
        scale=scale,
        oversampling_factor=2.0,
        init_rounds=0,
        tol=tol,
        fresh_seed=random_state is None,
        max_iter=1,
        coreset_size=coreset_size,
    )
    settings.check()
    given = _partitions(partitions, storage_options)
    reading = Reading.of(
        champion, columns, weight, dtype, missing, on_bad_file, stage, storage_options
    )
    if store is not None and not isinstance(store, CoresetStore):
        store = CoresetStore(store, storage_options)
    passing = None
    if store is None and checkpoint is not None:
        passing = CoresetStore(checkpoint, storage_options)
    found = fit_partitions(
        given,
        reading,
        settings,
        champion=champion,
        keeps_scaling=keeps_scaling,
        store=store or passing,
        exact=exact,
        allowance=Allowance() if allowance is None else allowance,
    )
    warn_of(found.fit, settings, 0)
    if store is not None:
        if retain is not None:
            store.retain({*retain, *(partition.name for partition in given)})
        store.tidy()
    if passing is not None:
        passing.forget()
    return _model(found, given, reading, settings, champion, exact)


def _checked_n_init(n_init: int | str) -> int:
    if isinstance(n_init, str):
        if n_init != "auto":
            raise ArgumentError(f"n_init={n_init!r} should be an integer or 'auto'.")
        return WINDOW_STARTS
    return n_init


def _partitions(given: Any, storage_options: Mapping[str, Any] | None) -> list[Partition]:
    if isinstance(given, Partition):
        return [given]
    if not isinstance(given, str):
        try:
            given = list(given)
        except TypeError:
            # a path
            return list_partitions(given, storage_options=storage_options)
        if all(isinstance(one, Partition) for one in given):
            return given
    return list_partitions(given, storage_options=storage_options)


def _model(
    found: Windowed,
    given: Sequence[Partition],
    reading: Reading,
    settings: KMeansSettings,
    champion: Model | None,
    exact: bool,
) -> Model:
    fit, parts = found.fit, list(found.parts.values())
    asked = {**parameters(settings), "init": "window"}
    # of iterations over all rows, there are none
    for name in ("max_iter", "oversampling_factor", "init_rounds"):
        del asked[name]
    if champion is not None and asked["scale"] is None:
        asked["scale"] = champion.parameters.get("scale")
    return Model(
        scaled_centers=fit.centers,
        scaling=found.scaling,
        columns=parts[0].columns,
        dtype=parts[0].dtype,
        cluster_ids=np.arange(settings.n_clusters),
        weights=fit.ledger.weight,
        inertias=fit.ledger.sq_distances,
        scaled_means=fit.ledger.centers(otherwise=fit.centers),
        filling=reading.filling,
        parameters=asked,
        provenance=_provenance(found, given, reading, settings, champion, exact),
    )


def _provenance(
    found: Windowed,
    given: Sequence[Partition],
    reading: Reading,
    settings: KMeansSettings,
    champion: Model | None,
    exact: bool,
) -> dict[str, Any]:
    """Return what the fit read and did: the names of `provenance`, and the window."""
    fit, parts = found.fit, found.parts
    n_rows = sum(part.n_rows for part in parts.values())
    files = [file for one in given if one.name in parts for file in one.files]
    skipped = [one for part in parts.values() for one in part.skipped]
    left_out = {url for url, _ in skipped}
    return {
        "run_id": found.run_id,
        "finished": now(),
        "seed": settings.seed,
        "rows": n_rows,
        "rows_dropped": sum(part.n_source_rows for part in parts.values()) - n_rows,
        "rows_missing": sum(part.n_missing_rows for part in parts.values()),
        "missing": reading.missing,
        "sample": None,
        "weight": float(fit.ledger.weight.sum()),
        # weights and inertias are estimates, or summed in an order of their own
        "input": None,
        "rows_read": found.rows_read,
        "bytes_read": found.bytes_read,
        "n_passes": sum(one["kind"] not in ("pilot", "solve") for one in found.history),
        "n_iter": fit.n_iter,
        "converged": fit.converged,
        "stopped_by": None,
        "gain": fit.gain,
        "files": [
            {"url": redact(file.url), "bytes": file.size, "version": file.version}
            for file in files
            if file.url not in left_out
        ],
        "skipped_files": [{"url": redact(url), "reason": reason} for url, reason in skipped],
        "filters": [
            [str(predicate) for predicate in group]
            for group in dict.fromkeys(group for one in given for group in one.filters)
        ],
        "weight_column": reading.weight,
        "keys": [],
        "history": [dict(record) for record in found.history],
        "versions": versions(),
        "parent": None if champion is None else parent_of(champion),
        "window": {
            "exact": exact,
            "inertia_standard_error": found.standard_error,
            "coreset_rows": found.n_coreset_rows,
            "start": found.start,
            "partitions": [
                {
                    "name": one.name,
                    "fingerprint": one.fingerprint,
                    "rows": parts[one.name].n_rows,
                    "coreset_rows": parts[one.name].n_coreset_rows,
                    "read": one.name in found.read,
                }
                for one in given
                if one.name in parts
            ],
        },
    }
