"""What is the same for all leaves of a pass, on its way to workers."""

import uuid
import warnings
from typing import Any

from distributed import Client, Future

from dkmeans.rows.leaf import Pass
from dkmeans.rows.packed import Packed, is_small, unpacked

SMALL_BYTES = 256 * 2**10
"""What is no larger than this goes along with each task.

Else it is a key of its own: sent once to each worker, and computed again if that worker is lost.
For that each worker asks another, tells the scheduler, and is told to forget it.
"""


class Shared:
    """A value that goes along with tasks, or a key that they find it under."""

    def __init__(self, client: Client, value: Pass) -> None:
        self._client, self._value = client, value
        self._packed = Packed.of(value) if is_small(value, SMALL_BYTES) else None
        self._key: Future[Any] | None = None

    def argument(self, may_move: bool = False) -> Packed | Future[Any]:
        """Return what a task gets, that prefers a worker and `may_move`, or not."""
        # Dask forgets tasks that prefer a worker, if all workers die: it looks at them again only
        # once what they depend on is there again
        if self._packed is not None and not may_move:
            return self._packed
        if self._key is None:
            key = f"dkmeans-shared-{uuid.uuid4().hex}"
            with warnings.catch_warnings():
                # there may be more candidates of k-means|| than Dask thinks good to send
                warnings.filterwarnings("ignore", "Sending large graph")
                self._key = self._client.submit(unpacked, self._value, key=key)
        return self._key

    def release(self) -> None:
        """Let workers forget it."""
        if self._key is not None:
            self._key.release()
