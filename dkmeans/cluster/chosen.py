"""Where passes of a job run: a scheduler by its address, workers started here, or threads."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from dkmeans.cluster.connect import connected, local_cluster

_WORKERS_SHARE = 0.8
"""Part of the machine's memory that local workers get together."""


@contextmanager
def chosen_cluster(
    address: str | None,
    n_workers: int | None,
    memory: str | None,
    *,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    say: Callable[[str], None],
) -> Iterator[None]:
    """Connect to a cluster, or start one; its client is the one in scope.

    Parameters
    ----------
    address
        Of a scheduler; None to start workers.
    n_workers, memory
        As for `local_workers`; 0 workers are threads of this process.
    tls_ca, tls_cert, tls_key
        Paths, for `address`.
    say
        Told where passes run, and where the dashboard is.

    Raises
    ------
    ClusterUnreachable
        If nobody answers at the address.
    """
    silence_dask()
    if address is not None:
        tls = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
        with connected(address, **tls) as client:
            say(f"cluster: {address}, dashboard {client.dashboard_link}")
            yield
        return
    if n_workers == 0:
        say("cluster: none, threads of this process")
        yield
        return
    n_workers, size = local_workers(n_workers, memory)
    with local_cluster(n_workers, size) as client:
        say(f"cluster: started {n_workers} workers of {size}, dashboard {client.dashboard_link}")
        yield


def local_workers(n_workers: int | None, memory: str | None) -> tuple[int, str]:
    """Return how many workers to start, and the memory limit of each.

    None stands for one a core, and for an equal share of most of the machine's memory.
    """
    n_workers = os.cpu_count() or 1 if n_workers is None else n_workers
    share = _WORKERS_SHARE * psutil.virtual_memory().total / max(1, n_workers)
    return n_workers, memory or f"{int(share / 2**20)}MiB"


def silence_dask() -> None:
    """Keep complaints of Dask from the terminal: what fails reaches us as an exception."""
    # when it is imported it gives some loggers a level of their own
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
