"""Rows that benchmarks run on, and the one evaluator of what comes out."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVALUATED_ROWS = 20_000
"""Rows that are evaluated at a time."""


def mixture(
    n: int, d: int, k: int, seed: int = 0, spread: float = 2.0, even: bool = True
) -> np.ndarray:
    """Draw rows of unit noise around `k` centers, float32, row-major.

    Parameters
    ----------
    n, d, k
        Rows, features, components.
    seed
        The same gives the same rows.
    spread
        Standard deviation of the centers.
    even
        Whether components are equally likely, and equally wide; or log-normal in both.
    """
    random = np.random.default_rng(seed)
    centers = (spread * random.standard_normal((k, d))).astype(np.float32)
    shares = np.ones(k) if even else random.lognormal(0, 1, k)
    widths = np.ones(k) if even else random.lognormal(0, 0.3, k)
    which = random.choice(k, n, p=shares / shares.sum())
    X = random.standard_normal((n, d), dtype=np.float32)
    X *= widths.astype(np.float32)[which, None]
    X += centers[which]
    return X


def start_rows(X: np.ndarray, k: int, seed: int = 1) -> np.ndarray:
    """Choose `k` random rows to start from."""
    chosen = np.random.default_rng(seed).choice(len(X), k, replace=False)
    return np.ascontiguousarray(X[chosen])


def assigned(X: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, float]:
    """Labels and inertia of rows in memory, in float64."""
    centers = np.asarray(centers, np.float64)
    shift = centers.mean(axis=0)
    near_zero = centers - shift
    sq_norms = (near_zero**2).sum(axis=1)
    labels, inertia = np.empty(len(X), np.int64), 0.0
    for start in range(0, len(X), EVALUATED_ROWS):
        rows = X[start : start + EVALUATED_ROWS].astype(np.float64) - shift
        nearest = (sq_norms - 2 * rows @ near_zero.T).argmin(axis=1)
        labels[start : start + len(rows)] = nearest
        inertia += float(((rows - near_zero[nearest]) ** 2).sum())
    return labels, inertia


def inertia_of(X: np.ndarray, centers: np.ndarray) -> float:
    """Inertia of rows in memory under `centers`, in float64."""
    return assigned(X, centers)[1]


def lloyd_step(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Move centers to the means of their rows once, in float64; empty ones stay."""
    labels, _ = assigned(X, centers)
    moved = np.array(centers, np.float64)
    counts = np.bincount(labels, minlength=len(centers))
    for feature in range(X.shape[1]):
        sums = np.bincount(labels, weights=X[:, feature], minlength=len(centers))
        moved[counts > 0, feature] = sums[counts > 0] / counts[counts > 0]
    return moved


def inertia_of_parquet(folder: str | Path, centers: np.ndarray) -> float:
    """Inertia of all rows of a folder under `centers`, in float64."""
    total = 0.0
    for path in sorted(Path(folder).glob("**/*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(EVALUATED_ROWS):
            total += inertia_of(np.column_stack([one.to_numpy() for one in batch.columns]), centers)
    return total


def array_of_parquet(folder: str | Path) -> np.ndarray:
    """Return all rows of a folder as one array, as who has no better tool loads them."""
    table = pq.read_table(folder)
    return np.column_stack([column.to_numpy() for column in table.columns])


def write_parquet(
    folder: str | Path, X: np.ndarray, n_files: int | list[int] = 4, groups: int = 4
) -> str:
    """Write rows as Parquet files of several row groups; return the folder.

    `n_files` may be the indices where files begin, the first left out.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(X, n_files)):
        table = pa.table({f"f{i}": part[:, i] for i in range(X.shape[1])})
        size = max(1, -(-len(part) // groups))
        pq.write_table(
            table, Path(folder, f"{number:04}.parquet"), row_group_size=size, use_dictionary=False
        )
    return str(folder)
