"""Logarithmic bins: edges that hold their values, and loops that count as NumPy does."""

import numpy as np
import pytest

from dkmeans.kernels import log_bins
from dkmeans.kernels.log_bins import DistanceBins, n_signed_cells, signed_edges, signed_sums


@pytest.fixture(params=["numpy", "compiled"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Count by NumPy, and by compiled loops, whatever the size."""
    monkeypatch.setattr(log_bins, "are_compiled", lambda *shape: request.param == "compiled")
    return str(request.param)


def values_of_all_sizes(dtype: str) -> np.ndarray:
    """Magnitudes over the whole range of a dtype, of both signs, zeros, and repeated ones."""
    rng = np.random.default_rng(0)
    least, most = np.log([1e-40, 1e16] if dtype == "float32" else [1e-300, 1e150])
    found = np.exp(rng.uniform(least, most, 3000)) * rng.choice([-1, 1], 3000)
    found = np.concatenate([found, rng.normal(size=3000), [0.0, -0.0, 1.0, -1.0, 1.0]])
    return found.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bits", [0, 3, 5])
def test_every_value_lies_between_the_edges_of_its_bin(path: str, dtype: str, bits: int) -> None:
    values = values_of_all_sizes(dtype)
    for one in values[::7].tolist() + values[-5:].tolist():
        keys, sums = signed_sums(np.array([[one]], dtype), None, np.zeros(1), bits)
        assert sums.tolist() == [1.0]
        low, high = signed_edges(keys, bits)
        exact = float(np.dtype(dtype).type(one))
        assert low[0] <= exact < high[0] if exact >= 0 else low[0] < exact <= high[0]
        if abs(exact) > 1e-300:
            width = (high[0] - low[0]) / min(abs(low[0]), abs(high[0]))
            assert 2.0**-bits / 2 <= width <= 2.0**-bits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bins_ascend_as_values_do_and_hold_all_weight(path: str, dtype: str) -> None:
    values = values_of_all_sizes(dtype)
    weight = np.random.default_rng(1).integers(0, 4, len(values)).astype(float)
    X = np.asfortranarray(np.column_stack([values, -values, values * 0]))
    keys, sums = signed_sums(X, weight, np.zeros(3), 3)
    assert (np.diff(keys) > 0).all()
    n_cells = n_signed_cells(3)
    for feature in range(3):
        of_feature = keys // n_cells == feature
        low, high = signed_edges(keys[of_feature] - feature * n_cells, 3)
        assert (np.diff(low) > 0).all()
        expected = [
            weight[(X[:, feature] >= a if a >= 0 else X[:, feature] > a)
                   & (X[:, feature] < b if a >= 0 else X[:, feature] <= b)].sum()
            for a, b in zip(low, high)
        ]  # fmt: skip
        np.testing.assert_array_equal(sums[of_feature], expected)
        assert sums[of_feature].sum() == weight.sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (5000, 3), (40, 900)])
def test_loops_count_as_numpy_does(
    monkeypatch: pytest.MonkeyPatch, dtype: str, weighted: bool, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(2)
    X = np.asfortranarray(np.exp(rng.normal(size=shape) * 9) * rng.choice([-1, 1], shape), dtype)
    weight = rng.integers(0, 3, shape[0]) * 0.37 if weighted else None
    origin = rng.normal(size=shape[1])
    labels = rng.integers(0, 4, shape[0]).astype(np.int32)
    bins = DistanceBins.of(3.0, 4)
    found = []
    for compiled in (False, True):
        monkeypatch.setattr(log_bins, "are_compiled", lambda *shape, c=compiled: c)
        table = bins.table(np.abs(X[:, 0]), labels, weight, 4)
        found.append((*signed_sums(X, weight, origin, 3), table))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_loops_take_rows_of_any_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(3).normal(size=(300, 4))
    X.flags.writeable = False
    monkeypatch.setattr(log_bins, "are_compiled", lambda *shape: True)
    expected = signed_sums(np.asfortranarray(X), None, np.zeros(4), 3)
    for one in (X, X[::2].repeat(2, axis=0)[:300], np.asfortranarray(X)[10:]):
        keys, sums = signed_sums(one, None, np.zeros(4), 3)
        assert sums.sum() == one.size
        if len(one) == 300 and (one == X).all():
            np.testing.assert_array_equal(keys, expected[0])


@pytest.mark.parametrize("typical", [1e-280, 1e-9, 0.0, 1.0, 37.5, 1e30, 1e290])
@pytest.mark.parametrize("n_clusters", [1, 1000, 20_000])
def test_squared_distances_lie_between_the_edges_of_their_bins(
    path: str, typical: float, n_clusters: int
) -> None:
    bins = DistanceBins.of(typical, n_clusters)
    edges = bins.edges
    assert len(edges) == bins.n_cells
    assert (np.diff(edges) > 0).all()
    assert n_clusters * bins.n_cells * 8 <= 17 * 2**20
    unit = typical or 1.0
    values = unit * np.exp(np.random.default_rng(4).uniform(-12, 12, 500))
    values = np.concatenate([values, [0.0, unit * 1e-9, unit * 1e9], edges[1:400:7]])
    labels = np.zeros(len(values), np.int32)
    row = bins.table(values, labels, None, 1)[0]
    np.testing.assert_array_equal(row, np.histogram(values, [*edges, np.inf])[0])
    widths = np.diff(np.sqrt(edges[1:])) / np.sqrt(edges[1:-1])
    assert widths.max() <= 2.0**-bins.bits
    if n_clusters <= 1000:
        # the resolution that is stated
        assert 0.007 < widths.min() < widths.max() < 0.016
