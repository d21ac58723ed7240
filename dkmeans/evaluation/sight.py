"""Requests that see rows filled and scaled share a pass with those that see them as stored.

Run by the tasks of a pass.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from dkmeans.evaluation.passes import Wants
from dkmeans.kernels.block import Block
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.base import Partial
from dkmeans.rows.requests import Reduce, Request, Scan, State

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Sight:
    """What rows go through before a request sees them."""

    filling: Filling | None = None
    scaling: AnyScaling | None = None

    @classmethod
    def filled(cls, model: Model) -> Self:
        """Fill in what rows lack, as a model does."""
        return cls(model.filling)

    @classmethod
    def scaled(cls, model: Model) -> Self:
        """Fill in, and scale to the space where a model measures distances."""
        return cls(model.filling, model.scaling)

    def of(self, block: Block) -> Block:
        """Return a block as it is seen."""
        X = block.X
        for step in (self.filling, self.scaling):
            X = X if step is None else step.transform(X)
        return block if X is block.X else replace(block, X=X)

    def asked(self, request: Request) -> Request:
        """Return the request of rows as they are stored that sees them so."""
        if self.filling is None and self.scaling is None:
            return request
        if isinstance(request, Reduce):
            return Reduce(request.kind, _reduced, (self, request.from_block, *request.broadcast))
        broadcasts = tuple((self, request.step, *one) for one in request.broadcasts)
        return Scan(request.kind, _stepped, broadcasts, request.name, request.last)

    def through(self, wants: Wants[_T]) -> Wants[_T]:
        """Return the evaluation that sees rows so."""
        told: Any = None
        while True:
            try:
                request = wants.send(told)
            except StopIteration as end:
                return end.value
            told = yield self.asked(request)


def one_request(request: Request) -> Wants[Any]:
    """Return the evaluation that wants the answer to one request."""
    found = yield request
    return found


def _reduced(
    block: Block, sight: Sight, from_block: Callable[..., Partial], *broadcast: Any
) -> Partial:
    return from_block(sight.of(block), *broadcast)


def _stepped(
    block: Block,
    state: State,
    sight: Sight,
    step: Callable[..., tuple[Partial, State]],
    *broadcast: Any,
) -> tuple[Partial, State]:
    return step(sight.of(block), state, *broadcast)
