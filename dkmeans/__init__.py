"""k-means for data that do not fit in memory, on Dask.

Public names are resolved when first used, so that a worker imports neither pandas nor scikit-learn.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkmeans.algorithms.callbacks import Event
    from dkmeans.algorithms.windows.store import CoresetStore
    from dkmeans.estimators.kmeans import KMeans
    from dkmeans.estimators.minibatch import MiniBatchKMeans
    from dkmeans.estimators.mlflow_callback import MLflowCallback
    from dkmeans.estimators.normalizer import Normalizer
    from dkmeans.estimators.progress_callback import ProgressCallback
    from dkmeans.estimators.retrain import retrain
    from dkmeans.estimators.scalers import (
        MaxAbsScaler,
        MinMaxScaler,
        RobustScaler,
        StandardScaler,
    )
    from dkmeans.estimators.sweep import Sweeping, sweep
    from dkmeans.estimators.window_fit import window_fit
    from dkmeans.evaluation.drift.baselines import with_baseline
    from dkmeans.evaluation.drift.drift import drift
    from dkmeans.evaluation.drift.result import Drift
    from dkmeans.evaluation.evaluate import evaluate
    from dkmeans.evaluation.evaluation import Evaluation
    from dkmeans.evaluation.lineage.continued import continued
    from dkmeans.evaluation.lineage.lineage import lineage
    from dkmeans.evaluation.lineage.result import Lineage
    from dkmeans.evaluation.profiles.profile import profile
    from dkmeans.evaluation.profiles.result import Profile
    from dkmeans.evaluation.sweeps.result import Sweep
    from dkmeans.jobs.load import load_job
    from dkmeans.jobs.monitored import run_job
    from dkmeans.jobs.outcome import Outcome
    from dkmeans.models.baseline import Baseline
    from dkmeans.models.model import Assignment, Model
    from dkmeans.registry.naming import name_clusters
    from dkmeans.registry.registry import Registry
    from dkmeans.reports.report import Report, report
    from dkmeans.rows.allowance import Allowance
    from dkmeans.rows.clusters_out import write_clusters
    from dkmeans.rows.partitions import Partition, list_partitions
    from dkmeans.rows.progress import reporting
    from dkmeans.rows.reading import read_parquet
    from dkmeans.rows.rows import Rows

__version__ = version("dkmeans")

_HOMES = {
    "Allowance": "dkmeans.rows.allowance",
    "Assignment": "dkmeans.models.model",
    "CoresetStore": "dkmeans.algorithms.windows.store",
    "Baseline": "dkmeans.models.baseline",
    "Drift": "dkmeans.evaluation.drift.result",
    "Evaluation": "dkmeans.evaluation.evaluation",
    "Event": "dkmeans.algorithms.callbacks",
    "KMeans": "dkmeans.estimators.kmeans",
    "Lineage": "dkmeans.evaluation.lineage.result",
    "MLflowCallback": "dkmeans.estimators.mlflow_callback",
    "MaxAbsScaler": "dkmeans.estimators.scalers",
    "MinMaxScaler": "dkmeans.estimators.scalers",
    "MiniBatchKMeans": "dkmeans.estimators.minibatch",
    "Model": "dkmeans.models.model",
    "Outcome": "dkmeans.jobs.outcome",
    "Partition": "dkmeans.rows.partitions",
    "Profile": "dkmeans.evaluation.profiles.result",
    "ProgressCallback": "dkmeans.estimators.progress_callback",
    "Normalizer": "dkmeans.estimators.normalizer",
    "Registry": "dkmeans.registry.registry",
    "Report": "dkmeans.reports.report",
    "RobustScaler": "dkmeans.estimators.scalers",
    "Rows": "dkmeans.rows.rows",
    "StandardScaler": "dkmeans.estimators.scalers",
    "Sweep": "dkmeans.evaluation.sweeps.result",
    "Sweeping": "dkmeans.estimators.sweep",
    "continued": "dkmeans.evaluation.lineage.continued",
    "drift": "dkmeans.evaluation.drift.drift",
    "evaluate": "dkmeans.evaluation.evaluate",
    "lineage": "dkmeans.evaluation.lineage.lineage",
    "list_partitions": "dkmeans.rows.partitions",
    "load_job": "dkmeans.jobs.load",
    "name_clusters": "dkmeans.registry.naming",
    "profile": "dkmeans.evaluation.profiles.profile",
    "read_parquet": "dkmeans.rows.reading",
    "report": "dkmeans.reports.report",
    "reporting": "dkmeans.rows.progress",
    "retrain": "dkmeans.estimators.retrain",
    "run_job": "dkmeans.jobs.monitored",
    "sweep": "dkmeans.estimators.sweep",
    "window_fit": "dkmeans.estimators.window_fit",
    "with_baseline": "dkmeans.evaluation.drift.baselines",
    "write_clusters": "dkmeans.rows.clusters_out",
}

__all__ = [
    "Allowance",
    "Assignment",
    "Baseline",
    "CoresetStore",
    "Drift",
    "Evaluation",
    "Event",
    "KMeans",
    "Lineage",
    "MLflowCallback",
    "MaxAbsScaler",
    "MinMaxScaler",
    "MiniBatchKMeans",
    "Model",
    "Normalizer",
    "Outcome",
    "Partition",
    "Profile",
    "ProgressCallback",
    "Registry",
    "Report",
    "RobustScaler",
    "Rows",
    "StandardScaler",
    "Sweep",
    "Sweeping",
    "__version__",
    "continued",
    "drift",
    "evaluate",
    "lineage",
    "list_partitions",
    "load_job",
    "metrics",
    "name_clusters",
    "plots",
    "profile",
    "read_parquet",
    "report",
    "reporting",
    "retrain",
    "run_job",
    "sweep",
    "window_fit",
    "with_baseline",
    "write_clusters",
]


def __getattr__(name: str) -> Any:
    if name in ("metrics", "plots"):
        return import_module(f"dkmeans.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'dkmeans' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
