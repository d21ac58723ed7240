"""Weight, sum and sum of squares of the rows of each label, whatever the labels are."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.kernels.block import Array, Block, Labels
from dkmeans.kernels.sums import sums_by_label, weight_by_label
from dkmeans.partials.contingency import ordered


@dataclass(frozen=True, eq=False)
class LabelledSums:
    """What rows contribute to the label that they came with; labels are met as they come."""

    origin: Array
    """`(n_features,)` float64: the point that `sums` and `sq_sums` are measured from."""

    values: tuple[Any, ...]
    """The labels seen, in order: numbers before text, ascending."""

    weight: Array
    """`(n_labels,)` float64: sum of the sample weights."""

    sums: Array
    """`(n_labels, n_features)` float64: weighted sum of `x - origin`."""

    sq_sums: Array
    """`(n_labels,)` float64: weighted sum of `||x - origin||^2`."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls, origin: Array) -> Self:
        """Return the contribution of no rows."""
        return cls(origin, (), np.empty(0), np.empty((0, len(origin))), np.empty(0), 0)

    @classmethod
    def from_block(cls, block: Block, origin: Array) -> Self:
        """Add up the rows of `block` by the first of its labels."""
        so_far = cls.zero(origin)
        for _, tile in block.tiles():
            so_far = so_far.merge(cls._of_tile(tile, tile.labels[0], origin))
        return so_far

    @classmethod
    def _of_tile(cls, block: Block, labels: Labels, origin: Array) -> Self:
        n = len(labels.values)
        sq_norms = np.zeros(block.n_rows)
        for feature in range(block.n_features):
            column = block.X[:, feature].astype(np.float64)
            column -= origin[feature]
            sq_norms += column**2
        if block.weight is not None:
            sq_norms *= block.weight
        every = cls(
            origin,
            labels.values,
            weight_by_label(labels.codes, block.weight, n),
            sums_by_label(block.X, labels.codes, block.weight, origin, n),
            weight_by_label(labels.codes, sq_norms, n),
            block.n_rows,
        )
        seen = np.bincount(labels.codes, minlength=n) > 0
        kept = [value for value, is_seen in zip(labels.values, seen, strict=True) if is_seen]
        return every._among(ordered(kept))

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        values = ordered(self.values + other.values)
        ours, theirs = self._among(values), other._among(values)
        return type(self)(
            self.origin,
            values,
            ours.weight + theirs.weight,
            ours.sums + theirs.sums,
            ours.sq_sums + theirs.sq_sums,
            self.n_rows + other.n_rows,
        )

    def _among(self, values: tuple[Any, ...]) -> Self:
        """Return the same in the order of `values`, with zeros for labels that we have not seen."""
        if values == self.values:
            return self
        place = {value: i for i, value in enumerate(self.values)}
        n = len(self.values)
        # one more row stands for what is not there
        at = np.array([place.get(value, n) for value in values], np.intp)
        pad = [(0, 1)]
        return type(self)(
            self.origin,
            values,
            np.pad(self.weight, pad)[at],
            np.pad(self.sums, [*pad, (0, 0)])[at],
            np.pad(self.sq_sums, pad)[at],
            self.n_rows,
        )
