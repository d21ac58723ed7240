"""What a fit tells the user's callbacks, and how they stop it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.models.scaling import AnyScaling


@dataclass(frozen=True, eq=False)
class Event:
    """A pass or a mini-batch step that is over.

    Of several restarts that share a pass, it is about the one of least inertia among those that
    took part.
    """

    kind: Literal["pass", "step"]
    """Over all rows, or over a batch of them."""

    name: str
    """What the pass or step was, as in `history_`: "iteration 3"."""

    number: int
    """Of the pass or step in this fit, from 1; those before a resume are counted."""

    inertia: float | None
    """Of the rows that were read, in the scaled space, under the centers that *entered* the pass or
    step; None for passes that have none: those before the first iteration, and relocations."""

    gain: float | None
    """What moving those centers to their rows' means lowers the inertia by, labels fixed; None as
    for `inertia`."""

    rows: int
    """Rows that were visited, dropped ones included."""

    seconds: float
    """Wall time."""

    centers: Array | None
    """`(n_clusters, n_features)` float64, read-only, in the units of X: where the centers are
    *after* the pass or step, which is where they enter the next one; None while seeding has not
    ended."""


def pass_event(record: Mapping[str, Any], number: int, centers: Array | None = None) -> Event:
    """Return the event of a pass that history has a `record` of."""
    return Event(
        "pass",
        record["kind"],
        number,
        record["inertia"],
        record["gain"],
        record["rows_read"],
        record["seconds"],
        centers,
    )


Callback = Callable[[Event], object]
"""Called after each pass or step; the fit ends if it returns True.

It may have methods that hear of the fit as a whole, too:

- `began(parameters)`, before the first pass, with a mapping of what was asked for;
- `ended(model)`, with the fitted `Model`;
- `failed(error)`, in place of `ended`, with the exception that ends the fit.
"""


class Callbacks:
    """The callbacks of one fit.

    Parameters
    ----------
    callbacks
        A list or tuple of callables; None for none.

    Raises
    ------
    ArgumentError
        If it is something else.
    """

    def __init__(self, callbacks: Any = None) -> None:
        if not isinstance(callbacks, (list, tuple, type(None))):
            raise ArgumentError(
                f"callbacks={callbacks!r} should be a list of callables; pass [{callbacks!r}]."
                if callable(callbacks)
                else f"callbacks={callbacks!r} should be a list of callables."
            )
        self._callbacks: list[Any] = list(callbacks or ())
        for i, callback in enumerate(self._callbacks):
            if isinstance(callback, type) or not callable(callback):
                raise ArgumentError(
                    f"callbacks[{i}]={callback!r} should be a function of an event, or an object "
                    "that can be called with one."
                )
        self._open: list[Any] = []
        """Those that have heard of the fit's beginning and not of its end."""

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def tell(self, event: Event) -> bool:
        """Call all with `event`; return whether one returned True."""
        stops = False
        for callback in self._callbacks:
            with _named(callback, f"told of {event.kind} {event.number} ({event.name})"):
                answer = callback(event)
            # anything else that a function happens to return is no answer
            stops |= isinstance(answer, (bool, np.bool_)) and bool(answer)
        return stops

    def began(self, parameters: Mapping[str, Any]) -> None:
        """Tell those that want to know that the fit begins."""
        for callback in self._callbacks:
            self._open.append(callback)
            if hasattr(callback, "began"):
                with _named(callback, "told of the beginning"):
                    callback.began(parameters)

    def ended(self, model: Model) -> None:
        """Tell those that want to know that the fit has ended."""
        while self._open:
            callback = self._open[0]
            if hasattr(callback, "ended"):
                with _named(callback, "told of the end"):
                    callback.ended(model)
            self._open.pop(0)

    def failed(self, error: BaseException) -> None:
        """Tell those that want to know, and have not heard of its end, that the fit fails."""
        while self._open:
            callback = self._open.pop(0)
            if hasattr(callback, "failed"):
                try:
                    callback.failed(error)
                except Exception as another:
                    # the first error is what the user must see
                    error.add_note(f"The callback {_name(callback)} failed, too: {another!r}")


def check_on_interrupt(on_interrupt: str) -> None:
    """Raise `ArgumentError` if it is no way to deal with an interrupt."""
    if on_interrupt not in ("raise", "return"):
        raise ArgumentError(f"on_interrupt={on_interrupt!r} is not known; use 'raise' or 'return'.")


def centers_seen(scaled_centers: Array, scaling: AnyScaling | None) -> Array:
    """Return centers as an event has them: in the units of X, a read-only copy."""
    centers = (
        scaled_centers.copy() if scaling is None else scaling.inverse_transform(scaled_centers)
    )
    centers.setflags(write=False)
    return centers


@contextmanager
def _named(callback: Any, when: str) -> Iterator[None]:
    """Say in what a callback raises that it was this one."""
    try:
        yield
    except Exception as error:
        error.add_note(f"Raised by the callback {_name(callback)}, {when}.")
        raise


def _name(callback: Any) -> str:
    return str(getattr(callback, "__qualname__", type(callback).__qualname__))
