"""The map from the units of the data to the space where distances are measured."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np

from dkmeans.errors import ArgumentError, ConstantFeature
from dkmeans.kernels.block import TILE_ROWS, Array
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles

LinearName = Literal["standard", "minmax", "maxabs", "robust"]
LINEAR: tuple[LinearName, ...] = ("standard", "minmax", "maxabs", "robust")
SCALES = (*LINEAR, "normalize")
"""What `scale=` may be, None apart."""

_FEW_ROWS = 256
"""Are scaled all at once: to take them feature by feature costs a microsecond for each."""

NormName = Literal["l1", "l2", "max"]
NORMS: tuple[NormName, ...] = ("l1", "l2", "max")


@dataclass(frozen=True, eq=False)
class Scaling:
    """`(x - shift) / factor`, feature by feature."""

    kind: LinearName
    """How it was found: "standard" (mean 0, variance 1), "minmax" (0 to 1), "maxabs" (greatest
    absolute value 1) or "robust" (median 0, interquartile range 1)."""

    shift: Array
    """`(n_features,)` float64, in the units of the data."""

    factor: Array
    """`(n_features,)` float64, in the units of the data, never zero."""

    @cached_property
    def name(self) -> str:
        """A short name, equal for equal scalings."""
        digest = hashlib.sha256(self.shift.tobytes() + self.factor.tobytes())
        return digest.hexdigest()[:16]

    @classmethod
    def from_moments(cls, kind: str, moments: Moments, names: Sequence[str] | None = None) -> Self:
        """Scale by the moments of all rows.

        A constant feature keeps its unit, with a warning.

        Parameters
        ----------
        kind
            "standard", "minmax" or "maxabs".
        moments
            Of rows that have some weight.
        names
            Names of the features, for the warning.

        Raises
        ------
        ArgumentError
            If the kind is another.
        """
        constant = moments.constant
        if kind == "standard":
            linear = cls("standard", moments.mean, np.sqrt(moments.variance))
        elif kind == "minmax":
            linear = cls("minmax", moments.minimum, moments.maximum - moments.minimum)
            constant = constant | _tiny(linear.factor)
        elif kind == "maxabs":
            largest = np.maximum(np.abs(moments.minimum), np.abs(moments.maximum))
            linear = cls("maxabs", np.zeros(len(largest)), largest)
            constant = _tiny(largest)
        else:
            raise ArgumentError(f"scale={kind!r} does not follow from moments.")
        what = "zero" if kind == "maxabs" else "constant"
        _warn_of(constant, f"are {what}", "do not matter", names)
        return cls(linear.kind, linear.shift, np.where(constant, 1.0, linear.factor))

    @classmethod
    def from_quantiles(
        cls,
        quantiles: Quantiles,
        names: Sequence[str] | None = None,
        percents: tuple[float, float] = (25.0, 75.0),
    ) -> Self:
        """Scale the median to 0 and the range between two percentiles to 1.

        A feature whose percentiles are equal keeps its unit, with a warning.

        Parameters
        ----------
        quantiles
            Of rows that have some weight.
        names
            Names of the features, for the warning.
        percents
            Which percentiles, from 0 to 100.
        """
        low, high = (quantiles.quantile(percent / 100) for percent in percents)
        equal = _tiny(high - low)
        what = f"have one value at percentiles {percents[0]:g} and {percents[1]:g}"
        _warn_of(equal, what, "keep their unit", names)
        return cls("robust", quantiles.quantile(0.5), np.where(equal, 1.0, high - low))

    def transform(self, X: Array) -> Array:
        """Map rows `(n_rows, n_features)` to scaled units, in `X`'s dtype, feature-major."""
        if len(X) <= _FEW_ROWS:
            few = X.astype(np.float64, order="F")
            few -= self.shift
            few /= self.factor
            return few.astype(X.dtype)
        out = np.empty(X.shape, X.dtype, order="F")
        for feature in range(X.shape[1]):
            for start in range(0, len(X), TILE_ROWS):
                rows = slice(start, start + TILE_ROWS)
                column = X[rows, feature].astype(np.float64)
                column -= self.shift[feature]
                column /= self.factor[feature]
                out[rows, feature] = column
        return out

    def inverse_transform(self, X: Array) -> Array:
        """Map rows `(n_rows, n_features)` back to the units of the data, float64."""
        return X * self.factor + self.shift


@dataclass(frozen=True)
class Normalization:
    """`x / norm(x)`, row by row. Rows of zeros stay what they are."""

    kind: ClassVar[Literal["normalize"]] = "normalize"

    norm: NormName = "l2"
    """"l1" (sum of the absolute values), "l2" (Euclidean length) or "max" (greatest absolute
    value)."""

    @property
    def name(self) -> str:
        """A short name, equal for equal norms."""
        return f"normalize-{self.norm}"

    def transform(self, X: Array) -> Array:
        """Map rows `(n_rows, n_features)` to norm 1, in `X`'s dtype, feature-major."""
        out = np.empty(X.shape, X.dtype, order="F")
        for start in range(0, len(X), TILE_ROWS):
            rows = slice(start, start + TILE_ROWS)
            norms = self._norms(X[rows])
            # as scikit-learn takes rows for zero
            norms[norms < 10 * np.finfo(X.dtype).eps] = 1.0
            for feature in range(X.shape[1]):
                out[rows, feature] = X[rows, feature] / norms
        return out

    def _norms(self, X: Array) -> Array:
        """Norms of rows, `(n_rows,)` float64."""
        norms = np.zeros(len(X))
        for feature in range(X.shape[1]):
            column = np.abs(X[:, feature].astype(np.float64))
            if self.norm == "max":
                np.maximum(norms, column, out=norms)
            else:
                norms += column if self.norm == "l1" else column**2
        return np.sqrt(norms) if self.norm == "l2" else norms

    def inverse_transform(self, X: Array) -> Array:
        """Return rows as they are: their lengths are gone, but not their directions."""
        return X


AnyScaling = Scaling | Normalization


def _tiny(factor: Array) -> Array:
    """Which factors are zero but for rounding, `(n_features,)` bool, as scikit-learn has it."""
    return factor < 10 * np.finfo(np.float64).eps


def _warn_of(which: Array, what: str, so: str, names: Sequence[str] | None) -> None:
    if which.any():
        numbers = np.flatnonzero(which)
        shown = [repr(names[i]) if names else f"number {i}" for i in numbers[:5]]
        warnings.warn(
            f"{len(numbers)} of {len(which)} features {what} ({', '.join(shown)}"
            f"{', ...' if len(numbers) > 5 else ''}): they get scale 1 and {so}.",
            ConstantFeature,
            stacklevel=3,
        )
