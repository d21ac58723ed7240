"""The libraries that are measured, ours among them: one file each, loaded in its own process."""

import importlib
from dataclasses import dataclass
from typing import Any

NOT_INSTALLED = "not installed: pip install dkmeans[bench]"


@dataclass(frozen=True)
class Listed:
    """Where a peer is, and what has to be known of it without loading it."""

    label: str
    """What tables call it."""

    module: str
    """Below this package, or all of its name."""

    kind: str
    """The class."""

    own_start: bool = False
    """Whether it cannot be told where to start, so that its inertias are its own."""

    prunes: bool = False
    """Whether it leaves out parts of distances, so that its work is less than a product's."""

    is_ours: bool = False


PEERS = {
    "dkmeans": Listed("dkmeans", "dkmeans_kernel", "Kernel", is_ours=True),
    "dkmeans-kmeans": Listed("dkmeans KMeans", "dkmeans_estimators", "KMeansPeer", is_ours=True),
    "dkmeans-coreset": Listed(
        "dkmeans KMeans, coreset", "dkmeans_estimators", "CoresetPeer", is_ours=True
    ),
    "dkmeans-minibatch": Listed(
        "dkmeans MiniBatchKMeans", "dkmeans_estimators", "MiniBatchPeer", is_ours=True
    ),
    "sklearn-lloyd": Listed("scikit-learn lloyd", "scikit_learn", "Lloyd"),
    "sklearn-converged": Listed("scikit-learn, converged", "scikit_learn", "Converged"),
    "sklearn-elkan": Listed("scikit-learn elkan", "scikit_learn", "Elkan"),
    "sklearn-minibatch": Listed("scikit-learn MiniBatchKMeans", "scikit_learn", "MiniBatch"),
    "onedal": Listed("oneDAL (sklearnex)", "onedal", "OneDal"),
    "faiss": Listed("FAISS", "faiss_cpu", "Faiss"),
    "faiss-super": Listed("FAISS, super k-means", "faiss_cpu", "FaissSuper", prunes=True),
    "superkmeans": Listed("SuperKMeans", "super_kmeans", "Pruned", own_start=True, prunes=True),
    "superkmeans-gemm": Listed("SuperKMeans, unpruned", "super_kmeans", "Unpruned", own_start=True),
    "dask-ml": Listed("dask-ml", "dask_ml_", "DaskMl"),
    "sklearn-minibatch-16k": Listed(
        "scikit-learn MiniBatchKMeans, 16k", "scikit_learn", "LargeBatch"
    ),
    "faiss-sampled": Listed("FAISS, 256 rows a cluster", "faiss_cpu", "FaissSampled"),
    "dask-ml-tuned": Listed("dask-ml, tuned seeding", "dask_ml_", "Tuned"),
    "spark": Listed("Spark", "spark", "Spark"),
    "blas": Listed("BLAS", "blas", "Blas"),
    "minibatch-of-parquet": Listed("one fit", "tests.benchmarks.minibatch", "Fits"),
}

ESTIMATORS = (
    "dkmeans-kmeans",
    "dkmeans-coreset",
    "dkmeans-minibatch",
    "sklearn-lloyd",
    "sklearn-minibatch",
    "onedal",
    "faiss",
    "superkmeans",
    "dask-ml",
    "spark",
)
"""What a user would fit with, each with its own default seeding."""


def make(name: str, threads: int) -> Any:
    """Load a peer; raises ImportError where it is not installed."""
    listed = PEERS[name]
    name_of_module = listed.module if "." in listed.module else f"{__name__}.{listed.module}"
    module = importlib.import_module(name_of_module)
    return getattr(module, listed.kind)(threads)


def label(name: str) -> str:
    """What tables call a peer."""
    return PEERS[name].label
