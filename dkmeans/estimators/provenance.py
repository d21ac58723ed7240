"""What a model records of its fit, as plain values for JSON."""

import datetime
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import Settings
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.rows.input_digest import input_digest
from dkmeans.rows.rows import Rows
from dkmeans.storage.filesystem import redact


def parameters(settings: Settings) -> dict[str, Any]:
    """Return what the fit was asked for."""
    asked = {**vars(settings), "init": settings.init_name}
    del asked["seed"], asked["fresh_seed"]
    # a model knows nothing of others that were fitted with it
    asked.pop("each", None)
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in asked.items()
    }


def provenance(
    result: FitResult, rows: Rows, settings: Settings, of_all_rows: bool
) -> dict[str, Any]:
    """Return what the fit read and did.

    `of_all_rows` tells whether its weights, means and inertias are exactly those of `rows`.
    """
    n_rows = result.fit.ledger.n_rows
    plan = rows.parquet
    sample = rows.known.sample
    n_dropped = rows.known.n_missing_rows
    if sample is None and rows.n_source_rows is not None and rows.known.n_samples is not None:
        n_dropped = rows.n_source_rows - rows.known.n_samples
    return {
        "run_id": result.run_id,
        "finished": now(),
        "seed": settings.seed,
        "rows": n_rows,
        "rows_dropped": n_dropped,
        "rows_missing": rows.known.n_missing_rows,
        "missing": rows.missing,
        "sample": None if sample is None else {"share": sample.share, "seed": sample.seed},
        "weight": float(result.fit.ledger.weight.sum()),
        "input": input_digest(rows) if of_all_rows else None,
        "rows_read": result.rows_read,
        "bytes_read": result.bytes_read,
        "n_passes": result.n_passes,
        "n_iter": result.fit.n_iter,
        "converged": result.fit.converged,
        "stopped_by": result.fit.stopped_by,
        "gain": result.fit.gain,
        "files": []
        if plan is None
        else [
            {"url": redact(file.url), "bytes": file.size, "version": file.version}
            for file in plan.files
        ],
        "skipped_files": []
        if plan is None
        else [{"url": redact(url), "reason": reason} for url, reason in plan.skipped],
        "filters": [] if plan is None else [[str(one) for one in group] for group in plan.filters],
        "weight_column": None if plan is None else plan.weight,
        "keys": [] if plan is None else list(plan.keys),
        "history": [dict(record) for record in result.history],
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return what a fit ran with."""
    return {
        "dkmeans": version("dkmeans"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def now() -> str:
    """Return the time, in UTC, by the clock of this process."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def parent_of(champion: Model) -> dict[str, Any]:
    """Return what names the model that another came of."""
    return {"run_id": champion.provenance.get("run_id"), "model_id": model_id(champion)}
