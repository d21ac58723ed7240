"""Read once: what a coreset fit and its evaluation read of the source, counted at the reader."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dkmeans import KMeans, Rows, evaluate, read_parquet
from tests.conftest import write_parquet

STAGED, UNSTAGED = 1.02, 3.02
"""Most bytes read, in units of the stored bytes of the columns."""


@dataclass(frozen=True)
class Data:
    """A data set that is cut into many files."""

    folder: Path
    n_features: int
    coreset_size: int
    is_plain: bool
    """Whether so small a coreset tells where a few clusters are, to a thousandth of the inertia."""

    def read(self, **options: object) -> Rows:
        return read_parquet(str(self.folder), **options)


def mixture(n_rows: int, n_features: int, n_centers: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(n_centers, n_features)) * spread
    X = rng.normal(size=(n_rows, n_features)) + centers[rng.integers(0, n_centers, n_rows)]
    return X.astype(np.float32)


def table_of(path: Path, most_rows: int) -> np.ndarray:
    """Return the numbers of a data set but for its label, in an order of their own."""
    table = pq.read_table(path)
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_fixed_size_list(column.type):
            flat = column.combine_chunks().flatten().to_numpy()
            columns.append(flat.reshape(len(table), -1))
        elif name != "label" and (
            pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        ):
            columns.append(column.to_numpy()[:, None])
    X = np.hstack(columns)[np.random.default_rng(0).permutation(len(table))[:most_rows]]
    X = X.astype(np.float32)
    return X[:, X.std(axis=0) > 0]


@pytest.fixture(scope="module")
def data(request, tmp_path_factory: pytest.TempPathFactory) -> Data:
    name = request.param
    coreset_size = 10_000
    if name == "mixture":
        X = mixture(100_000, 16, 100, 1.0)
    elif name == "GaussMixture":
        X = mixture(100_000, 15, 50, np.sqrt(10))
    else:
        oracle = request.getfixturevalue("oracle_data")
        file = {"kddcup": "kddcup99_10pct", "skin": "skin_segmentation",
                "mnist": "mnist_train_embedding"}[name]  # fmt: skip
        X = table_of(oracle / f"{file}.parquet", 100_000)
        coreset_size = 6000 if name == "mnist" else 10_000
    folder = tmp_path_factory.mktemp(name) / "in"
    write_parquet(folder, X, n_files=125, row_group_rows=len(X))
    return Data(folder, X.shape[1], coreset_size, name in ("GaussMixture", "skin"))


every = pytest.mark.parametrize(
    "data",
    ["mixture", "GaussMixture", "kddcup", "skin", pytest.param("mnist", marks=pytest.mark.slow)],
    indirect=True,
)


def fitted(rows: Rows, data: Data, k: int, **options: object) -> KMeans:
    model = KMeans(
        k, init="coreset", coreset_size=data.coreset_size, scale="standard", random_state=0,
        **options,
    )  # fmt: skip
    model.fit(rows)
    evaluate(model, rows, sample_size=500)
    return model


@every
@pytest.mark.parametrize("k", [8, 30])
@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_staged_blocks_are_read_once(data, k, stage):
    with data.read(stage=stage) as rows:
        assert rows.parquet.n_bytes > 0
        assert len(rows.parquet.row_groups) == 125
        model = fitted(rows, data, k)
        assert rows.bytes_read <= STAGED * rows.parquet.n_bytes
        # where centers are far from some rows, to evaluate takes another
        assert rows.n_passes - model.n_passes_ in (1, 2)
        kinds = [record["kind"] for record in model.history_]
        # a coreset that the pilot has misled is drawn again
        assert [kind for kind in kinds if kind != "second read"][:4] == [
            "pilot", "read", "solve", "iteration 1",
        ]  # fmt: skip
        # a look at one row group in a hundred is kept, and the read gets the others
        assert model.history_[0]["bytes_read"] > 0
        solve = model.history_[kinds.index("solve")]
        assert solve["bytes_read"] == solve["rows_read"] == 0
        assert all(record["bytes_read"] == 0 for record in model.history_[2:])


@every
def test_what_is_not_staged_is_read_three_times(data):
    for k in (8, 30):
        with data.read(stage="none") as rows:
            model = fitted(rows, data, k, tol=1e-3)
            one = rows.parquet.n_bytes
            looked_at = model.history_[0]["bytes_read"]
            assert 0 < looked_at <= 0.02 * one
            # the read, iterations, and what evaluates
            assert rows.bytes_read == looked_at + rows.n_passes * one
            (first,) = (record for record in model.history_ if record["kind"] == "iteration 1")
            # of more clusters, each has too few rows in so small a coreset
            if k == 8 and data.is_plain:
                assert first["gain"] <= 1e-3 * first["inertia"]
                assert rows.bytes_read <= UNSTAGED * one
            assert model.n_passes_ <= 5


@pytest.mark.parametrize("data", ["mixture"], indirect=True)
def test_workers_read_once_too(data, client):
    with data.read(stage="memory", client=client) as rows:
        fitted(rows, data, 8)
        assert rows.bytes_read <= STAGED * rows.parquet.n_bytes
