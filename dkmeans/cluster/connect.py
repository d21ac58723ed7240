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

    Without files for TLS, those of Dask's own configuration are used, if there are some.

    Raises
    ------
    ArgumentError
        If the files for TLS are not all there, or cannot be used.
    ClusterUnreachable
        If nobody answers within `connect_seconds`.
    """
    security = Security()
    if tls_ca or tls_cert or tls_key:
        if not (tls_ca and tls_cert and tls_key):
            raise ArgumentError("TLS needs all of --tls-ca, --tls-cert and --tls-key.")
        security = Security(
            tls_ca_file=tls_ca,
            tls_client_cert=tls_cert,
            tls_client_key=tls_key,
            require_encryption=True,
        )
    if address.startswith("tls://"):
        _check(security)
    limit = connect_seconds()
    try:
        asyncio.run(asyncio.wait_for(_greet(address, security, limit), limit))
        client = Client(address, timeout=limit, security=security)
    except (TimeoutError, OSError, ValueError, TypeError) as error:
        raise ClusterUnreachable(
            f"no Dask scheduler answers at {address} within {limit:g} s "
            f"({type(error).__name__}); check the address and that it runs."
        ) from None
    with client:
        yield client


def connect_seconds() -> float:
    """How long to wait for a scheduler: `dkmeans.connect-timeout` of Dask's configuration."""
    return float(dask.config.get("dkmeans.connect-timeout", CONNECT_SECONDS))


def _check(security: Security) -> None:
    """Refuse TLS files that cannot be used; a connection would only say that it failed."""
    names = ("tls_ca_file", "tls_client_cert", "tls_client_key")
    files = [getattr(security, name) for name in names]
    if not all(files):
        return
    try:
        security.get_connection_args("client")
    except OSError as error:
        raise ArgumentError(
            f"the TLS files {', '.join(map(str, files))} cannot be used: {error}; check --tls-ca, "
            "--tls-cert and --tls-key, or distributed.comm.tls of Dask's configuration."
        ) from None


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


async def _greet(address: str, security: Security, limit: float) -> None:
    """Ask who is there: a Client waits for ever for something that listens and is no scheduler."""
    arguments = security.get_connection_args("client")
    async with rpc(address, timeout=limit, connection_args=arguments) as there:
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
