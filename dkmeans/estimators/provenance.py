"""What a model records of its fit, as plain values for JSON."""

import datetime
import platform
import uuid
from typing import Any

import numpy as np

import dkmeans
from dkmeans.algorithms.kmeans import KMeansFit
from dkmeans.algorithms.settings import Settings
from dkmeans.rows.rows import Rows
from dkmeans.storage.filesystem import redact


def parameters(settings: Settings) -> dict[str, Any]:
    """Return what the fit was asked for."""
    return {
        "n_clusters": int(settings.n_clusters),
        "init": settings.init_name,
        "n_init": int(settings.n_init),
        "max_iter": int(settings.max_iter),
        "tol": float(settings.tol),
        "scale": settings.scale,
        "oversampling_factor": float(settings.oversampling_factor),
        "init_rounds": int(settings.init_rounds),
    }


def provenance(
    result: KMeansFit, rows: Rows, settings: Settings, before: tuple[int, int]
) -> dict[str, Any]:
    """Return what the fit read and did; `before`: rows and bytes read till then."""
    n_rows = result.fit.ledger.n_rows
    plan = rows.parquet
    return {
        "run_id": uuid.uuid4().hex,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seed": settings.seed,
        "rows": n_rows,
        "rows_dropped": (rows.n_source_rows or n_rows) - n_rows,
        "weight": float(result.fit.ledger.weight.sum()),
        "rows_read": rows.rows_read - before[0],
        "bytes_read": rows.bytes_read - before[1],
        "n_passes": result.n_passes,
        "n_iter": result.fit.n_iter,
        "converged": result.fit.converged,
        "gain": result.fit.gain,
        "files": []
        if plan is None
        else [
            {"url": redact(file.url), "bytes": file.size, "version": file.version}
            for file in plan.files
        ],
        "filters": [] if plan is None else [[str(one) for one in group] for group in plan.filters],
        "weight_column": None if plan is None else plan.weight,
        "keys": [] if plan is None else list(plan.keys),
        "history": [dict(record) for record in result.history],
        "versions": {
            "dkmeans": dkmeans.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
