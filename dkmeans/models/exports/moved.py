"""Centers as the kernels score them: measured from a point in their middle, in the model's dtype.

Forms that measure rows from the same point, with centers rounded alike, keep their digits at any
offset of the data, and break ties as the model does.
"""

from dataclasses import dataclass

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.numpy_tiles import about_middle, find_repeats
from dkmeans.models.model import Model


@dataclass(frozen=True, eq=False)
class Moved:
    """Centers about their middle."""

    middle: Array
    """`(n_features,)` of the model's dtype, in scaled units."""

    centers: Array
    """`(n_clusters, n_features)` of the model's dtype: what is left of each center."""

    is_repeat: Array
    """`(n_clusters,)` bool: centers that repeat an earlier one, and so have no rows."""

    @classmethod
    def of(cls, model: Model) -> "Moved":
        """Return the centers of a model so."""
        centers, middle = about_middle(model.scaled_centers, np.dtype(model.dtype))
        return cls(middle, centers, find_repeats(centers)[0])
