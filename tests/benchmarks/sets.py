"""Sets of rows on which the quality of fits is told: drawn from a seed, or read from files.

Those drawn are the same wherever they are drawn; those read are skipped where the files are not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.data import write_parquet

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Where the files are."""

LARGE = 100_000
"""From so many rows on, a set is read from Parquet, and a coreset takes a tenth of it at most."""

N_FILES = 64
N_DRAWN = 1_000_000
QUICK = 20
"""Small sizes have so many times fewer rows."""

GAUSS_D, GAUSS_K = 15, 50
MIXED_D, MIXED_K = 16, 100
TAIL_EXPONENT, TAIL_LEAST = 2.5, 10
"""Sizes of clusters fall with this power of their rank, down to so many rows."""

TAIL_SMALL, TAIL_NEAR, TAIL_FAR = 1_000, 10.0, 100.0
"""Clusters below so many rows lie far away: standard deviations of the centers of both kinds."""


class SetAbsent(Exception):
    """The file of a set is not here."""


@dataclass(frozen=True)
class Drawn:
    """The rows of a set."""

    X: np.ndarray
    """`(n_samples, n_features)`, in the units that are read."""

    cuts: tuple[int, ...] = ()
    """Where the rows are cut into files; evenly if there are none."""

    def write(self, folder: str | Path) -> str:
        """Write the rows as Parquet files, in their order; return the folder."""
        return write_parquet(folder, self.X, list(self.cuts) or N_FILES, groups=1)


@dataclass(frozen=True)
class Case:
    """A set, and how many clusters are looked for in it."""

    name: str
    k: int
    draw: Callable[[int], Drawn]
    """Returns the rows; told how many times fewer than all."""

    scale: str | None = None
    alike: str = ""
    """Another set, whose rows these are in another order: what is known of it holds here."""

    n_reference_seeds: int = 11
    """Seeds of the reference; fewer where one takes many minutes."""

    most_median: float = 1.003
    most_worst: float = 1.03
    """Targets: the inertia in units of the reference's median."""

    @property
    def key(self) -> str:
        """A name of its own."""
        return f"{self.name}-{self.k}"


def chosen(names: str | None) -> list[Case]:
    """Return the cases of some sets, by `name` or `name-k` and separated by commas; None for all.

    Raises
    ------
    SystemExit
        If there is no such set.
    """
    if names is None:
        return list(CASES)
    wanted = names.split(",")
    known = {one.name for one in CASES} | {one.key for one in CASES}
    for name in wanted:
        if name not in known:
            raise SystemExit(f"--sets {name} is not known; choose from {', '.join(sorted(known))}.")
    return [one for one in CASES if one.name in wanted or one.key in wanted]


def around(centers: np.ndarray, sizes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `sizes` rows of unit noise around `centers`, in random order.

    Returns
    -------
    tuple
        The rows, float32, and which center each was drawn around.
    """
    random = np.random.default_rng(seed)
    which = random.permutation(np.repeat(np.arange(len(centers)), sizes))
    X = random.standard_normal((len(which), centers.shape[1]), dtype=np.float32)
    X += centers.astype(np.float32)[which]
    return X, which


def gauss(variance: float) -> Callable[[int], Drawn]:
    """GaussMixture: clusters of unit variance, their centers of a given one.

    References
    ----------
    .. [1] B. Bahmani et al., "Scalable k-means++", VLDB 2012.
    """

    def draw(fewer: int) -> Drawn:
        n = N_DRAWN // fewer
        random = np.random.default_rng(15)
        centers = np.sqrt(variance) * random.standard_normal((GAUSS_K, GAUSS_D))
        sizes = random.multinomial(n, np.full(GAUSS_K, 1 / GAUSS_K))
        return Drawn(around(centers, sizes, seed=16)[0])

    return draw


def tail_sizes(n: int) -> np.ndarray:
    """Return how many of `n` rows each cluster of the heavy tail has, the largest first."""
    shares = np.arange(1, MIXED_K + 1) ** -TAIL_EXPONENT
    sizes = np.maximum(TAIL_LEAST, np.round(n * shares / shares.sum()).astype(int))
    sizes[0] += n - sizes.sum()
    return sizes


def heavy_tail(fewer: int) -> Drawn:
    """Clusters of power-law sizes, the small ones far away; some have just a few rows."""
    sizes = tail_sizes(N_DRAWN // fewer)
    centers = np.random.default_rng(17).standard_normal((MIXED_K, MIXED_D))
    far = sizes < TAIL_SMALL
    centers *= np.where(far, TAIL_FAR, TAIL_NEAR)[:, None]
    return Drawn(around(centers, sizes, seed=18)[0])


def mixed(fewer: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows around centers that lie apart, in random order, and the center of each."""
    random = np.random.default_rng(19)
    centers = 2 * random.standard_normal((MIXED_K, MIXED_D))
    sizes = random.multinomial(N_DRAWN // fewer, np.full(MIXED_K, 1 / MIXED_K))
    return around(centers, sizes, seed=20)


def in_random_order(fewer: int) -> Drawn:
    """The mixture as it is drawn."""
    return Drawn(mixed(fewer)[0])


def by_feature(fewer: int) -> Drawn:
    """The mixture sorted by its first feature."""
    X, _ = mixed(fewer)
    return Drawn(X[np.argsort(X[:, 0], kind="stable")])


def by_cluster(fewer: int) -> Drawn:
    """The mixture, each of its clusters a file."""
    X, which = mixed(fewer)
    sizes = np.bincount(which, minlength=MIXED_K)
    return Drawn(X[np.argsort(which, kind="stable")], tuple(np.cumsum(sizes)[:-1].tolist()))


def of_file(name: str) -> Callable[[int], Drawn]:
    """All numeric columns of a file but its label, in the order of the file."""

    def draw(fewer: int) -> Drawn:
        path = SHARED / f"{name}.parquet"
        if not path.exists():
            raise SetAbsent(f"{path.name} is not in {SHARED}")
        table = pq.read_table(path)
        columns = [
            _values(table[field.name])
            for field in table.schema
            if field.name != "label" and not _is_text(field.type)
        ]
        return Drawn(np.ascontiguousarray(np.column_stack(columns)[::fewer]))

    return draw


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers, or of lists of one length."""
    if pa.types.is_fixed_size_list(column.type):
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), -1)
    return column.to_numpy()


CASES = (
    Case("unbalance", 8, of_file("sipu_unbalance")),
    Case("a3", 50, of_file("sipu_a3")),
    Case("spam", 20, of_file("spambase")),
    Case("spam", 50, of_file("spambase")),
    Case("spam", 100, of_file("spambase")),
    Case("skin", 25, of_file("skin_segmentation")),
    Case("gauss-100", GAUSS_K, gauss(100)),
    Case("gauss-10", GAUSS_K, gauss(10)),
    Case("mixture", MIXED_K, in_random_order),
    Case("by-feature", MIXED_K, by_feature, alike="mixture"),
    Case("by-cluster", MIXED_K, by_cluster, alike="mixture"),
    Case("kddcup", 50, of_file("kddcup99_10pct")),
    Case("kddcup-standard", 50, of_file("kddcup99_10pct"), scale="standard"),
    Case("mnist", 100, of_file("mnist_train_embedding")),
    Case("heavy-tail", MIXED_K, heavy_tail, most_median=1.0),
    Case("gauss-1", GAUSS_K, gauss(1)),
    Case("kddcup", 500, of_file("kddcup99_10pct"), n_reference_seeds=5),
    Case("kddcup-standard", 500, of_file("kddcup99_10pct"), scale="standard", n_reference_seeds=5),
)
"""All of them, those with the cheapest references first."""
