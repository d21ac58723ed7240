"""Results of consecutive leaves, merged as far as the tree allows.

The tree has fixed shape: leaves merge `FAN_IN` at a time, in order, and so do their merges. Which
leaves a task walks does not change it: a stretch holds what is merged already, and joining
neighbors, however they are cut, comes to the same value, to the bit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.leaf import LeafResult
from dkmeans.rows.walk import merge_results


@dataclass(frozen=True)
class Piece:
    """A node of the tree, as far as it is merged."""

    level: int
    """0 for a leaf, one more for each merge above it."""

    number: int
    """Its place among the nodes of its level."""

    n_children: int
    """Of its children, in order, so many are merged; of a leaf none."""

    result: LeafResult


@dataclass(frozen=True)
class Stretch:
    """What consecutive leaves contribute: few pieces, in order."""

    pieces: tuple[Piece, ...]

    @classmethod
    def of_leaf(cls, position: int, result: LeafResult) -> "Stretch":
        """Take the result of the leaf at a position of the pass."""
        return cls((Piece(0, position, 0, result),))

    @property
    def whole(self) -> LeafResult:
        """The result of the pass, once all of its leaves are joined."""
        (piece,) = self.pieces
        return piece.result


@dataclass(frozen=True)
class Lacking:
    """Leaves that lack blocks: neither in the store, nor sent along."""

    leaves: tuple[int, ...]
    """Their numbers."""


def joined(stretches: Iterable[Stretch], n_leaves: int) -> Stretch:
    """Join neighbors, in order, of a pass over so many leaves."""
    done: list[Piece] = []
    for piece in chain.from_iterable(stretch.pieces for stretch in stretches):
        _add(done, piece, n_leaves)
    return Stretch(tuple(done))


def join(found: Sequence[Stretch | Lacking], n_leaves: int) -> Stretch | Lacking:
    """Join neighbors, unless some lack blocks: then say which."""
    lacking = [one for one in found if isinstance(one, Lacking)]
    if lacking:
        return Lacking(tuple(chain.from_iterable(one.leaves for one in lacking)))
    return joined((one for one in found if isinstance(one, Stretch)), n_leaves)


def n_pieces(first: int, stop: int, n_leaves: int) -> int:
    """Return how many results the stretch of leaves `first` to `stop` holds."""
    total = 0
    while stop > first and n_leaves > 1:
        whole = -(-first // FAN_IN) * FAN_IN
        if whole >= stop:
            return total + stop - first
        total += whole - first
        end = n_leaves if stop == n_leaves else stop // FAN_IN * FAN_IN
        # of the last group, what is there is merged
        total += stop > end
        first, stop, n_leaves = (-(-at // FAN_IN) for at in (whole, end, n_leaves))
    return total + stop - first


def _add(done: list[Piece], piece: Piece, n_leaves: int) -> None:
    """Put a piece behind others, merged with what comes before it if its place is there."""
    n_below, n_here = _n_nodes(piece.level - 1, n_leaves), _n_nodes(piece.level, n_leaves)
    n_children = min(FAN_IN, n_below - FAN_IN * piece.number) if piece.level else 0
    if piece.n_children < n_children or n_here == 1:
        done.append(piece)
        return
    parent, place = divmod(piece.number, FAN_IN)
    if place == 0:
        _add(done, Piece(piece.level + 1, parent, 1, piece.result), n_leaves)
    elif done and _where(done[-1]) == (piece.level + 1, parent, place):
        result = merge_results([done.pop().result, piece.result])
        _add(done, Piece(piece.level + 1, parent, place + 1, result), n_leaves)
    else:
        done.append(piece)


def _where(piece: Piece) -> tuple[int, int, int]:
    return piece.level, piece.number, piece.n_children


def _n_nodes(level: int, n_leaves: int) -> int:
    return -(-n_leaves // FAN_IN**level) if level >= 0 else 0
