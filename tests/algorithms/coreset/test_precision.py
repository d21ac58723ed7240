"""Coresets whose pilot has seen too little: they are noticed, and drawn again."""

from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans import KMeans
from dkmeans.errors import BudgetSpent
from dkmeans.rows import pilot
from tests.conftest import write_parquet
from tests.faults import bits

N, N_FILES = 30_000, 100


def kinds(model: KMeans) -> list[str]:
    return [record["kind"] for record in model.history_]


def estimator(**options: object) -> KMeans:
    asked = {"n_clusters": 12, "coreset_size": 2000, "scale": "standard", "random_state": 1}
    return KMeans(**{**asked, "n_init": 3, **options})


@pytest.fixture(scope="module")
def rows_that_differ() -> np.ndarray:
    """A feature that is constant but in a few rows; and two like any other, of another scale."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)) + rng.integers(0, 4, size=(N, 1)) * 6
    X[:, 2] = 0
    X[rng.choice(N, 60, replace=False), 2] = rng.uniform(0.5e-3, 1e-3, 60)
    return X


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows_that_differ: np.ndarray) -> Path:
    X = rows_that_differ.copy()
    # the rows of the file that a pilot looks at have none of it
    looked_at = N // N_FILES * (N_FILES // 2)
    X[looked_at : looked_at + N // N_FILES, 2] = 0
    return write_parquet(tmp_path_factory.mktemp("data") / "in", X, n_files=N_FILES)


def test_what_the_pilot_has_not_seen_makes_a_second_read(folder, monkeypatch):
    rows = dkmeans.read_parquet(str(folder), stage="memory")
    model = estimator().fit(rows)
    assert kinds(model)[:4] == ["pilot", "read", "second read", "solve"]
    # another run, which did not come out best, may take part in more
    assert model.n_passes_ >= len(kinds(model)) - 2
    # kept rows are not read again
    assert rows.bytes_read == rows.parquet.n_bytes
    assert abs(model.coreset_error_) < 0.05

    monkeypatch.setattr("dkmeans.algorithms.coreset.begin.better_pilot", lambda *_: None)
    once = estimator().fit(dkmeans.read_parquet(str(folder), stage="memory"))
    assert "second read" not in kinds(once)
    assert abs(once.coreset_error_) > 2 * abs(model.coreset_error_)


def test_features_that_few_rows_have_any_of_are_not_lost_behind_a_total_that_is_right(tmp_path):
    rng = np.random.default_rng(3)
    X = np.zeros((N, 12))
    X[:, :4] = rng.normal(size=(N, 4)) + rng.integers(0, 4, size=(N, 1)) * 6
    looked_at = N // N_FILES * (N_FILES // 2)
    others = np.delete(np.arange(N), np.arange(looked_at, looked_at + N // N_FILES))
    for feature in range(4, 12):
        X[rng.choice(others, 20, replace=False), feature] = 1
    folder = write_parquet(tmp_path / "in", X, n_files=N_FILES)
    rows = dkmeans.read_parquet(str(folder), stage="memory")
    best = estimator(coreset_size=N).fit(rows).inertia_
    for seed in range(6):
        model = estimator(random_state=seed).fit(rows)
        assert "second read" in kinds(model)
        assert model.inertia_ < 1.03 * best
        assert abs(model.coreset_error_) < 0.1


def test_rows_like_those_of_the_pilot_are_read_once(tmp_path):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(N, 3)) + rng.integers(0, 5, size=(N, 1)) * 8
    for scale in ("standard", "minmax", "robust", "normalize", None):
        folder = write_parquet(tmp_path / str(scale), X, n_files=N_FILES)
        model = estimator(scale=scale).fit(str(folder))
        assert "second read" not in kinds(model)


@pytest.mark.parametrize("stage", ["memory", "none"])
def test_a_fit_that_ends_before_its_second_read_is_resumed_with_its_bits(folder, tmp_path, stage):
    place = str(tmp_path / "checkpoint")
    rows = dkmeans.read_parquet(str(folder), stage="memory").limit(max_passes=1)
    with pytest.raises(BudgetSpent):
        estimator(checkpoint=place).fit(rows)
    resumed = estimator(checkpoint=place).fit(dkmeans.read_parquet(str(folder), stage=stage))
    assert "second read" in kinds(resumed)
    assert bits(resumed) == bits(estimator().fit(dkmeans.read_parquet(str(folder))))


def test_the_pilot_looks_where_this_file_says():
    assert round(pilot.PILOT_SHARE * N_FILES) == 1
