"""Budgets: the pass that would go beyond one is not begun, and the job can go on from there."""

import time
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans import KMeans, Rows
from dkmeans.errors import ArgumentError, BudgetSpent
from tests.cli.command import run
from tests.conftest import write_parquet
from tests.rows.seen import Seen, see


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2000, 3))


@pytest.fixture(scope="module")
def folder(X, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(tmp_path_factory.mktemp("data") / "in", X, n_files=2, row_group_rows=100)


def read(folder: Path, stage: str = "none", **options: object) -> Rows:
    rows = dkmeans.read_parquet(
        str(folder), dtype="float64", block_rows=100, stage=stage, **options
    )
    assert rows.n_blocks == 20
    return rows


def estimator(**parameters: object) -> KMeans:
    asked = {"init": "k-means||", "init_rounds": 2, "random_state": 0, "max_iter": 4, "tol": 0}
    return KMeans(6, **{**asked, **parameters})


def test_no_more_passes_are_made_than_may_be(folder):
    rows = read(folder)
    assert rows.limit(max_passes=2) is rows
    see(rows)
    see(rows)
    before = (rows.n_passes, rows.rows_read, rows.bytes_read)
    for _ in range(2):
        with pytest.raises(BudgetSpent, match=r"max_passes=2 are made; resume from a checkpoint"):
            see(rows)
    assert (rows.n_passes, rows.rows_read, rows.bytes_read) == before == (2, 4000, before[2])
    assert BudgetSpent.exit_code == 7


def test_a_new_budget_counts_from_now_and_none_lifts_it(folder):
    rows = read(folder).limit(max_passes=1)
    see(rows)
    rows.limit(max_passes=2)
    see(rows)
    see(rows)
    with pytest.raises(BudgetSpent, match="max_passes=2"):
        see(rows)
    rows.limit()
    see(rows)
    assert rows.n_passes == 4


def test_no_more_bytes_are_read_than_may_be(folder):
    rows = read(folder)
    one = rows.parquet.n_bytes
    rows.limit(max_bytes=2 * one)
    see(rows)
    see(rows)
    with pytest.raises(BudgetSpent, match=rf"max_bytes=.* would be exceeded by the {one:,} of"):
        see(rows)
    assert rows.bytes_read == 2 * one
    with pytest.raises(BudgetSpent):
        see(read(folder).limit(max_bytes=one - 1))
    see(read(folder).limit(max_bytes=one))


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_passes_over_kept_blocks_cost_no_bytes(folder, stage):
    with read(folder, stage) as rows:
        rows.limit(max_bytes=rows.parquet.n_bytes)
        for _ in range(4):
            see(rows)
        assert rows.n_passes == 4


def slowly(block):
    time.sleep(0.02)
    return Seen.from_block(block)


def test_a_pass_that_would_end_too_late_is_not_begun(folder):
    with pytest.raises(BudgetSpent, match=r"max_seconds=1e-09 leave no time for another pass"):
        see(read(folder).limit(max_seconds=1e-9))
    import dask

    rows = read(folder)
    with dask.config.set(scheduler="synchronous"):
        # a pass takes at least 0.4 s
        rows.limit(max_seconds=0.7)
        rows.reduce(slowly)
        with pytest.raises(BudgetSpent, match=r"max_seconds=0\.7"):
            rows.reduce(slowly)
    assert rows.n_passes == 1
    see(rows.limit(max_seconds=1e6))


@pytest.mark.parametrize("name", ["max_passes", "max_bytes", "max_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_is_above_zero(folder, name, value):
    with pytest.raises(ArgumentError, match=f"{name}={value} should be above 0"):
        read(folder).limit(**{name: value})


def test_all_limits_hold_at_once(folder):
    rows = read(folder).limit(max_passes=5, max_bytes=10**9, max_seconds=10**6)
    for _ in range(5):
        see(rows)
    with pytest.raises(BudgetSpent, match="max_passes=5"):
        see(rows)


def test_passes_that_count_or_fill_are_passes_too(X):
    holed = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
    rows = Rows.from_array(holed, block_rows=300, missing="mean").limit(max_passes=1)
    with pytest.raises(BudgetSpent):
        see(rows)
    assert rows.n_passes == 1
    see(rows.limit(max_passes=1))


def test_views_share_the_budget(folder):
    rows = read(folder).limit(max_passes=3)
    with pytest.raises(BudgetSpent):
        estimator(scale="standard").fit(rows)
    assert rows.n_passes == 3


@pytest.mark.parametrize("limits", [{"max_passes": 2}, {"max_bytes": 1}, {"max_seconds": 1e-9}])
def test_a_sample_has_the_budget_of_its_rows(folder, limits):
    with pytest.raises(BudgetSpent, match=next(iter(limits))):
        estimator().fit(read(folder).limit(**limits), sample=0.5)


@pytest.mark.parametrize("stage", ["none", "memory", "disk"])
def test_what_the_plan_says_at_most_is_enough(folder, stage):
    with read(folder, stage) as rows:
        plan = rows.plan(estimator())
        rows.limit(max_passes=plan.most_passes, max_bytes=plan.most_bytes_read)
        assert estimator().fit(rows).n_iter_ == 4
        assert rows.n_passes == plan.most_passes


# going on


@pytest.mark.parametrize("stage", ["none", "memory"])
def test_a_fit_goes_on_with_the_same_budget_each_time_until_it_is_done(folder, tmp_path, stage):
    expected = estimator(scale="standard").fit(read(folder))
    checkpoint = str(tmp_path / "checkpoint")
    stops = 0
    while True:
        with read(folder, stage) as rows:
            model = estimator(scale="standard", checkpoint=checkpoint)
            try:
                model.fit(rows.limit(max_passes=2))
            except BudgetSpent:
                stops += 1
                assert stops < 20, "it does not come any further"
            else:
                break
    assert stops == -(-expected.n_passes_ // 2) - 1
    assert model.cluster_centers_.tobytes() == expected.cluster_centers_.tobytes()
    assert model.inertia_ == expected.inertia_
    assert model.n_passes_ == expected.n_passes_


@pytest.mark.parametrize("stage", ["none", "memory"])
def test_a_budget_of_bytes_is_for_each_run_of_a_job(folder, tmp_path, stage):
    expected = estimator().fit(read(folder))
    stops = 0
    while True:
        with read(folder, stage) as rows:
            model = estimator(checkpoint=str(tmp_path / "checkpoint"))
            # enough for two passes and the pilot's rows
            rows.limit(max_bytes=int(2.5 * rows.parquet.n_bytes))
            try:
                model.fit(rows)
            except BudgetSpent:
                stops += 1
                assert stops < 20, "it does not come any further"
            else:
                break
    assert (stops > 0) == (stage == "none")
    assert model.cluster_centers_.tobytes() == expected.cluster_centers_.tobytes()


# the command line


def command(folder: Path, tmp_path: Path, *more: object) -> tuple[object, ...]:
    return (
        "fit", folder, "--k", 6, "--seed", 0, "--max-iter", 4, "--tol", 0, "--workers", 0,
        "--stage", "none", "--block-bytes", 2400, "--model", tmp_path / "model",
        "--init", "k-means||",
        "--output", tmp_path / "out", *more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (("--max-passes", 3), "max_passes=3 are made"),
        (("--max-bytes", 60_000), "max_bytes=60000 would be exceeded"),
        (("--max-seconds", 1e-9), "max_seconds=1e-09 leave no time"),
    ],
)
def test_a_spent_budget_ends_the_command_with_7_and_nothing_half_written(
    folder, tmp_path, limit, words
):
    ran = run(*command(folder, tmp_path, *limit))
    assert ran.code == 7
    assert words in ran.error
    assert "checkpoint" in ran.error
    assert list(tmp_path.iterdir()) == []


def test_a_command_with_a_checkpoint_is_taken_up_until_it_is_done(folder, tmp_path):
    assert run(*command(folder, tmp_path / "quiet")).code == 0
    checkpoint = tmp_path / "checkpoint"
    job = command(folder, tmp_path, "--checkpoint", checkpoint, "--resume", "--max-passes", 4)
    codes = []
    while not codes or (codes[-1] == 7 and len(codes) < 10):
        ran = run(*job)
        codes.append(ran.code)
        assert (tmp_path / "model").exists() == (ran.code == 0)
        assert (tmp_path / "out").exists() == (ran.code == 0)
    # 7 passes of seeding, 4 iterations and one more: 12
    assert codes == [7, 7, 0], ran.err
    assert not list(checkpoint.glob("*"))
    models = [dkmeans.Model.load(str(place / "model")) for place in (tmp_path, tmp_path / "quiet")]
    assert models[0].scaled_centers.tobytes() == models[1].scaled_centers.tobytes()
    assert models[0].inertia == models[1].inertia


@pytest.mark.parametrize("limit", ["--max-passes", "--max-bytes", "--max-seconds"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_budget_that_cannot_be_is_wrong_usage(folder, tmp_path, limit, value):
    ran = run(*command(folder, tmp_path, f"{limit}={value}"))
    assert ran.code == 2
    assert "should be above 0" in ran.error
    assert list(tmp_path.iterdir()) == []
