"""Passes of a cluster of many workers whose tasks do nothing: what scheduling alone takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.rows import cluster_pass
from dkmeans.rows.leaf import Home, Leaf, LeafResult, Pass
from dkmeans.rows.walk import _worker
from tests.benchmarks.measure import Timing, seconds_of


def no_op_leaf(leaf: Leaf, shared: Pass, part: Any = None) -> LeafResult:
    """Return what a leaf gives, of the size that it has, at once; all its blocks are kept here."""
    centers, origin = shared.requests[0].broadcast
    partial = ClusterSums(
        origin,
        np.ones(len(centers)),
        np.array(centers),
        np.ones(len(centers)),
        leaf.n_source_rows or len(leaf.blocks),
    )
    n_rows = partial.n_rows
    home = Home(leaf.number, _worker(), True)
    return LeafResult((partial,), n_rows, n_rows, homes=(home,))


@contextmanager
def many_workers(n_workers: int, protocol: str) -> Iterator[Client]:
    """Workers of one thread each, all in this process.

    `protocol` is "inproc", which hands objects over, or "tcp", which sends them through sockets.
    """
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=False,
            protocol=protocol,
            dashboard_address=":0",
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(n_workers, timeout=120)
        yield client


def seconds_a_pass(client: Client, n_leaves: int, k: int, d: int, n_runs: int) -> Timing:
    """Time passes of so many leaves, one before those that count."""
    centers, origin = np.zeros((k, d)), np.zeros(d)
    # a part of one row each is what becomes a leaf
    X = np.zeros((n_leaves, d), np.float32)
    real = cluster_pass.run_leaf
    cluster_pass.run_leaf = no_op_leaf
    try:
        with dkmeans.Rows.from_array(X, block_rows=1, stage="memory", client=client) as rows:
            assert len(rows.layout.leaves) == n_leaves
            times = [
                seconds_of(rows.reduce, ClusterSums.from_block, centers, origin)
                for _ in range(1 + n_runs)
            ]
    finally:
        cluster_pass.run_leaf = real
    return Timing(tuple(times[1:]))
