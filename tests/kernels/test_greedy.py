"""Steps of greedy k-means++, compiled and not: what they choose, and what they never draw."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dkmeans.kernels import greedy
from dkmeans.kernels.greedy import Plain, greedy_rows
from dkmeans.kernels.greedy_loops import _TILE_BYTES, Compiled

DTYPES = ["float32", "float64"]


@pytest.fixture(params=["compiled", "NumPy"])
def kind(request, monkeypatch):
    monkeypatch.setattr(greedy, "are_compiled", lambda *shape: request.param == "compiled")
    return request.param


def well_separated(n_rows, n_features, dtype, n_groups=40):
    rng = np.random.default_rng(7)
    means = rng.normal(size=(n_groups, n_features)) * 50
    X = means[rng.integers(0, n_groups, n_rows)] + rng.normal(size=(n_rows, n_features))
    return np.asfortranarray(X, dtype), rng.uniform(0.5, 2, n_rows)


def chosen_by_definition(X, weight, n_clusters, n_trials, generator):
    """As the paper says it, in float64: every distance by its definition."""
    X = X.astype(np.float64)

    def draw(importance, size):
        shares = np.cumsum(importance) / importance.sum()
        return [int(np.argmax(shares > u)) for u in generator.random(size)]

    rows = draw(weight, 1)
    far = ((X - X[rows[0]]) ** 2).sum(axis=1)
    while len(rows) < n_clusters:
        tried = draw(weight * far, n_trials)
        lowered = [np.minimum(far, ((X - X[row]) ** 2).sum(axis=1)) for row in tried]
        best = int(np.argmin([(weight * some).sum() for some in lowered]))
        rows.append(tried[best])
        far = lowered[best]
    return rows, (weight * far).sum()


def cost_of(X, weight, rows):
    X = X.astype(np.float64)
    far = np.min([((X - X[row]) ** 2).sum(axis=1) for row in rows], axis=0)
    return (weight * far).sum()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_rows", "n_features", "n_trials"),
    [(20_011, 1, 3), (9001, 7, 1), (8192, 8, 6), (20_011, 19, 6), (5, 3, 4), (700, 300, 12)],
)
def test_the_same_draws_choose_the_same_rows_as_the_definition(
    kind, dtype, n_rows, n_features, n_trials
):
    X, weight = well_separated(n_rows, n_features, dtype)
    k = min(30, n_rows)
    rows = greedy_rows(X, weight, k, n_trials, np.random.default_rng(3))
    expected, cost = chosen_by_definition(X, weight, k, n_trials, np.random.default_rng(3))
    if n_features > 1:
        assert rows.tolist() == expected
    np.testing.assert_allclose(cost_of(X, weight, rows), cost, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_distances_are_those_to_the_nearest_chosen_row(dtype):
    X, weight = well_separated(20_011, 11, dtype)
    X += np.dtype(dtype).type(1e4)
    for steps in (Plain(X, weight), Compiled(X, weight, 5)):
        steps.begin(17)
        rows = [17, *(steps.choose(np.random.default_rng(i).random(5)) for i in range(20))]
        exact = X.astype(np.float64)
        far = np.min([((exact - exact[row]) ** 2).sum(axis=1) for row in rows], axis=0)
        np.testing.assert_allclose(steps.sq_distances, far, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_compiled_steps_choose_what_numpy_does_far_from_zero(dtype, monkeypatch):
    X, weight = well_separated(30_000, 8, dtype)
    X += np.dtype(dtype).type(1e4)
    chosen = []
    for compiled in (True, False):
        monkeypatch.setattr(greedy, "are_compiled", lambda *shape, yes=compiled: yes)
        chosen.append(greedy_rows(X, weight, 40, 5, np.random.default_rng(0)).tolist())
    assert chosen[0] == chosen[1]


def test_a_weight_of_two_is_two_copies(kind):
    X, _ = well_separated(4001, 5, "float32")
    copies = np.random.default_rng(1).integers(0, 4, len(X))
    written_out = np.asfortranarray(np.repeat(X, copies, axis=0))
    for seed in range(5):
        weighted = greedy_rows(X, copies.astype(float), 20, 4, np.random.default_rng(seed))
        ones = np.ones(len(written_out))
        repeated = greedy_rows(written_out, ones, 20, 4, np.random.default_rng(seed))
        np.testing.assert_array_equal(X[weighted], written_out[repeated])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_weight_zero_are_never_chosen(kind, dtype):
    n_rows = 3 * (_TILE_BYTES // np.dtype(dtype).itemsize) + 5
    X = np.asfortranarray(np.random.default_rng(0).normal(size=(n_rows, 3)), dtype)
    weight = np.zeros(n_rows)
    some = np.random.default_rng(1).choice(n_rows // 3, 25, replace=False) + n_rows // 3
    weight[some] = 1
    X[weight == 0] *= 1000
    for seed in range(5):
        rows = greedy_rows(X, weight, 25, 4, np.random.default_rng(seed))
        assert sorted(rows) == sorted(some)


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(1, 0)])
def test_the_ends_of_what_can_be_drawn_are_rows_of_some_importance(uniform):
    X = np.asfortranarray(np.random.default_rng(0).normal(size=(40_000, 2)), np.float32)
    weight = np.zeros(len(X))
    weight[100:39_000] = 0.1
    weight[20_000:30_000] = 0
    steps = Compiled(X, weight, 1)
    steps.begin(100)
    assert steps.choose(np.array([uniform])) == (101 if uniform == 0 else 38_999)


def test_rounding_does_not_lead_past_the_last_row_of_some_importance():
    random = np.random.default_rng(0)
    for _ in range(30):
        X = np.asfortranarray(random.normal(size=(20_000, 1)), np.float32)
        weight = random.uniform(size=len(X))
        weight[:100] = weight[9000:] = 0
        steps = Compiled(X, weight, 1)
        steps.begin(100)
        assert 100 < steps.choose(np.array([np.nextafter(1, 0)])) < 9000


@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_are_in_proportion_to_weighted_squared_distance(dtype):
    X = np.zeros((20_000, 1), dtype, order="F")
    X[[5, 9000, 19_999], 0] = 1, 2, 3
    weight = np.ones(len(X))
    weight[9000] = 2
    uniforms = np.random.default_rng(2).random(2000)
    drawn = []
    for uniform in uniforms:
        steps = Compiled(X, weight, 1)
        steps.begin(0)
        drawn.append(steps.choose(np.array([uniform])))
    # of 1, 2 * 4 and 9
    expected = np.array([5, 9000, 19_999])[np.searchsorted([1 / 18, 0.5], uniforms, side="right")]
    np.testing.assert_array_equal(drawn, expected)


def test_duplicates_are_chosen_again_only_where_nothing_else_is_left(kind):
    distinct = np.random.default_rng(0).integers(-50, 50, (12, 4)).astype(np.float32)
    X = np.asfortranarray(np.tile(distinct, (900, 1)))
    for seed in range(5):
        rows = greedy_rows(X, np.ones(len(X)), 15, 4, np.random.default_rng(seed))
        assert len(rows) == 15
        assert len(np.unique(X[rows[:12]], axis=0)) == 12


def test_rows_that_all_coincide_are_repeated(kind):
    X = np.full((10_000, 3), 0.1, np.float32, order="F")
    weight = np.zeros(len(X))
    weight[[7, 8000]] = 1
    rows = greedy_rows(X, weight, 6, 4, np.random.default_rng(0))
    assert len(rows) == 6
    assert set(rows) <= {7, 8000}


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e25])
def test_squares_may_leave_the_range_of_float32(kind, scale):
    X, weight = well_separated(9000, 4, "float32")
    scaled = X * np.float32(scale)
    for seed in range(3):
        rows = greedy_rows(scaled, weight, 20, 4, np.random.default_rng(seed))
        expected, _ = chosen_by_definition(scaled, weight, 20, 4, np.random.default_rng(seed))
        assert rows.tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_layout_does_not_matter(kind, dtype):
    X, weight = well_separated(9000, 6, dtype)
    wider = np.zeros((9100, 12), dtype, order="F")
    wider[50:9050, ::2] = X
    layouts = X, np.ascontiguousarray(X), wider[50:9050, ::2], X[::-1][::-1], X[:, ::-1]
    chosen = [greedy_rows(some, weight, 20, 4, np.random.default_rng(0)) for some in layouts]
    for rows in chosen[1:]:
        np.testing.assert_array_equal(rows, chosen[0])


def test_threads_side_by_side_choose_what_one_does(kind):
    X, weight = well_separated(20_000, 9, "float32")
    X.flags.writeable = weight.flags.writeable = False

    def chosen(seed):
        return greedy_rows(X, weight, 20, 5, np.random.default_rng(seed)).tolist()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(chosen, range(8))) == [chosen(seed) for seed in range(8)]


def test_large_samples_are_compiled_and_small_ones_wait_for_no_compiler():
    X, weight = well_separated(20_000, 32, "float32")
    assert isinstance(greedy._begun(X, weight, 6, 0), Compiled)
    assert isinstance(greedy._begun(X[:1000], weight[:1000], 6, 0), Plain)
