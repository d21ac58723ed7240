"""Connect to a scheduler that runs, or start a cluster on this machine."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

import dask
from dask.utils import parse_bytes
from distributed import Client, LocalCluster, Security, rpc

from dkmeans.errors import ArgumentError, ClusterUnreachable

CONNECT_SECONDS = 20


@contextmanager
def connected(
    address: str,
    *,
    tls_ca: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
) -> Iterator[Client]:
    """Connect to the scheduler at `address`.

    Raises
    ------
    ClusterUnreachable
        If nobody answers within `CONNECT_SECONDS`.
    """
    security = None
    if tls_ca or tls_cert or tls_key:
        if not (tls_ca and tls_cert and tls_key):
            raise ArgumentError("TLS needs all of --tls-ca, --tls-cert and --tls-key.")
        security = Security(
            tls_ca_file=tls_ca,
            tls_client_cert=tls_cert,
            tls_client_key=tls_key,
            require_encryption=True,
        )
        try:
            security.get_connection_args("client")
        except OSError as error:
            raise ArgumentError(
                f"the TLS files {tls_ca}, {tls_cert} and {tls_key} cannot be used: {error}; "
                "check --tls-ca, --tls-cert and --tls-key."
            ) from None
    try:
        asyncio.run(asyncio.wait_for(_greet(address, security), CONNECT_SECONDS))
        client = Client(address, timeout=CONNECT_SECONDS, security=security)
    except (TimeoutError, OSError, ValueError, TypeError) as error:
        raise ClusterUnreachable(
            f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s "
            f"({type(error).__name__}); check the address and that it runs."
        ) from None
    with client:
        yield client


@contextmanager
def local_cluster(n_workers: int, memory: str) -> Iterator[Client]:
    """Start single-threaded workers of `memory` each on this machine, and stop them at the end.

    One that does not answer for a minute is given up, so that a frozen one holds nobody up for
    long. Tasks of dead workers are submitted again by whoever waits for them.
    """
    if n_workers < 1:
        raise ArgumentError(f"workers={n_workers} should be at least 1.")
    settings = {
        "distributed.scheduler.allowed-failures": 2,
        "distributed.scheduler.worker-ttl": dask.config.get("dkmeans.worker-ttl", "60s"),
    }
    with dask.config.set(settings):
        with _interrupts_held_back():
            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                memory_limit=worker_bytes(memory),
                dashboard_address="127.0.0.1:0",
                host="127.0.0.1",
                # of dropped tasks they only complain: what fails reaches us as an exception
                silence_logs=logging.CRITICAL,  # what fails reaches us as an exception
            )
        with cluster, Client(cluster) as client:
            yield client


async def _greet(address: str, security: Security | None) -> None:
    """Ask who is there: a Client waits for ever for something that listens and is no scheduler."""
    arguments = {} if security is None else security.get_connection_args("client")
    async with rpc(address, timeout=CONNECT_SECONDS, connection_args=arguments) as there:
        await there.identity()


def worker_bytes(memory: str) -> int:
    """Turn `4GiB` into bytes."""
    try:
        return int(parse_bytes(memory))
    except ValueError:
        raise ArgumentError(f"memory={memory!r} is not a size; write it as 4GiB.") from None


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Have processes that start meanwhile never see Ctrl-C: it is for us, and we stop them.

    Threads and processes inherit the mask of the thread that starts them, so that workers which
    are started again later do not see it either. An interrupt that comes meanwhile is delivered
    afterwards.
    """
    # multiprocessing unblocks the signal when it starts its tracker, so that comes first
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
