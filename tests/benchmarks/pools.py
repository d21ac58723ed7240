"""Thread pools of everything that is measured: pinned before it is imported, and told afterwards.

Imports nothing that has a pool.
"""

import os
from typing import Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",  # FAISS, SuperKMeans, scikit-learn
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ARROW_IO_THREADS",
    "RAYON_NUM_THREADS",
)

CODE_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def pinned(threads: int) -> dict[str, str]:
    """Return the environment in which every library takes `threads` threads."""
    count = str(threads)
    fixed = {"OMP_DYNAMIC": "FALSE", "MKL_DYNAMIC": "FALSE"}
    # oneDAL takes its threads from TBB, which takes those that the process may run on
    return {**dict.fromkeys(THREAD_VARIABLES, count), **fixed}


def pin(threads: int) -> None:
    """Pin the pools of this process, and of those that it starts.

    BLAS runs the code that it chooses for the processor, whatever the environment says.
    """
    for name in CODE_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(pinned(threads))
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(allowed[:threads]))


def told() -> dict[str, Any]:
    """Return what the pools of this process are."""
    found: dict[str, Any] = {name: os.environ.get(name, "") for name in THREAD_VARIABLES}
    if hasattr(os, "sched_getaffinity"):
        found["cores allowed"] = len(os.sched_getaffinity(0))
    import pyarrow
    from threadpoolctl import threadpool_info

    found["pyarrow"] = pyarrow.cpu_count()
    found["threadpoolctl"] = [
        {
            key: pool.get(key)
            for key in ("internal_api", "version", "num_threads", "architecture", "threading_layer")
        }
        for pool in threadpool_info()
    ]
    return found
