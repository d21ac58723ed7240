"""Windows that slide over partitions, against refits of all their rows.

    python -m tests.benchmarks.windows DATA_FOLDER [--sets taxi,kddcup,kddcup-mixed,mixture]
        [--seeds 5] [--windows 4,12] [--every 1]

Data are cut into 24 partitions. For each window the model that `window_fit` finds, which reads new
partitions only, and a refit by `KMeans(init="coreset")` of all rows of the window, in the same
scale. Printed for each data set and length of window: bytes read, in units of the new partitions'
own; the inertia of all rows over that of the refit, mean and greatest over windows and seeds;
errors of the estimated inertia in units of its stated standard error; that error over the one of
a single coreset of the window; bytes that are kept of a partition, in kB, and over those of its
rows in memory.
"""

import argparse
import itertools
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dkmeans import CoresetStore, KMeans, Model, Rows, list_partitions, window_fit
from dkmeans.algorithms.coreset.precision import standard_error
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.windows.partition import draw
from dkmeans.errors import DkmeansWarning
from dkmeans.kernels.nearest import nearest

N_PARTITIONS = 24


@dataclass(frozen=True)
class Case:
    """A data set in 24 partitions, and how it is clustered."""

    name: str
    parts: list[np.ndarray]
    n_clusters: int
    coreset_size: int
    scale: str | None


@dataclass(frozen=True)
class Found:
    """What one window gave."""

    bytes_share: float
    """Bytes read, over those of the columns of the partitions that are new."""

    inertia_ratio: float
    """The inertia of all rows over that of the refit."""

    error: float
    """Of the estimate, in units of its stated standard error."""

    error_ratio: float
    """The stated standard error over that of one coreset of the window, if that was asked for."""

    relative_error: float
    """The stated standard error over the inertia."""

    start: str

    kept_kb: float
    """What is kept of a partition, on average."""

    kept_share: float
    """The same, over the bytes of its rows in memory."""

    seconds: float
    refit_seconds: float


def taxi(data: Path) -> Case:
    """Trips of 24 days, a partition a day: how far, how long, when, and between which zones."""
    table = pq.read_table(data / "green_taxi_2022_01.parquet")
    start = table.column("lpep_pickup_datetime").to_numpy().astype("datetime64[s]")
    end = table.column("lpep_dropoff_datetime").to_numpy().astype("datetime64[s]")
    day = start.astype("datetime64[D]")
    numbers = [table.column(name).to_numpy() for name in ("trip_distance", "PULocationID",
                                                          "DOLocationID")]  # fmt: skip
    hour, minutes = (start - day).astype(float) / 3600, (end - start).astype(float) / 60
    X = np.column_stack([*numbers, hour, minutes]).astype(np.float32)
    days = np.datetime64("2022-01-01") + np.arange(N_PARTITIONS)
    return Case("taxi", [X[day == one] for one in days], 8, 6_000, "standard")


def kddcup(data: Path, is_shuffled: bool = False) -> Case:
    """Connections; in stored order, partitions are very unlike each other."""
    table = pq.read_table(data / "kddcup99_10pct.parquet")
    numbers = [
        column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
        if name != "label"
        and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    ]
    X = np.column_stack(numbers).astype(np.float32)
    X = X[:, X.std(axis=0) > 0]
    if is_shuffled:
        X = X[np.random.default_rng(0).permutation(len(X))]
    name = "kddcup-mixed" if is_shuffled else "kddcup"
    return Case(name, np.array_split(X, N_PARTITIONS), 20, 20_000, "standard")


def mixture(seed: int = 0, n: int = 40_000) -> Case:
    """A mixture whose centers drift; some clusters come, and some go."""
    rng = np.random.default_rng(seed)
    k, d = 20, 8
    centers = rng.normal(size=(k, d)) * 4
    speed = rng.normal(size=(k, d)) * 0.1
    share = rng.uniform(0.2, 1, k)
    parts = []
    for day in range(N_PARTITIONS):
        alive = share * ((np.arange(k) + day) % 8 != 0) + 1e-3
        label = rng.choice(k, n, p=alive / alive.sum())
        X = centers[label] + day * speed[label] + rng.normal(size=(n, d))
        parts.append(X.astype(np.float32))
    return Case(f"mixture {seed}", parts, k, 20_000, None)


def case_of(name: str, data: Path, seed: int) -> Case:
    """Return a data set by its name; mixtures differ by their seeds."""
    if name == "mixture":
        return mixture(seed)
    return taxi(data) if name == "taxi" else kddcup(data, is_shuffled=name == "kddcup-mixed")


def slide(
    case: Case,
    length: int,
    seed: int,
    folder: Path,
    *,
    every: int = 1,
    follows: bool = True,
    is_brief: bool = False,
) -> Iterator[Found]:
    """Slide a window over the partitions of a case; compare each `every`-th with a refit, and with
    a single coreset of the window unless that is to be brief.
    """
    stored = _write(case, folder / "lake")
    partitions = list_partitions(str(folder / "lake"))
    store = str(folder / f"coresets {length} {seed} {follows}")
    champion: Model | None = None
    is_read = [False] * N_PARTITIONS
    for first in range(N_PARTITIONS - length + 1):
        if first % every and not follows:
            # nothing of it is needed later
            continue
        window = partitions[first : first + length]
        began = time.perf_counter()
        model = window_fit(
            window,
            store,
            champion=champion,
            n_clusters=case.n_clusters,
            scale=case.scale if champion is None else None,
            coreset_size=case.coreset_size,
            random_state=seed,
            retain=(),
        )
        seconds = time.perf_counter() - began
        champion = model if follows else None
        new = [i for i in range(first, first + length) if not is_read[i]]
        for i in new:
            is_read[i] = True
        if first % every:
            continue
        X = np.concatenate(case.parts[first : first + length])
        began = time.perf_counter()
        refit = KMeans(case.n_clusters, random_state=seed).fit(model.prepare(X))
        refit_seconds = time.perf_counter() - began
        kept = [one.bytes for one in CoresetStore(store).entries]
        inertia, told = -model.score(X), model.provenance["window"]
        error = told["inertia_standard_error"]
        alone = 0.0 if is_brief else _error_of_one(model, X, case, seed)
        yield Found(
            model.provenance["bytes_read"] / sum(stored[i] for i in new),
            _ratio(inertia, refit.inertia_),
            (model.inertia - inertia) / error if error else 0.0,
            error / alone if alone else 1.0,
            error / max(inertia, 1e-6),
            told["start"],
            float(np.mean(kept)) / 1e3,
            sum(kept) / (X.nbytes),
            seconds,
            refit_seconds,
        )


def _ratio(inertia: float, of_refit: float) -> float:
    # hours of one attack have fewer distinct rows than clusters
    return 1.0 if max(inertia, of_refit) < 1e-6 else inertia / max(of_refit, 1e-6)


def _error_of_one(model: Model, X: np.ndarray, case: Case, seed: int) -> float:
    """The standard error of the inertia from one coreset of all rows of a window."""
    asked = KMeansSettings(
        n_clusters=case.n_clusters, init="coreset", n_init=1, seed=seed, scale=None,
        oversampling_factor=2.0, init_rounds=0, tol=1e-4, max_iter=1,
        coreset_size=case.coreset_size,
    )  # fmt: skip
    with Rows.from_array(model.prepare(X)) as rows:
        part, _ = draw(rows, asked, None)
    rows_drawn, weight = part.coreset.part(1.0)
    _, sq_distances = nearest(rows_drawn, model.scaled_centers)
    cost = weight * sq_distances
    return standard_error(cost, part.coreset.rate) * float(cost.sum())


def _write(case: Case, lake: Path) -> list[int]:
    """Write a case, unless it is there; return the bytes of each partition's columns."""
    found = []
    for number, X in enumerate(case.parts):
        path = lake / f"day={number:02}" / "part.parquet"
        if not path.exists():
            path.parent.mkdir(parents=True)
            names = [f"f{i:02}" for i in range(X.shape[1])]
            table = pa.table(dict(zip(names, X.T, strict=True)))
            pq.write_table(table, path, row_group_size=max(500, len(X) // 4))
        footer = pq.ParquetFile(path).metadata
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        found.append(
            sum(group.column(i).total_compressed_size for group in groups
                for i in range(X.shape[1]))
        )  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="taxi,kddcup,kddcup-mixed,mixture")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--windows", default="4,12")
    parser.add_argument("--every", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("ignore", DkmeansWarning)
    print("set         window seed follows   bytes  inertia mean   max   |z| mean  max "
          " se/one   se/inertia champion    kB  share  s/fit  s/refit")  # fmt: skip
    for name in args.sets.split(","):
        for seed in range(args.seeds):
            case = case_of(name, args.data, seed)
            lengths = [int(one) for one in args.windows.split(",")]
            with tempfile.TemporaryDirectory() as folder:
                for length, follows in itertools.product(lengths, (True, False)):
                    found = list(
                        slide(case, length, seed, Path(folder), every=args.every, follows=follows)
                    )
                    ratios = np.array([one.inertia_ratio for one in found])
                    z = np.abs([one.error for one in found])
                    print(
                        f"{case.name:<12} {length:>4} {seed:>4} {follows!s:>7} "
                        f"{max(one.bytes_share for one in found):8.3f} "
                        f"{ratios.mean():12.5f} {ratios.max():8.5f} {z.mean():7.2f} {z.max():6.2f} "
                        f"{np.mean([one.error_ratio for one in found]):7.2f} "
                        f"{np.mean([one.relative_error for one in found]):10.5f} "
                        f"{np.mean([one.start == 'champion' for one in found]):8.2f} "
                        f"{np.mean([one.kept_kb for one in found]):7.0f} "
                        f"{np.mean([one.kept_share for one in found]):6.2f} "
                        f"{np.mean([one.seconds for one in found[1:]]):7.2f} "
                        f"{np.mean([one.refit_seconds for one in found[1:]]):7.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
