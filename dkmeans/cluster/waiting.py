"""Wait for results of a cluster as long as there is somebody who works on them."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker
from distributed.comm.core import CommClosedError

from dkmeans.cluster.preflight import no_workers_seconds
from dkmeans.errors import ClusterLost, WorkersUnfit

_POLL_SECONDS = 1.0
_SCHEDULER_SECONDS = 60.0
"""How long a scheduler may stay silent, and a result be on its way."""

_AGAIN = "run again, or resume from a checkpoint"


def workers_of(client: Client) -> dict[str, Any]:
    """Return what the scheduler says of its workers, by address.

    Raises
    ------
    ClusterLost
        If it does not answer.
    """
    try:
        scheduler: Any = client.scheduler
        identity = client.sync(
            scheduler.identity, n_workers=-1, callback_timeout=_SCHEDULER_SECONDS
        )
    except (TimeoutError, OSError, CommClosedError) as error:
        raise ClusterLost(
            f"the scheduler does not answer ({type(error).__name__}); {_AGAIN}."
        ) from None
    workers: dict[str, Any] = identity["workers"]
    return workers


OnLook = Callable[[Mapping[str, Any]], None]
"""Called about once a second with what the scheduler says of its workers."""


class Watch:
    """Knows since when nobody could work."""

    def __init__(self, client: Client, on_look: OnLook | None = None) -> None:
        self._client, self._on_look = client, on_look
        self._idle_since: float | None = None

    def look(self) -> None:
        """Raise `ClusterLost` if nobody has been able to work for too long."""
        if self._client.status != "running":
            raise ClusterLost(f"the connection to the scheduler was lost; {_AGAIN}.")
        workers = workers_of(self._client)
        if self._on_look is not None:
            self._on_look(workers)
        if any(worker["status"] == "running" for worker in workers.values()):
            self._idle_since = None
            return
        now = time.monotonic()
        self._idle_since = now if self._idle_since is None else self._idle_since
        limit = no_workers_seconds()
        if now - self._idle_since <= limit:
            return
        if not workers:
            raise ClusterLost(f"the cluster has had no workers for {limit:g} s; {_AGAIN}.")
        raise ClusterLost(
            f"all {len(workers)} workers have been paused for {limit:g} s, as Dask does when their "
            "memory is nearly full; give them more, or fewer threads each."
        )


def wait_for(
    client: Client,
    future: Future[Any],
    killed_as_lost: bool = False,
    on_look: OnLook | None = None,
) -> Any:
    """Return a result, once it is there.

    Parameters
    ----------
    client
        Of the cluster that computes it.
    future
        What to wait for.
    killed_as_lost
        Whether a task that killed its workers is an error that ends the job; else `KilledWorker`
        is raised.
    on_look
        Called now and then with the workers; what it raises ends the waiting.

    Raises
    ------
    ClusterLost
        If the scheduler is lost, or there has been nobody to work for
        `dkmeans.no-workers-timeout` seconds.
    """
    watch = Watch(client, on_look)
    _wait([future], watch)
    while True:
        try:
            return future.result(timeout=_SCHEDULER_SECONDS)
        except TimeoutError:
            if future.status == "error":
                raise
        except (CancelledError, CommClosedError):
            raise ClusterLost(f"the scheduler was lost during a pass; {_AGAIN}.") from None
        except KilledWorker as error:
            if not killed_as_lost:
                raise
            raise ClusterLost(
                f"a task killed every worker that ran it ({error.task}); give the workers more "
                "memory."
            ) from None
        except ImportError as error:
            raise WorkersUnfit(f"a worker cannot run dkmeans: {error}; install it there.") from None
        watch.look()


def wait_until_over(
    client: Client, futures: Iterable[Future[Any]], on_look: OnLook | None = None
) -> None:
    """Wait until each of some tasks has a result or an error; raises as `wait_for` does."""
    _wait(list(futures), Watch(client, on_look))


def _wait(futures: Sequence[Future[Any]], watch: Watch) -> None:
    # not by waits of Dask: those that time out leave cycles behind that hold on to futures
    over = threading.Semaphore(0)
    for future in futures:
        future.add_done_callback(lambda _: over.release())
    for _ in futures:
        while not over.acquire(timeout=_POLL_SECONDS):
            watch.look()
