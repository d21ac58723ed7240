"""What a profile asks of its passes is at least what its partials take."""

import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dkmeans.evaluation.block_statistics import of_block
from dkmeans.evaluation.demand import profile_demand, sweep_demand
from dkmeans.evaluation.profiles import survey
from dkmeans.evaluation.profiles.survey import Count, Survey, profile_step
from dkmeans.evaluation.statistics import Clusters, Task
from dkmeans.evaluation.sweeps.scores import sampling_of
from dkmeans.kernels.block import Block
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling


def model_of(k: int, d: int, dtype: str) -> Model:
    centers = np.random.default_rng(0).normal(size=(k, d))
    return Model(centers, None, None, dtype, np.arange(k), np.ones(k), np.ones(k), centers)


def n_bytes(value: object) -> int:
    return len(pickle.dumps(value))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_examples", [0, 5])
@pytest.mark.parametrize(("k", "d"), [(3, 40), (200, 20), (50, 2)])
def test_partials_and_broadcasts_take_what_is_said(k, d, n_examples, dtype, monkeypatch):
    # so few that all else matters, too
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 1000)
    monkeypatch.setattr(survey, "SAMPLE_ROWS_OF_A_CLUSTER", 1)
    model, demand = model_of(k, d, dtype), profile_demand(model_of(k, d, dtype), n_examples)
    X = np.random.default_rng(1).normal(size=(9000, d)).astype(dtype)
    block = Block(np.asfortranarray(X), ((0, 9000),))
    work = Survey.of(model, None, None, n_examples, 0)
    first, labels = profile_step(block, None, work)
    count = Count(np.sort(np.random.default_rng(2).normal(size=(k, d, 79)), axis=2))
    second, _ = profile_step(block, labels, count)
    row = d * np.dtype(dtype).itemsize + 24
    stated = demand.sampled_rows * row + demand.scaling_bytes
    # headers of pickles apart
    assert 0.9 * stated <= n_bytes(first) <= stated + 4000
    assert 0.9 * demand.partial_bytes <= n_bytes(second) <= demand.partial_bytes + 2000
    assert n_bytes((work, count)) <= demand.broadcast_bytes + 4000
    assert labels.nbytes == demand.state_bytes * block.n_rows
    assert demand.n_passes == 2


def peak_of(step: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n_rows", "k", "d", "n_examples"),
    [(600_000, 10, 4, 10), (600_000, 10, 4, 0), (150_000, 30, 32, 3), (20_000, 400, 16, 5)],
)
def test_a_step_takes_no_more_memory_than_is_said(n_rows, k, d, n_examples, weighted):
    rng = np.random.default_rng(0)
    model = replace(
        model_of(k, d, "float32"),
        scaling=Scaling("standard", np.zeros(d), np.ones(d)),
        weights=np.full(k, n_rows / k),
    )
    weight = rng.uniform(0, 2, n_rows) if weighted else None
    X = np.asfortranarray(rng.normal(size=(n_rows, d)).astype(np.float32))
    block, demand = Block(X, ((0, n_rows),), weight), profile_demand(model, n_examples)
    first = min(n_rows, demand.sampled_rows) * (4 * d + 24) + demand.scaling_bytes
    stated = (
        X.nbytes
        + n_rows * demand.row_bytes
        + demand.tile_bytes
        + demand.scratch_bytes
        + demand.broadcast_bytes
        + 3 * max(first, demand.partial_bytes)
    )
    work = Survey.of(model, None, n_rows, n_examples, 0)
    count = Count(np.sort(rng.normal(size=(k, d, 79)), axis=2))
    labels = profile_step(block, None, work)[1]
    peaks = [
        peak_of(lambda: profile_step(block, None, work)),
        peak_of(lambda: profile_step(block, labels, count)),
    ]
    # a step makes one of the three partials that are stated
    assert 0.2 * stated < max(peaks) <= stated


def test_the_sample_and_the_products_keep_to_their_budgets():
    assert survey.sample_rows(10, 32, "float64") == 20_000
    assert survey.sample_rows(200, 32, "float64") == 40_000
    assert survey.sample_rows(1000, 768, "float32") * 768 * 4 <= survey.SAMPLE_BYTES
    assert survey.sample_rows(1000, 768, "float32") > 5000
    assert survey.has_scatter(100, 200)
    assert not survey.has_scatter(1000, 768)
    demand = profile_demand(model_of(1000, 768, "float32"), 0)
    assert demand.partial_bytes <= 64 * 2**20
    assert demand.scaling_bytes <= 6 * 1000 * 768 * 8


def test_the_second_step_needs_the_labels_of_the_first():
    block = Block(np.ones((3, 2), order="F"), ((0, 3),))
    with pytest.raises(ValueError, match="after the one that assigns"):
        profile_step(block, None, Count(np.zeros((1, 2, 1))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("counts", "d"), [((2, 5, 30), 40), (tuple(range(2, 60)), 3)])
def test_figures_of_a_sweep_take_what_is_said(counts, d, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9000, d)).astype(dtype)
    demand = sweep_demand(counts, 500, d, dtype)
    tasks, partials = [], []
    for k in counts:
        model = model_of(k, d, dtype)
        labels = model.predict(X)
        found = Clusters(np.bincount(labels, minlength=k) * 1.0, model.scaled_means, np.ones(k), 0)
        needs = frozenset(("margins", "spread", "squared"))
        centers = model.scaled_centers.copy()
        task = Task(needs, tuple(range(k)), centers, found)
        tasks.append(task)
        partials.append(of_block(Block(np.asfortranarray(X), ((0, 9000),)), None, task)[0])
    kept = sampling_of(500, 0).size + 1
    assert demand.sampled_rows == kept == 20_001
    # headers of pickles, and names of clusters, apart
    extra = sum(1500 + 8 * k for k in counts)
    assert n_bytes(tasks) <= demand.broadcast_bytes + extra
    assert n_bytes(partials) <= demand.partial_bytes + extra
    assert demand.partial_bytes <= 2 * n_bytes(partials)
    assert 0.9 * demand.broadcast_bytes <= n_bytes(tasks)
    assert demand.scaling_bytes == demand.partial_bytes
    assert demand.n_passes == 1
