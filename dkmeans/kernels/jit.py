"""Compile a function, and keep what is compiled for other processes."""

import logging
from collections.abc import Callable
from typing import Any

from numba import njit

log = logging.getLogger(__name__)


def jitted(function: Callable[..., Any], signature: Any = None) -> Callable[..., Any]:
    """Compile `function`, to run without Python's lock.

    What is compiled is kept in the folder that `NUMBA_CACHE_DIR` names, else beside the function's
    file, else in the user's cache folder; where none can be written, each process compiles anew.

    Parameters
    ----------
    function
        What to compile.
    signature
        Of what types, now; None for those that it is called with, when it is.
    """
    try:
        return njit(signature, nogil=True, cache=True)(function)
    except (RuntimeError, OSError) as error:
        log.info("what is compiled is not kept, set NUMBA_CACHE_DIR: %s", error)
        return njit(signature, nogil=True)(function)
