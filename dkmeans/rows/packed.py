"""Values as they travel to workers: the scheduler neither reads them nor writes them again."""

import pickle
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import Any

from distributed.protocol.pickle import dumps


@dataclass(frozen=True)
class Packed:
    """A value, pickled once for all tasks that it is sent with."""

    pickled: bytes

    @classmethod
    def of(cls, value: Any) -> "Packed":
        """Pickle a value."""
        return cls(bytes(dumps(value)))

    def __dask_tokenize__(self) -> str:
        """Stand for what is in it: Dask would hash it, and our tasks have unique names anyway."""
        return type(self).__name__


def is_small(value: Any, most_bytes: int) -> bool:
    """Whether a value, pickled, has no more than so many bytes; arrays are not copied for that."""
    buffers: list[PickleBuffer] = []
    head = dumps(value, buffer_callback=buffers.append)
    return len(head) + sum(buffer.raw().nbytes for buffer in buffers) <= most_bytes


def unpacked(value: Any) -> Any:
    """Return what was packed; what was not, as it is."""
    return pickle.loads(value.pickled) if isinstance(value, Packed) else value
