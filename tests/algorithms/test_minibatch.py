"""Mini-batches: passes, when a fit stops, data in any order, and going on from a checkpoint."""

import shutil
from pathlib import Path

import dask
import numpy as np
import pytest
from sklearn.cluster import KMeans as TheirKMeans

import dkmeans
from dkmeans import MiniBatchKMeans, Rows
from dkmeans.algorithms import minibatch as module
from dkmeans.algorithms import minibatch_start
from dkmeans.algorithms.checkpoint import Checkpoint
from dkmeans.errors import BudgetSpent, ConvergenceWarning, FitInterrupted, InputChanged, TooFewRows
from dkmeans.rows.batches import Batch
from dkmeans.rows.store import process_store
from tests.conftest import write_parquet
from tests.faults import bits
from tests.rows.damaged import flip
from tests.rows.test_bad_data_policy import store

N = 6000
STAGES = ["memory", "disk", "none"]


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Rows without structure, on which every rounding would show."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(N, 3)) * [1.0, 100.0, 1e-3] + [1e3, 0.0, -1.0]


@pytest.fixture(scope="module")
def folder(X, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(
        tmp_path_factory.mktemp("data") / "in", X, n_files=5, row_group_rows=330, w=np.arange(N) % 4
    )


def read(folder: Path, stage: str = "none", **options: object) -> Rows:
    asked = {"weight": "w", "block_rows": 110, "dtype": "float64", **options}
    rows = dkmeans.read_parquet(str(folder), stage=stage, **asked)
    assert rows.n_blocks > 32
    return rows


def estimator(**options: object) -> MiniBatchKMeans:
    asked = {
        "n_clusters": 20, "random_state": 3, "scale": "standard", "batch_size": 700, "n_slots": 3,
        "max_epochs": 4, "max_no_improvement": None, "n_init": 1, "init_size": 500,
    }  # fmt: skip
    return MiniBatchKMeans(**{**asked, **options})


@pytest.fixture(autouse=True)
def _few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks within an epoch of a few rows."""
    monkeypatch.setattr(minibatch_start, "HELD_OUT_ROWS", 300)


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each step."""
    monkeypatch.setattr(module, "_CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def quiet(folder: Path) -> tuple[object, ...]:
    """What an undisturbed fit finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minibatch_start, "HELD_OUT_ROWS", 300)
        return bits(estimator().fit(read(folder)))


# passes


@pytest.mark.parametrize("stage", STAGES)
def test_passes_are_one_to_begin_one_for_each_epoch_and_one_to_end(folder, stage):
    with read(folder, stage) as rows:
        model = estimator().fit(rows)
        kinds = [record["kind"] for record in model.history_]
        assert kinds == [
            "moments + sample", "epoch 1", "epoch 2", "epoch 3", "epoch 4", "final assignment",
        ]  # fmt: skip
        assert model.n_passes_ == rows.n_passes == 6
        assert model.n_iter_ == 4
        assert abs(model.n_steps_ / 4 - N / 700) < 2
        assert [record["rows_read"] for record in model.history_] == [N] * 6
        # beside the passes, the first rows are looked at
        first = rows.layout.leaves[0]
        pilot = sum(map(first.source.block_rows, first.source.first_blocks))
        assert rows.rows_read == 6 * N + pilot == model.model_.provenance["rows_read"]
        one = rows.parquet.n_bytes
        read_by = [record["bytes_read"] for record in model.history_]
        assert read_by == [one] * 6 if stage == "none" else read_by[1:] == [0] * 5


def test_nothing_is_left_in_the_store_of_what_is_not_staged(folder):
    rows = read(folder)
    estimator().fit(rows)
    assert not process_store()._entries.get(rows.layout.leaves[0].owner)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_the_bits_depend_neither_on_the_stage_nor_on_the_scheduler(folder, quiet, stage, scheduler):
    with dask.config.set(scheduler=scheduler, num_workers=5), read(folder, stage) as rows:
        assert bits(estimator().fit(rows)) == quiet


def test_another_seed_gives_other_bits(folder, quiet):
    assert bits(estimator(random_state=4).fit(read(folder)))[0] != quiet[0]


def test_history_has_the_findings_of_the_held_out_rows_and_of_all_rows_at_the_end(folder):
    model = estimator().fit(read(folder))
    first, *epochs, last = model.history_
    assert first["inertia"] is None
    total = model.model_.weights.sum()
    for record in epochs:
        # an estimate of the inertia of all rows, from 300 of them
        assert record["inertia"] == pytest.approx(model.inertia_, rel=0.2)
        assert 0 <= record["gain"] < 0.1 * record["inertia"]
    assert last["inertia"] == model.inertia_
    assert last["gain"] == model.gain_
    assert total == (np.arange(N) % 4).sum()


# when to stop


def test_a_fit_that_finds_nothing_better_stops(folder):
    model = estimator(max_epochs=60, max_no_improvement=3, tol=0.01).fit(read(folder))
    assert model.converged_
    assert 1 < model.n_iter_ < 60
    # the epoch that it stops in is not read to its end
    assert model.history_[-2]["rows_read"] <= N
    assert model.n_passes_ == model.n_iter_ + 2


def test_without_a_rule_to_stop_all_epochs_are_made(folder):
    model = estimator(max_epochs=7).fit(read(folder))
    assert model.n_iter_ == 7
    assert not model.converged_


def ordered_mixture(n_rows=60_000, n_clusters=12, seed=0):
    """Clusters far from each other, and the cluster of each row."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(-60, 60, size=(n_clusters, 4))
    labels = rng.integers(0, n_clusters, n_rows)
    return means[labels] + rng.normal(size=(n_rows, 4)), labels


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_does_not_stop_before_far_centers_have_had_their_rows(seed):
    """Clusters one after another, of which a few are open at a time: the one that has far to go is
    not among the first ones, or is."""
    X, labels = ordered_mixture()
    order = np.argsort(labels, kind="stable")
    start = np.array([X[labels == j].mean(axis=0) for j in range(12)])
    start[seed] += 3
    rows = Rows.from_array(X[order], block_rows=2500)
    model = MiniBatchKMeans(
        12, init=start, batch_size=200, n_slots=1, max_no_improvement=1, random_state=seed
    ).fit(rows)
    best = TheirKMeans(12, init=start, n_init=1).fit(X).inertia_
    assert model.inertia_ < 1.01 * best


# few rows, few distinct rows, bad starts


def test_fewer_distinct_rows_than_clusters_end_in_a_warning_and_an_exact_inertia():
    X = np.repeat(np.array([[0.0, 0.0], [1.0, 5.0], [9.0, 2.0]]), 40, axis=0)
    model = MiniBatchKMeans(5, random_state=0, batch_size=30)
    with pytest.warns(
        ConvergenceWarning, match=r"clusters \(3\) found smaller than n_clusters \(5"
    ):
        model.fit(X)
    # but for the rounding of means
    assert model.inertia_ < 1e-25
    assert model.gain_ < 1e-25
    assert model.inertia_ == ((X - model.cluster_centers_[model.labels_]) ** 2).sum()
    assert model.converged_
    assert len(np.unique(model.labels_)) == 3
    assert sorted(model.model_.weights) == [0, 0, 40, 40, 40]


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
def test_one_distinct_row_is_a_cluster(init):
    X = np.full((50, 2), 3.5)
    with pytest.warns(ConvergenceWarning):
        model = MiniBatchKMeans(2, init=init, random_state=0, batch_size=7).fit(X)
    assert model.inertia_ == 0
    np.testing.assert_array_equal(model.cluster_centers_[model.labels_], X)


def test_as_many_rows_as_clusters_are_their_own_centers():
    X = np.arange(12.0).reshape(6, 2)
    model = MiniBatchKMeans(6, random_state=0, batch_size=2).fit(X)
    assert model.inertia_ == 0
    np.testing.assert_array_equal(model.cluster_centers_[model.labels_], X)


def test_fewer_rows_than_clusters_are_refused():
    with pytest.raises(TooFewRows, match="n_clusters=7"):
        MiniBatchKMeans(7).fit(np.arange(12.0).reshape(6, 2))


def test_two_centers_far_from_all_rows_find_back():
    X, _ = ordered_mixture(4000, 6)
    best = TheirKMeans(6, n_init=5, random_state=0).fit(X)
    start = best.cluster_centers_.copy()
    start[0], start[1] = 1e4, -1e4
    asked = {"init": start, "batch_size": 500, "random_state": 0, "max_epochs": 30}
    model = MiniBatchKMeans(6, **asked).fit(X)
    assert model.inertia_ < 1.03 * best.inertia_
    assert not (model.model_.weights == 0).any()
    with pytest.warns(ConvergenceWarning, match=r"\(4\) found smaller"):
        left = MiniBatchKMeans(6, reassignment_ratio=0, **asked).fit(X)
    np.testing.assert_array_equal(left.cluster_centers_[:2], start[:2])
    assert left.inertia_ > 5 * best.inertia_


# weights


@pytest.mark.parametrize("scale", [None, "standard"])
def test_integer_weights_are_repeated_rows_as_far_as_the_clusters_go(scale):
    X, _ = ordered_mixture(8000, 8)
    weight = np.random.default_rng(1).integers(0, 4, len(X))
    asked = {"n_clusters": 8, "batch_size": 500, "random_state": 0, "scale": scale}
    one = MiniBatchKMeans(**asked).fit(X, sample_weight=weight)
    many = MiniBatchKMeans(**asked).fit(np.repeat(X, weight, axis=0))
    assert one.inertia_ == pytest.approx(many.inertia_, rel=0.005)
    assert one.model_.weights.sum() == many.model_.weights.sum()


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
@pytest.mark.parametrize("n_rows", [3000, 30_000])
def test_rows_without_weight_are_no_seeds_whatever_is_drawn_of_them(init, n_rows):
    """Half of the rows are far away, and do not count."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(n_rows, 2))
    weight = np.ones(n_rows)
    X[::2] += 1e6
    weight[::2] = 0
    model = MiniBatchKMeans(
        4, init=init, random_state=0, batch_size=300, init_size=100, max_epochs=3
    ).fit(X, sample_weight=weight)
    assert np.abs(model.cluster_centers_).max() < 10
    counted = ((X[1::2, None] - model.cluster_centers_) ** 2).sum(axis=2).min(axis=1).sum()
    assert model.inertia_ == pytest.approx(counted, rel=1e-9)


def test_rows_of_which_few_count_are_sampled_all_the_same(tmp_path):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40_000, 2))
    weight = np.zeros(40_000)
    weight[::400] = 1000.0
    model = MiniBatchKMeans(3, random_state=0, batch_size=500, init_size=200, max_epochs=2)
    model.fit(X, sample_weight=weight)
    assert model.model_.weights.sum() == 100_000
    assert np.isfinite(model.cluster_centers_).all()
    folder = write_parquet(tmp_path / "in", X, kind=np.arange(40_000) % 400)
    rows = dkmeans.read_parquet(str(folder), columns=["f0", "f1"], filters=("kind", "==", 7))
    model.set_params(n_clusters=60)
    plan = rows.plan(model)
    model.fit(rows)
    assert model.model_.weights.sum() == 100
    # all of them were there to seed from
    assert (model.model_.weights > 0).all()
    assert rows.n_passes <= plan.most_passes
    assert rows.bytes_read <= plan.most_bytes_read


# checkpoints


class Stop(Exception):
    """Stands for anything that ends a process."""


def stopped_at(folder: Path, checkpoint: Path, epoch: int, step: int, monkeypatch, **options):
    """Fit until just before a step of an epoch is reduced, and die there."""
    original = Batch.reduce
    seen: dict[str, int] = {}

    def reduce(self, *arguments):
        kind = self.record["kind"]
        seen[kind] = seen.get(kind, 0) + 1
        if (kind, seen[kind]) == (f"epoch {epoch}", step + 1):
            raise Stop
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "reduce", reduce)
        with pytest.raises(Stop):
            estimator(checkpoint=str(checkpoint), **options).fit(read(folder))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("epoch", "step"), [(1, 0), (1, 4), (2, 0), (3, 7), (4, 8)])
@pytest.mark.usefixtures("lasting")
def test_a_fit_that_is_stopped_anywhere_goes_on_with_the_same_bits(
    folder, quiet, tmp_path, monkeypatch, stage, epoch, step
):
    stopped_at(folder, tmp_path / "c", epoch, step, monkeypatch)
    with read(folder, stage) as rows:
        model = estimator(checkpoint=str(tmp_path / "c")).fit(rows)
        assert bits(model) == quiet
        # only what was left of the epoch was read again
        assert rows.n_passes == 6
        assert [record["rows_read"] for record in model.history_] == [N] * 6
    again = read(folder, stage)
    assert bits(estimator(checkpoint=str(tmp_path / "c")).fit(again)) == quiet


@pytest.mark.parametrize("n_writes", [2, 6, 10, 11, 12, 13, 23])
@pytest.mark.usefixtures("lasting")
def test_a_fit_that_ends_after_any_checkpoint_goes_on_with_the_same_findings(
    folder, tmp_path, monkeypatch, n_writes
):
    # a look after each step, the last of an epoch included
    monkeypatch.setattr(module, "_ROWS_PER_LOOK", 0)
    expected = bits(estimator().fit(read(folder)))
    write, written = Checkpoint.write, []

    def dying(self, *arguments):
        write(self, *arguments)
        written.append(1)
        if len(written) == n_writes:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", dying)
        with pytest.raises(Stop):
            estimator(checkpoint=str(tmp_path / "c")).fit(read(folder))
    assert bits(estimator(checkpoint=str(tmp_path / "c")).fit(read(folder))) == expected


def test_without_time_for_a_checkpoint_the_epoch_begins_anew(folder, quiet, tmp_path, monkeypatch):
    stopped_at(folder, tmp_path / "c", 3, 5, monkeypatch)
    model = estimator(checkpoint=str(tmp_path / "c")).fit(read(folder))
    assert bits(model) == quiet


def test_a_checkpoint_needs_no_seed(folder, tmp_path, monkeypatch):
    stopped_at(folder, tmp_path / "c", 3, 0, monkeypatch, random_state=None)
    model = estimator(checkpoint=str(tmp_path / "c"), random_state=None).fit(read(folder))
    seed = model.model_.provenance["seed"]
    assert bits(model) == bits(estimator(random_state=seed).fit(read(folder)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_clusters", 19), ("batch_size", 701), ("n_slots", 4), ("max_epochs", 5),
        ("learning_rate", "share"), ("half_life", 1e6), ("half_life_unit", "batches"),
        ("init_size", 501), ("reassignment_ratio", 0.02), ("max_no_improvement", 9), ("tol", 0.1),
        ("random_state", 4), ("scale", None), ("n_init", 2), ("init", "random"),
        ("oversampling_factor", 3.0), ("init_rounds", 2),
    ],
)  # fmt: skip
def test_a_checkpoint_of_other_parameters_is_refused_and_they_are_named(
    folder, tmp_path, monkeypatch, name, value
):
    stopped_at(folder, tmp_path / "c", 1, 0, monkeypatch)
    words = "seed" if name == "random_state" else name
    with pytest.raises(InputChanged, match=words):
        estimator(checkpoint=str(tmp_path / "c"), **{name: value}).fit(read(folder))


def test_a_checkpoint_of_kmeans_or_of_other_rows_is_refused(folder, tmp_path, monkeypatch):
    stopped_at(folder, tmp_path / "c", 1, 0, monkeypatch)
    with pytest.raises(InputChanged):
        dkmeans.KMeans(20, random_state=3, checkpoint=str(tmp_path / "c")).fit(read(folder))
    with pytest.raises(InputChanged):
        estimator(checkpoint=str(tmp_path / "c")).fit(read(folder, block_rows=100))


def fit_with_budgets(folder: Path, checkpoint: Path, **limits: float) -> tuple[object, int]:
    """Fit again and again, each time with the same budget; return the model and the stops."""
    stops = 0
    while True:
        rows = read(folder).limit(**limits)
        try:
            return estimator(checkpoint=str(checkpoint)).fit(rows), stops
        except BudgetSpent:
            stops += 1
            assert stops < 50, "it does not come any further"


@pytest.mark.parametrize("n_passes", [1, 2, 4])
def test_a_budget_of_passes_leaves_a_checkpoint_to_go_on_from(folder, quiet, tmp_path, n_passes):
    model, stops = fit_with_budgets(folder, tmp_path / "c", max_passes=n_passes)
    assert bits(model) == quiet
    assert stops == -(-6 // n_passes) - 1


def test_a_budget_of_bytes_leaves_a_checkpoint_to_go_on_from(folder, quiet, tmp_path):
    rows = read(folder)
    model, stops = fit_with_budgets(
        folder, tmp_path / "c", max_bytes=int(2.5 * rows.parquet.n_bytes)
    )
    assert bits(model) == quiet
    assert stops >= 2


@pytest.mark.parametrize("n_steps", [3, 11])
def test_time_that_is_over_in_an_epoch_leaves_a_checkpoint_of_its_steps(
    folder, quiet, tmp_path, monkeypatch, n_steps
):
    """However short the time of a run is, the next one goes on where it ended."""
    stops = 0
    while True:
        rows, steps = read(folder).limit(max_seconds=1e6), []

        def check_deadline(self, steps=steps):
            steps.append(1)
            if len(steps) > n_steps:
                self._stop("max_seconds", "are over")

        monkeypatch.setattr(dkmeans.rows.known.Budget, "check_deadline", check_deadline)
        try:
            model = estimator(checkpoint=str(tmp_path / "c")).fit(rows)
            break
        except BudgetSpent:
            stops += 1
            assert stops < 20, "it does not come any further"
    assert bits(model) == quiet
    assert stops == -(-model.n_steps_ // n_steps) - 1


# bad data


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_rows_that_lack_values_are_dropped_or_filled_whatever_the_stage(X, tmp_path, missing):
    holed = X.copy()
    holed[np.random.default_rng(1).random(N) < 0.3, 1] = np.nan
    present = ~np.isnan(holed[:, 1])
    folder = write_parquet(tmp_path / "in", holed, row_group_rows=330, w=np.arange(N) % 4)
    found = []
    for stage in STAGES:
        with read(folder, stage, missing=missing) as rows:
            model = estimator().fit(rows)
            assert model.n_passes_ == rows.n_passes == 6 + (missing == "mean")
            found.append(bits(model))
    assert found[0] == found[1] == found[2]
    weight = np.arange(N) % 4
    used = present if missing == "drop" else slice(None)
    holed[~present, 1] = np.average(holed[present, 1], weights=weight[present])
    scaled = model.model_.scale(holed[used])
    far = ((scaled[:, None] - model.scaled_centers_) ** 2).sum(axis=2).min(axis=1)
    assert model.inertia_ == pytest.approx((weight[used] * far).sum(), rel=1e-9)


@pytest.mark.parametrize(("epoch", "step"), [(1, 2), (3, 6)])
def test_a_file_that_goes_bad_in_an_epoch_is_left_out_as_if_it_had_never_been(
    X, tmp_path, monkeypatch, epoch, step
):
    url = store(tmp_path / "in", X, n_files=8)
    at_once = Path(shutil.copytree(url, tmp_path / "at once"))
    flip(at_once / "5.parquet", group=0)

    def fitted(folder):
        asked = {"columns": ["f0", "f1", "f2"], "block_rows": 70, "stage": "none"}
        rows = dkmeans.read_parquet(str(folder), on_bad_file="skip", **asked)
        return estimator().fit(rows)

    expected = fitted(at_once)
    original, kinds = Batch.reduce, []

    def reduce(self, *arguments):
        kinds.append(self.record["kind"])
        if kinds.count(f"epoch {epoch}") == step and kinds[-1] == f"epoch {epoch}":
            flip(Path(url) / "5.parquet", group=0)
        return original(self, *arguments)

    monkeypatch.setattr(Batch, "reduce", reduce)
    found = fitted(url)
    (skipped,) = found.model_.provenance["skipped_files"]
    assert skipped["url"].endswith("5.parquet")
    np.testing.assert_array_equal(found.cluster_centers_, expected.cluster_centers_)
    assert found.inertia_ == expected.inertia_
    assert found.n_steps_ == expected.n_steps_
    assert len(found.history_) == len(expected.history_)
    # what was made before the damage is counted
    assert found.n_passes_ > expected.n_passes_


# data in some order


@pytest.fixture(scope="module")
def three_orders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same rows shuffled, ordered by a feature, and with a file for each cluster."""
    rng = np.random.default_rng(7)
    n_rows, k = 200_000, 40
    means = rng.normal(size=(k, 8)) * 4
    labels = rng.integers(0, k, n_rows)
    X = (means[labels] + rng.normal(size=(n_rows, 8))).astype(np.float32)
    place = tmp_path_factory.mktemp("orders")
    orders = {"shuffled": np.arange(n_rows), "by feature": np.argsort(X[:, 0])}
    for name, order in orders.items():
        write_parquet(place / name, X[order], n_files=16, row_group_rows=6250)
    for j in range(k):
        write_parquet(
            place / "by cluster" / f"c{j}", X[labels == j], n_files=1, row_group_rows=6250
        )
    return {name: place / name for name in (*orders, "by cluster")}


@pytest.mark.parametrize("stage", ["memory", "none"])
def test_the_order_of_the_rows_hardly_matters(three_orders, stage, monkeypatch):
    monkeypatch.setattr(minibatch_start, "HELD_OUT_ROWS", 20_000)
    found = {}
    for name, place in three_orders.items():
        files = sorted(str(path) for path in place.rglob("*.parquet"))
        with dkmeans.read_parquet(files, stage=stage) as rows:
            model = MiniBatchKMeans(40, batch_size=3000, random_state=0).fit(rows)
        assert model.n_steps_ > 50
        assert model.n_iter_ > 1 or model.n_steps_ == 67
        found[name] = model.inertia_
    assert found["by feature"] < 1.01 * found["shuffled"]
    assert found["by cluster"] < 1.01 * found["shuffled"]


# callbacks


def test_a_fit_that_a_callback_ends_in_an_epoch_goes_on_as_if_it_had_not(folder, quiet, tmp_path):
    place = str(tmp_path / "c")
    ended = estimator(checkpoint=place, callbacks=[lambda event: event.number == 5]).fit(
        read(folder)
    )
    assert ended.stopped_by_ == "callback"
    assert ended.n_steps_ == 5
    assert bits(estimator(checkpoint=place).fit(read(folder)))[:2] == quiet[:2]


def test_an_interrupt_after_the_last_pass_keeps_its_exact_figures(folder):
    def interrupt(event):
        if event.name == "final assignment":
            raise KeyboardInterrupt

    with pytest.warns(FitInterrupted):
        model = estimator(callbacks=[interrupt], on_interrupt="return").fit(read(folder))
    assert model.inertia_ == model.history_[-1]["inertia"]
    assert model.stopped_by_ == "interrupt"
