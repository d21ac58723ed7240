"""What requests are made for: when it is over, nobody waits for them any longer."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from contextvars import ContextVar
from typing import Any, Self, TypeVar

_T = TypeVar("_T")


class Errand:
    """Something that requests are made for, perhaps by several threads: a pass, a file's footer.

    Used as a context, it ends with it, however that is left: requests of it which still wait for
    their next attempt then fail, and new ones are not begun. It ends, too, when the errand ends
    that it was made within.
    """

    def __init__(self) -> None:
        self._outer = current()
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """Whether nobody wants to know any longer."""
        return self._is_over or (self._outer is not None and self._outer.is_over)

    def end(self) -> None:
        """Have its requests wait no longer."""
        self._is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def call(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call a function, in whatever thread: its requests are made for this errand."""
        token = _current.set(self)
        try:
            return function(*arguments)
        finally:
            _current.reset(token)


def call_all(pool: Executor, function: Callable[..., _T], items: Sequence[Any]) -> list[_T]:
    """Call `function(item)` for every item, in a pool, and return the results in order.

    The first call that fails ends them all: none is waited for that waits for a store.
    """
    with Errand() as errand:
        futures = [pool.submit(errand.call, function, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future in done:
                    future.result()
        finally:
            for future in futures:
                future.cancel()
        return [future.result() for future in futures]


_current: ContextVar[Errand | None] = ContextVar("errand", default=None)


def current() -> Errand | None:
    """Return what this thread makes requests for, if that is known."""
    return _current.get()


class GivenUp(Exception):
    """What was computed for an errand that is over: nobody hears of it."""


def check_wanted() -> None:
    """End what this thread computes, by `GivenUp`, once nobody waits for it any longer."""
    errand = current()
    if errand is not None and errand.is_over:
        raise GivenUp
