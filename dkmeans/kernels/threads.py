"""One BLAS thread while kernels run: tasks are the parallelism, and several threads change bits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import threadpoolctl
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limiter = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _take_over() -> None:
    # threadpoolctl 3.8 ignores all but the first living thread that set a limit, silently
    clear = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread until the last concurrent user of this context leaves it.

    The limit belongs to the process, so it is counted: with one limiter per task, the first task to
    end would lift it for those that still run.
    """
    global _users, _limiter
    with _lock:
        if _users == 0:
            _take_over()
            _limiter = _controller().limit(limits=1, user_api="blas")
            _take_over()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limiter is not None:
                _take_over()
                _limiter.restore_original_limits()
                _take_over()
                _limiter = None
