"""The block store of a worker: made and removed with it, and emptied when its client is gone."""

import asyncio
import logging
from typing import Any

import dask.config
from distributed import WorkerPlugin
from distributed.core import Status
from distributed.worker import Worker
from tornado.ioloop import PeriodicCallback

from dkmeans.rows.store import close_process_store, leases, release_lease

log = logging.getLogger(__name__)


def lease_seconds() -> float:
    """How often workers ask for their clients: `dkmeans.lease-seconds` of Dask's configuration."""
    return float(dask.config.get("dkmeans.lease-seconds", 30))


class BlockStores(WorkerPlugin):
    """Gives a worker's block store back what nobody will ask for again.

    A client that computes with us keeps one small result on the cluster, its lease. The scheduler
    forgets the lease when the client disconnects, however that comes about; a worker that finds it
    gone twice in a row forgets the client's blocks. When the scheduler is gone the worker stops,
    and its store with it.
    """

    name = "dkmeans-block-stores"

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._gone_before: set[str] = set()
        self._callback: PeriodicCallback | None = None

    def setup(self, worker: Worker) -> None:
        """Begin to watch the leases."""
        self._worker = worker
        self._callback = PeriodicCallback(self._look, self._seconds * 1000)
        worker.loop.add_callback(self._callback.start)

    async def teardown(self, worker: Worker) -> None:
        """Remove the store."""
        if self._callback is not None:
            self._callback.stop()
        # another client registers its own in our place: what is kept stays
        if worker.status not in (Status.running, Status.paused):
            await asyncio.to_thread(close_process_store)

    async def _look(self) -> None:
        known = leases()
        if not known:
            return
        try:
            holders: dict[str, Any] = await self._worker.scheduler.who_has(keys=sorted(known))
        except OSError:
            return
        gone = {lease for lease in known if not holders.get(lease)}
        for lease in gone & self._gone_before:
            log.info("the client of %s is gone: its blocks are removed", lease)
            await asyncio.to_thread(release_lease, lease)
        self._gone_before = gone
