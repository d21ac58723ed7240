"""The linear map from the units of the data to the space where distances are measured."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np

from dkmeans.errors import ArgumentError, ConstantFeature
from dkmeans.kernels.block import Array
from dkmeans.partials.moments import Moments

ScaleName = Literal["standard", "minmax"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """`(x - shift) / factor`, feature by feature."""

    kind: ScaleName
    """How it was found: "standard" (mean 0, variance 1) or "minmax" (0 to 1)."""

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
        """Scale by the moments of all rows; a constant feature keeps its unit, with a warning."""
        if kind == "standard":
            shift, factor = moments.mean, np.sqrt(moments.variance)
        elif kind == "minmax":
            shift, factor = moments.minimum, moments.maximum - moments.minimum
        else:
            raise ArgumentError(f"scale={kind!r} is not known; use 'standard', 'minmax' or None.")
        constant = moments.constant
        if constant.any():
            which = np.flatnonzero(constant)
            shown = [repr(names[i]) if names else f"number {i}" for i in which[:5]]
            warnings.warn(
                f"{len(which)} of {len(constant)} features are constant ({', '.join(shown)}"
                f"{', ...' if len(which) > 5 else ''}): they get scale 1 and do not matter.",
                ConstantFeature,
                stacklevel=2,
            )
        return cls(
            "standard" if kind == "standard" else "minmax", shift, np.where(constant, 1.0, factor)
        )

    def transform(self, X: Array) -> Array:
        """Map rows `(n_rows, n_features)` to scaled units, in `X`'s dtype, feature-major."""
        out = np.empty(X.shape, X.dtype, order="F")
        for feature in range(X.shape[1]):
            column = X[:, feature].astype(np.float64)
            column -= self.shift[feature]
            column /= self.factor[feature]
            out[:, feature] = column
        return out

    def inverse_transform(self, X: Array) -> Array:
        """Map rows `(n_rows, n_features)` back to the units of the data, float64."""
        return X * self.factor + self.shift
