"""Arrays as the bytes of `.npy` files; nothing that a header says is trusted."""

import io
import math
from typing import Any

import numpy as np

from dkmeans.kernels.block import Array


def parse_npy(data: bytes, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> Array | None:
    """The array that `data` holds if it is of that type and shape; nothing is allocated before."""
    buffer = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(buffer)
        if version != (1, 0):
            return None
        found, fortran_order, found_dtype = np.lib.format.read_array_header_1_0(buffer)
    except (ValueError, TypeError, SyntaxError, EOFError):
        return None
    n_bytes = dtype.itemsize * math.prod(shape)
    if (found, found_dtype, fortran_order) != (shape, dtype, False):
        return None
    if len(data) - buffer.tell() != n_bytes:
        return None
    return np.frombuffer(data, dtype, offset=buffer.tell()).reshape(shape).copy()


def npy(array: Array) -> bytes:
    """Return the bytes of an array; it may not hold objects."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
