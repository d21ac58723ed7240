"""`MiniBatchKMeans` as a user meets it: figures that agree, streams, models, quality."""

import os
import tracemalloc

import dask
import dask.array as da
import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.cluster import MiniBatchKMeans as TheirMiniBatchKMeans

import dkmeans
from dkmeans import MiniBatchKMeans, Rows
from dkmeans.algorithms.stream import Pace, Stream
from dkmeans.errors import ArgumentError, BadValues, FeaturesMismatch, TooFewRows
from dkmeans.partials import ClusterSums
from tests.conftest import write_parquet
from tests.strategies import blocks_of

NAMES = ["a", "b", "c", "d"]


def small(**options: object) -> MiniBatchKMeans:
    asked = {"n_clusters": 10, "batch_size": 500, "random_state": 0, "max_epochs": 6}
    return MiniBatchKMeans(**{**asked, **options})


# figures that agree


@pytest.mark.parametrize("scale", [None, "standard", "minmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", ["count", "share"])
def test_inertia_gain_and_labels_are_those_of_the_final_centers(blobs, scale, dtype, rate):
    X = blobs[0].astype(dtype)
    weight = np.random.default_rng(1).uniform(0, 3, len(X))
    model = small(scale=scale, learning_rate=rate).fit(X, sample_weight=weight)
    centers = model.scaled_centers_
    scaled = model.model_.scale(X).astype(np.float64)
    far = ((scaled[:, None] - centers) ** 2).sum(axis=2)
    rtol = 1e-5 if dtype == "float32" else 1e-10
    assert model.inertia_ == pytest.approx((weight * far.min(axis=1)).sum(), rel=rtol)
    np.testing.assert_array_equal(model.labels_, far.argmin(axis=1))
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    gain = 0.0
    for j in range(10):
        mine = model.labels_ == j
        mean = np.average(scaled[mine], axis=0, weights=weight[mine])
        gain += weight[mine].sum() * ((mean - centers[j]) ** 2).sum()
        assert model.model_.weights[j] == pytest.approx(weight[mine].sum())
    assert model.gain_ == pytest.approx(gain, rel=1e-3, abs=1e-7 * model.inertia_)
    assert model.score(X, sample_weight=weight) == pytest.approx(-model.inertia_, rel=rtol)
    if scale == "standard":
        mean = np.average(X.astype(np.float64), axis=0, weights=weight)
        sd = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))
        np.testing.assert_allclose(model.cluster_centers_, centers * sd + mean, rtol=1e-4)


def test_the_model_is_saved_with_its_parameters_and_predicts_the_same(blobs, tmp_path):
    X = pd.DataFrame(blobs[0], columns=NAMES)
    asked = {
        "init": "k-means++", "n_init": 2, "init_size": 900, "n_slots": 3, "learning_rate": "count",
        "max_no_improvement": 4, "tol": 0.01, "reassignment_ratio": 0.02, "half_life": 1e6,
        "half_life_unit": "rows", "scale": "standard", "oversampling_factor": 3.0, "init_rounds": 2,
    }  # fmt: skip
    model = small(**asked).fit(X)
    model.model_.save(str(tmp_path / "model"))
    loaded = dkmeans.Model.load(str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(X), model.labels_)
    assert loaded.inertia == model.inertia_
    for name, value in {**asked, "n_clusters": 10, "batch_size": 500, "max_epochs": 6}.items():
        assert loaded.parameters[name] == value, name
    found = loaded.provenance
    assert found["seed"] == 0
    assert found["rows"] == found["weight"] == 5000
    assert found["n_passes"] == model.n_passes_ == model.n_iter_ + 2
    assert len(found["history"]) == model.n_passes_
    assert found["rows_read"] >= sum(record["rows_read"] for record in model.history_)
    names = set(model.get_params()) - {
        "random_state",
        "stage",
        "checkpoint",
        "callbacks",
        "on_interrupt",
    }
    assert names <= set(loaded.parameters)


def test_every_kind_of_input_gives_the_same_clusters(blobs, tmp_path):
    X, truth = blobs
    frame = pd.DataFrame(X, columns=NAMES)
    write_parquet(tmp_path / "in", X)
    inputs = [
        X, frame, da.from_array(X, chunks=(777, 4)), Rows.from_array(X, block_rows=100),
        str(tmp_path / "in"),
    ]  # fmt: skip
    best = TheirKMeans(10, init=truth, n_init=1).fit(X).inertia_
    for rows in inputs:
        model = small().fit(rows)
        assert model.inertia_ == pytest.approx(best, rel=0.01)
        labels = np.asarray(model.labels_)
        assert labels.shape == (5000,)
        assert labels.dtype == np.int32


def test_a_fit_of_a_sample_labels_all_rows(blobs):
    X, truth = blobs
    array = da.from_array(X, chunks=(50, 4))
    model = small().fit(array, sample=0.1)
    assert model.model_.provenance["rows"] < 1000
    assert np.asarray(model.labels_).shape == (5000,)
    best = TheirKMeans(10, init=truth, n_init=1).fit(X).inertia_
    assert -model.score(X) < 1.02 * best


# parameters


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batch_size": 0}, "batch_size=0 should be an integer of at least 1"),
        ({"batch_size": 10.5}, "batch_size=10.5 should be an integer"),
        ({"n_slots": 0}, "n_slots=0"),
        ({"max_epochs": 0}, "max_epochs=0"),
        ({"max_no_improvement": 0}, "max_no_improvement=0"),
        ({"init_size": 9}, "init_size=9 should be an integer of at least 10"),
        ({"reassignment_ratio": 1.0}, "reassignment_ratio=1.0 should be at least 0, below 1"),
        ({"reassignment_ratio": -0.1}, "reassignment_ratio=-0.1"),
        ({"reassignment_ratio": True}, "reassignment_ratio=True"),
        ({"tol": -1}, "tol=-1"),
        ({"learning_rate": "fast"}, "learning_rate='fast'"),
        ({"half_life": 0}, "half_life=0"),
        ({"half_life": "1d"}, "half_life='1d' should be a number above 0"),
        ({"half_life": 5, "learning_rate": "share"}, "half_life=5 goes with"),
        ({"half_life_unit": "days"}, "half_life_unit='days'"),
        ({"n_init": "many"}, "n_init='many'"),
        ({"init": np.zeros((3, 4))}, r"init of shape \(3, 4\)"),
        ({"scale": "loud"}, "scale='loud'"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_parameter_that_cannot_be_is_named_with_its_value(blobs, values, words, method):
    model = small(**values)
    with pytest.raises(ArgumentError, match=words):
        getattr(model, method)(blobs[0])
    assert not hasattr(model, "model_")


def test_the_seed_of_the_order_is_that_of_the_model(blobs):
    model = small(random_state=None).fit(blobs[0])
    again = small(random_state=model.model_.provenance["seed"]).fit(blobs[0])
    np.testing.assert_array_equal(again.cluster_centers_, model.cluster_centers_)


def test_a_clone_is_not_fitted_and_asks_for_the_same(blobs):
    model = small(half_life=1e5).fit(blobs[0])
    other = clone(model)
    assert other.get_params() == model.get_params()
    assert not hasattr(other, "_stream")
    np.testing.assert_array_equal(other.fit(blobs[0]).cluster_centers_, model.cluster_centers_)


# streams


def by_hand(batches, start, pace=None, weights=None):
    stream = Stream.start(start)
    for i, X in enumerate(batches):
        (block,) = blocks_of(X, 1, None if weights is None else weights[i])
        sums = ClusterSums.from_block(block, stream.centers, stream.ledger.origin)
        stream = stream.after(sums, pace or Pace())
    return stream


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", ["count", "share"])
def test_partial_fit_in_many_calls_is_a_stream_by_hand(blobs, dtype, rate):
    X, truth = blobs[0].astype(dtype), blobs[1]
    batches = np.array_split(X, 13)
    model = small(init=truth + 2, learning_rate=rate, reassignment_ratio=0)
    for batch in batches:
        assert model.partial_fit(batch) is model
    stream = by_hand(batches, truth + 2, Pace(rate))
    np.testing.assert_allclose(model.cluster_centers_, stream.centers, rtol=1e-12)
    np.testing.assert_allclose(model.model_.weights, stream.ledger.weight)
    assert model.inertia_ == pytest.approx(stream.ledger.inertia, rel=1e-12)
    assert model.gain_ == pytest.approx(stream.ledger.gain(stream.centers), abs=1e-9)
    assert model.n_steps_ == 13
    assert model.model_.provenance["rows"] == 5000
    assert not hasattr(model, "labels_")
    assert model.model_.dtype == dtype
    np.testing.assert_array_equal(model.predict(X), model.model_.predict(X))


def test_partial_fit_is_scikit_learns_rule(blobs):
    X, truth = blobs
    theirs = TheirMiniBatchKMeans(10, init=truth + 2, n_init=1, reassignment_ratio=0)
    ours = small(init=truth + 2, reassignment_ratio=0)
    for batch in np.array_split(X, 9):
        theirs.partial_fit(batch)
        ours.partial_fit(batch)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-9)


def test_partial_fit_takes_weights_for_repeated_rows_and_zero_for_none(blobs):
    X, truth = blobs
    rng = np.random.default_rng(4)
    one, many, fewer = (small(init=truth + 2) for _ in range(3))
    for batch in np.array_split(X, 6):
        weight = rng.integers(0, 4, len(batch))
        one.partial_fit(batch, sample_weight=weight)
        many.partial_fit(np.repeat(batch, weight, axis=0))
        present = weight > 0
        fewer.partial_fit(batch[present], sample_weight=weight[present])
        np.testing.assert_allclose(one.cluster_centers_, many.cluster_centers_, rtol=1e-12)
        np.testing.assert_allclose(one.cluster_centers_, fewer.cluster_centers_, rtol=1e-12)
    assert one.inertia_ == pytest.approx(many.inertia_, rel=1e-12)


def test_a_stream_may_be_cut_into_blocks_and_come_in_any_kind(blobs, tmp_path):
    X, truth = blobs
    write_parquet(tmp_path / "in", X[2000:3000])
    kinds = [
        X[:1000], da.from_array(X[1000:2000], chunks=(130, 4)),
        dkmeans.read_parquet(str(tmp_path / "in"), dtype="float64", block_rows=100),
        Rows.from_array(X[3000:], block_rows=77),
    ]  # fmt: skip
    # columns of files have names, those of arrays have none
    model = small(init=truth + 2)
    for rows in (kinds[0], kinds[1], kinds[3]):
        model.partial_fit(rows)
    stream = by_hand([X[:1000], X[1000:2000], X[3000:]], truth + 2)
    np.testing.assert_allclose(model.cluster_centers_, stream.centers, rtol=1e-10)
    # one pass each, and one to begin
    assert model.n_passes_ == 4
    named = small(init=truth + 2).partial_fit(kinds[2])
    assert named.feature_names_in_.tolist() == ["f0", "f1", "f2", "f3"]
    np.testing.assert_allclose(
        named.cluster_centers_, by_hand([X[2000:3000]], truth + 2).centers, rtol=1e-10
    )


def test_the_first_call_seeds_from_its_rows_and_a_stream_is_repeatable(blobs):
    X, truth = blobs
    models = [small() for _ in range(2)]
    for model in models:
        for batch in np.array_split(X, 5):
            model.partial_fit(batch)
    np.testing.assert_array_equal(models[0].cluster_centers_, models[1].cluster_centers_)
    best = TheirKMeans(10, init=truth, n_init=1).fit(X).inertia_
    assert -models[0].score(X) < 1.02 * best


def test_partial_fit_goes_on_after_fit_in_its_scaling(blobs):
    X, _ = blobs
    model = small(scale="standard").fit(X)
    before, scaling = model.scaled_centers_.copy(), model.model_.scaling
    weights = model._stream.ledger.weight.copy()
    origin = model._stream.ledger.origin
    batch = X[:600] + 1.0
    model.partial_fit(batch)
    scaled = scaling.transform(batch)
    sums = ClusterSums.from_block(blocks_of(scaled, 1)[0], before, origin)
    expected = before + (sums.centers(before) - before) * (
        sums.weight / (weights + sums.weight)
    ).reshape(-1, 1)
    np.testing.assert_allclose(model.scaled_centers_, expected, rtol=1e-9)
    assert model.model_.scaling is scaling
    assert not hasattr(model, "labels_")
    # a new fit begins afresh
    np.testing.assert_array_equal(model.fit(X).scaled_centers_, before)


def test_a_stream_that_cannot_be_is_refused(blobs):
    X, _ = blobs
    with pytest.raises(ArgumentError, match="scale='standard' cannot be learned from a stream"):
        small(scale="standard").partial_fit(X)
    with pytest.raises(TooFewRows, match="n_clusters=10 needs at least 10 rows"):
        small().partial_fit(X[:9])
    with pytest.raises(BadValues):
        small().partial_fit(X[:20], sample_weight=np.zeros(20))
    model = small().partial_fit(X[:500])
    centers, steps = model.cluster_centers_.copy(), model.n_steps_
    with pytest.raises(FeaturesMismatch, match="X has 3 features, but dkmeans is expecting 4"):
        model.partial_fit(X[:500, :3])
    with pytest.raises(BadValues):
        model.partial_fit(np.full((3, 4), np.nan))
    with pytest.raises(ArgumentError, match=r"n_clusters=5 differs from the 10 clusters"):
        model.set_params(n_clusters=5).partial_fit(X[:500])
    np.testing.assert_array_equal(model.cluster_centers_, centers)
    assert model.n_steps_ == steps
    # later batches may be as small as they like
    model.set_params(n_clusters=10).partial_fit(X[:1])
    assert model.n_steps_ == steps + 1


def test_features_with_names_are_those_of_the_first_batch(blobs):
    frame = pd.DataFrame(blobs[0], columns=NAMES)
    model = small().partial_fit(frame[:1000])
    assert model.feature_names_in_.tolist() == NAMES
    with pytest.raises(FeaturesMismatch):
        model.partial_fit(frame.rename(columns={"b": "other"})[:1000])
    expected = small().partial_fit(frame[:1000]).partial_fit(frame[1000:2000])
    model.partial_fit(frame[["d", "b", "a", "c"]][1000:2000])
    np.testing.assert_array_equal(model.cluster_centers_, expected.cluster_centers_)


def test_starved_centers_of_a_stream_are_seeded_again():
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    start = np.array([[0.0, 0.0], [50.0, 0.0], [1e5, 1e5]])
    models = [small(n_clusters=3, init=start, reassignment_ratio=ratio) for ratio in (0.01, 0.0)]
    for _ in range(30):
        batch = means[rng.integers(0, 3, 300)] + rng.normal(size=(300, 2))
        # far away and without weight: no place for a center
        batch = np.concatenate([batch, [[1e7, -1e7]]])
        for model in models:
            model.partial_fit(batch, sample_weight=np.append(np.ones(300), 0.0))
        assert np.abs(models[0].cluster_centers_).max() < (60 if models[0].n_steps_ > 1 else 2e5)
    np.testing.assert_array_equal(models[1].cluster_centers_[2], start[2])


def test_a_stream_that_forgets_follows_a_mixture_that_moves():
    """The lag of centers is the drift of a batch times the half-life over ln 2."""
    means = np.array([[0.0, 0.0], [0.0, 40.0], [0.0, 80.0]])
    half_life, drift = 5.0, 0.1
    options = [
        {"half_life": half_life, "half_life_unit": "batches"},
        {"half_life": half_life * 300, "half_life_unit": "rows"},
        {},
    ]
    models = [small(n_clusters=3, init=means, **one) for one in options]
    rng, lags = np.random.default_rng(0), []
    for number in range(80):
        batch = means[rng.integers(0, 3, 300)] + rng.normal(size=(300, 2))
        batch[:, 0] += drift * number
        lags.append(
            [
                drift * number - model.partial_fit(batch).cluster_centers_[:, 0].mean()
                for model in models
            ]
        )
    expected = drift / (2 ** (1 / half_life) - 1)
    assert expected == pytest.approx(drift * half_life / np.log(2), rel=0.1)
    settled = np.mean(lags[40:], axis=0)
    assert settled[:2] == pytest.approx(expected, rel=0.1)
    assert lags[-1][2] == pytest.approx(drift * 79 / 2, rel=0.05)


def stream_of(n_batches, rows=100_000):
    """Batches of a mixture, made on the fly."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(16, 8)).astype(np.float32) * 5
    for _ in range(n_batches):
        yield means[rng.integers(0, 16, rows)] + rng.standard_normal((rows, 8), np.float32)


def test_the_memory_of_a_stream_does_not_grow():
    """Three million rows in batches of a hundred thousand."""
    model = small(n_clusters=16, half_life=1e6)
    held = []
    tracemalloc.start()
    try:
        for number, batch in enumerate(stream_of(30)):
            model.partial_fit(batch)
            del batch
            if number in (4, 29):
                held.append(tracemalloc.get_traced_memory()[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model.model_.provenance["rows"] == 3_000_000
    assert model.model_.weights.sum() == pytest.approx(1e5 * (1 - 2**-3) / (1 - 2**-0.1))
    assert held[1] - held[0] < 200_000
    # of batches of 3.2 MB
    assert peak < 60e6


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_million_rows_stream_through_the_same_memory():
    model = small(n_clusters=16)
    process, held = psutil.Process(os.getpid()), []
    for number, batch in enumerate(stream_of(1000)):
        model.partial_fit(batch)
        if number in (50, 999):
            held.append(process.memory_info().rss)
    assert model.model_.provenance["rows"] == 100_000_000
    assert model.model_.weights.sum() == 100_000_000
    assert held[1] - held[0] < 30e6


# plans


@pytest.mark.parametrize("stage", ["memory", "disk", "none"])
@pytest.mark.parametrize("scale", [None, "standard"])
def test_what_the_plan_says_at_most_is_enough(blobs, tmp_path, stage, scale):
    write_parquet(tmp_path / "in", blobs[0], n_files=4, row_group_rows=200)
    model = small(scale=scale, max_no_improvement=None, init_size=300)
    with dkmeans.read_parquet(str(tmp_path / "in"), block_rows=100, stage=stage) as rows:
        plan = rows.plan(model)
        rows.limit(max_passes=plan.most_passes, max_bytes=plan.most_bytes_read)
        model.fit(rows)
        assert model.n_iter_ == 6
        assert 8 == model.n_passes_ <= plan.most_passes <= 10
        assert rows.bytes_read <= plan.most_bytes_read
        if stage != "none":
            assert rows.bytes_read <= 2 * plan.source_bytes


def test_the_memory_of_a_task_grows_with_the_sample_and_the_clusters():
    rows = Rows.from_array(np.zeros((400_000, 4)), block_rows=100)
    base = rows.plan(small(init_size=1000)).task_bytes
    larger = rows.plan(small(init_size=101_000)).task_bytes
    # a hundred thousand rows of four doubles, with key, weight and number, in three partials
    assert larger - base == pytest.approx(3 * 100_000 * (4 * 8 + 24), rel=0.01)
    # no more are sampled than there are
    of_all = rows.plan(small(init_size=400_000)).task_bytes
    assert rows.plan(small(init_size=10**9)).task_bytes == of_all > larger
    assert rows.plan(small(n_clusters=50_000, init_size=50_000)).task_bytes > larger


# quality


@pytest.fixture(scope="module")
def overlapping() -> tuple[np.ndarray, float]:
    """Thirty clusters that overlap a little, and the inertia that scikit-learn reaches."""
    rng = np.random.default_rng(100)
    means = rng.normal(size=(30, 16)) * 2
    X = (means[rng.integers(0, 30, 100_000)] + rng.normal(size=(100_000, 16))).astype(np.float32)
    theirs = [
        TheirMiniBatchKMeans(30, n_init=3, random_state=seed).fit(X).inertia_ for seed in range(3)
    ]
    return X, float(np.median(theirs))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clusters_are_as_good_as_scikit_learns(overlapping, seed):
    X, theirs = overlapping
    assert MiniBatchKMeans(30, random_state=seed).fit(X).inertia_ <= 1.01 * theirs


def test_schedulers_give_the_same_bits(blobs):
    array = da.from_array(blobs[0], chunks=(130, 4))
    found = []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            model = small(scale="standard").fit(array)
            found.append((model.cluster_centers_.tobytes(), model.inertia_))
    assert found[0] == found[1]


def test_a_stream_that_goes_on_from_a_fit_counts_each_row_of_it_once(blobs):
    X, _ = blobs
    model = small(max_epochs=4).fit(X)
    assert model.n_iter_ > 1
    labels, sums = model.labels_, model.inertia_
    more = X[:50] + 0.01
    entered = model.scaled_centers_.copy()
    model.partial_fit(more)
    far = ((more[:, None] - entered) ** 2).sum(axis=2)
    assert model.model_.weights.sum() == len(X) + 50
    np.testing.assert_array_equal(
        model.model_.weights, np.bincount(np.append(labels, far.argmin(axis=1)), minlength=10)
    )
    assert model.inertia_ == pytest.approx(sums + far.min(axis=1).sum(), rel=1e-9)


def test_a_whole_epoch_that_brings_nothing_ends_a_fit(blobs):
    X, _ = blobs
    model = small(max_epochs=50, max_no_improvement=10).fit(X)
    assert (model.n_iter_, model.converged_) == (2, True)
    goes_on = small(max_epochs=5, max_no_improvement=None).fit(X)
    assert (goes_on.n_iter_, goes_on.converged_) == (5, False)
