"""The compiled loops: vectors against plain loops, refusals, what waits for no compiler."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from dkmeans.kernels import choice, compiled, numpy_tiles, plain, simd
from tests.conftest import loops_without_vectors

DTYPES = ["float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_features", "n_centers"),
    [(1, 1), (2, 8), (3, 9), (5, 2), (6, 8), (7, 8), (16, 20), (40, 64), (300, 530)],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_vectors_compute_what_plain_loops_do(n_features, n_centers, weighted, dtype, monkeypatch):
    # integers about a mean of zero: both are exact, whatever they are added up in
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.integers(-4, 5, (1003, n_features)), dtype)
    centers = np.zeros((n_centers, n_features))
    half = n_centers // 2
    centers[:half] = rng.integers(-4, 5, (half, n_features))
    centers[half : 2 * half] = -centers[:half]
    weight = rng.integers(0, 4, 1003).astype(np.float64) if weighted else None
    origin = rng.integers(-3, 4, n_features).astype(np.float64)
    labels = rng.integers(0, n_centers, 1003)

    def results():
        yield from compiled.sums_of_nearest(X, weight, centers, origin)
        yield compiled.sums_by_label(X, labels, weight, origin, n_centers)
        yield compiled.sq_distances_to(X, centers, labels)
        yield compiled.distances(X, centers)
        for n_best in (1, 2)[:n_centers]:
            yield from compiled.nearest(X, centers, n_best)
        if n_centers > 1:
            yield compiled.nearest_other(X, centers, labels, None)[1]

    with_vectors = list(results())
    assert compiled.loops(np.dtype(dtype)).n_strip > 1
    monkeypatch.setattr(compiled, "_loops", loops_without_vectors)
    for found, expected in zip(with_vectors, results(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_labels_may_lie_apart_in_memory():
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.normal(size=(1003, 5)))
    labels = rng.integers(0, 7, (1003, 2)).astype(np.int32)[:, 1]
    assert not labels.flags.c_contiguous
    sums = [
        compiled.sums_by_label(X, of_rows, None, np.zeros(5), 7)
        for of_rows in (labels, labels.copy())
    ]
    np.testing.assert_array_equal(*sums)
    far = [compiled.sq_distances_to(X, X[:7], of_rows) for of_rows in (labels, labels.copy())]
    np.testing.assert_array_equal(*far)


def test_where_vectors_are_refused_plain_loops_take_their_place(monkeypatch, caplog):
    def refuse(itemsize):
        raise RuntimeError("LLVM ERROR: unknown vector")

    monkeypatch.setattr(simd, "width", refuse)
    loops = compiled._loops.__wrapped__(np.dtype("float32"))
    assert (loops.panel, loops.n_strip, loops.n_lanes) == (plain.PANEL, 1, 1)
    assert "unknown vector" in caplog.text
    X = np.asfortranarray([[0.0], [2.0], [9.0]], np.float32)
    labels, sq_distances = compiled._nearest(loops, X, np.array([[1.0], [8.0]]), 1)
    assert labels.tolist() == [[0, 0, 1]]
    assert sq_distances.tolist() == [[1, 1, 1]]


def test_loops_that_are_wrong_are_not_used(monkeypatch, caplog):
    right = compiled._compile(simd, np.dtype("float64"))

    def wrong(*args):
        right.assign(*args)
        args[9][:] = 0

    monkeypatch.setattr(
        compiled,
        "_compile",
        lambda module, dtype: replace(right, assign=wrong) if module is simd else right,
    )
    assert compiled._loops.__wrapped__(np.dtype("float64")) is right
    assert "wrong results" in caplog.text


def test_the_kernel_depends_on_the_shape_alone():
    small, large = np.zeros((300, 4)), np.zeros((300_000, 4))
    assert choice.kernels(small, 3) is numpy_tiles
    assert choice.kernels(large, 3) is compiled
    assert choice.kernels(large[::-1].astype("float32"), 3) is compiled
    assert choice.kernels(small, 3000) is compiled


def test_without_a_compiler_numpy_computes(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert choice.kernels(np.zeros((300_000, 4)), 3) is numpy_tiles


def test_small_inputs_do_not_import_the_compiler():
    code = """
import sys
import numpy as np
import dkmeans
X = np.random.default_rng(0).normal(size=(2000, 5))
dkmeans.KMeans(3, random_state=0).fit(X).predict(X)
assert "dkmeans.kernels.simd" not in sys.modules
X = np.random.default_rng(0).normal(size=(400_000, 10))
dkmeans.KMeans(3, random_state=0, max_iter=1).fit(X)
assert "dkmeans.kernels.simd" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_what_is_compiled_is_kept(tmp_path):
    code = """
import numpy as np
from dkmeans.kernels import compiled
compiled.loops(np.dtype("float32"))
"""
    cache = tmp_path / "cache"
    environment = {"NUMBA_CACHE_DIR": str(cache), "PATH": "/usr/bin:/bin"}
    run = [sys.executable, "-c", code]
    subprocess.run(run, check=True, timeout=120, env=environment)
    kept = sorted(cache.rglob("simd.assign*.nbc"))
    assert len(kept) == 1
    written = kept[0].stat().st_mtime_ns
    subprocess.run(run, check=True, timeout=120, env=environment)
    assert sorted(cache.rglob("simd.assign*.nbc")) == kept
    assert kept[0].stat().st_mtime_ns == written


def test_a_full_disk_costs_the_cache_and_nothing_else(monkeypatch):
    from numba.core import caching

    def full(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    monkeypatch.setattr(caching.IndexDataCacheFile, "load", lambda self, key: None)
    assign = compiled._compile(simd, np.dtype("float32")).assign
    assert assign.stats.cache_path is None


def test_where_nothing_can_be_written_loops_are_compiled_all_the_same(monkeypatch, caplog):
    from numba.core import caching

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    caplog.set_level("INFO")
    right = compiled._compile(simd, np.dtype("float32"))
    assert "NUMBA_CACHE_DIR" in caplog.text
    compiled._try(right, np.dtype("float32"))
