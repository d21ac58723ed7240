"""What may be rows of numbers, in words that scikit-learn's users and tools know."""

from typing import Any

import numpy as np

from dkmeans.errors import UnsupportedType
from dkmeans.kernels.block import Array


def numbers(X: Any) -> Array:
    """Return bare rows, an array or nested lists, as an array of real numbers of any dtype.

    Raises
    ------
    UnsupportedType
        If they are sparse, complex, text, times, or not numbers at all.
    """
    check_dense(X)
    try:
        out = np.asarray(X)
        check_kind(out.dtype)
        return out.astype(np.float64) if out.dtype.kind == "O" else out
    except (ValueError, TypeError) as error:
        if isinstance(error, UnsupportedType):
            raise
        raise UnsupportedType(f"X does not hold numbers: {error}") from None


def check_dense(X: Any) -> None:
    """Raise `UnsupportedType` for sparse matrices and arrays, SciPy's and others'."""
    if hasattr(X, "nnz") and hasattr(X, "todense"):
        raise UnsupportedType(
            f"X is sparse ({type(X).__name__}); sparse input is not supported. Pass X.toarray() "
            "if that fits in memory, else a Dask Array of dense chunks."
        )


def check_kind(dtype: Any) -> None:
    """Raise `UnsupportedType` for what NumPy would turn into numbers by dropping or parsing."""
    if dtype.kind == "c":
        raise UnsupportedType(
            f"Complex data not supported: X has dtype {dtype}. Pass real and imaginary parts as "
            "features of their own."
        )
    if dtype.kind not in "biufO":
        raise UnsupportedType(f"X does not hold numbers: its dtype is {dtype}.")


def wrong_dimensions(n_dimensions: int) -> str:
    """Say that rows have other than two dimensions."""
    said = f"X has {n_dimensions} dimensions; (n_samples, n_features) is expected."
    if n_dimensions != 1:
        return said
    return (
        f"{said} Reshape your data: X.reshape(-1, 1) if it is one feature, X.reshape(1, -1) if it "
        "is one row."
    )


def wrong_width(n_features: int, expected: int) -> str:
    """Say that rows have another number of features than the fit had."""
    return f"X has {n_features} features, but dkmeans is expecting {expected} features as input."
