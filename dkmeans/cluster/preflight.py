"""Is every worker fit to run our tasks? Asked before the first pass."""

import platform
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import dask.config
from distributed import Client

from dkmeans.errors import ClusterLost, WorkersUnfit

SAME_VERSIONS = ("dkmeans", "numpy", "crick", "pyarrow", "dask", "distributed")


@lru_cache(maxsize=1)
def versions_here() -> tuple[str, ...]:
    """Name and version of everything in this process that the bits of a result depend on."""
    python = ".".join(platform.python_version_tuple()[:2])
    return (
        f"python {python}",
        *(f"{name} {version(name)}" for name in ("dkmeans", "numpy", "crick")),
    )


def no_workers_seconds() -> float:
    """How long to wait for a first worker: `dkmeans.no-workers-timeout` of Dask's configuration."""
    return float(dask.config.get("dkmeans.no-workers-timeout", 120))


def preflight(client: Client) -> None:
    """Wait for a worker, and compare the versions of all with this process.

    Raises
    ------
    ClusterLost
        If there is no worker within `dkmeans.no-workers-timeout` seconds.
    WorkersUnfit
        If a worker lacks dkmeans, or has another version of it, of Python, or of what computes the
        bits.
    """
    limit = no_workers_seconds()
    try:
        client.wait_for_workers(1, timeout=limit)
    except TimeoutError:
        raise ClusterLost(
            f"the cluster has had no workers for {limit:g} s; start some and run again."
        ) from None
    report: Any = client.get_versions(packages=list(SAME_VERSIONS))
    ours = report["client"]
    for address, theirs in report["workers"].items():
        if theirs["packages"].get("dkmeans") is None:
            raise WorkersUnfit(
                f"worker {address} does not have dkmeans; install dkmeans "
                f"{version('dkmeans')} in the environment of the workers."
            )
        for package in SAME_VERSIONS:
            here, there = ours["packages"].get(package), theirs["packages"].get(package)
            if here != there:
                raise WorkersUnfit(
                    f"worker {address} has {package} {there}, this process has {here}; "
                    "give both the same version."
                )
        here, there = (".".join(side["host"]["python"].split(".")[:2]) for side in (ours, theirs))
        if here != there:
            raise WorkersUnfit(
                f"worker {address} runs Python {there}, this process {here}; give both the same."
            )
