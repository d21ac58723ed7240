"""The scaler of rows."""

from typing import Any

from sklearn import preprocessing

from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.scaling import scaling_request
from dkmeans.errors import ArgumentError
from dkmeans.estimators.scaler import Scaler
from dkmeans.models.scaling import NORMS, Normalization, NormName
from dkmeans.rows.rows import Rows


class Normalizer(Scaler):
    """Scale each row to norm 1; rows of zeros stay what they are.

    Nothing is learned but which features there are: `fit` and `partial_fit` only check rows
    that are in memory, and read no others, weights do not matter, and there is no way back.

    Parameters
    ----------
    norm
        "l1" (sum of the absolute values), "l2" (Euclidean length) or "max" (greatest absolute
        value).

    Attributes
    ----------
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> Normalizer().fit_transform([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """

    def __init__(self, norm: NormName = "l2") -> None:
        self.norm = norm

    def _see(self, rows: Rows) -> None:
        if all(isinstance(part, tuple) for part in rows.layout.parts):
            asked = scaling_request(rows, "normalize")
            seen = rows.reduce(asked.from_block, *asked.broadcast)
            check_enough(seen.n_rows, seen.weight, 1)

    def _check_parameters(self) -> None:
        if self.norm not in NORMS:
            raise ArgumentError(f"norm={self.norm!r} is not known; use 'l1', 'l2' or 'max'.")

    def _scaling(self) -> Normalization:
        return Normalization(self.norm)

    def _sklearn(self) -> Any:
        return preprocessing.Normalizer(self.norm)
