"""What a service tells of itself is what happened, and of its rows what `dkmeans drift` says."""

import dataclasses
import threading
import time
from functools import cache
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dkmeans import KMeans, drift, with_baseline
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import SCALES, Scaling
from dkmeans.partials import merge_all
from dkmeans.service import live as live_module
from dkmeans.service.exposition import LATENCY_SECONDS
from dkmeans.service.following import Served
from dkmeans.service.live import LiveFigures
from dkmeans.service.window import SLOTS, WINDOW_SECONDS, Window, Yardstick

K, D = 5, 4


@pytest.fixture
def X() -> np.ndarray:
    """Integer-valued rows of five clusters, so that many lie at the ends of ranges and bins."""
    return drawn().copy()


@cache
def drawn() -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = rng.integers(-40, 40, (K, D))
    rows = np.round(centers[rng.integers(0, K, 6000)] + 6 * rng.normal(size=(6000, D)))
    return rows.astype(np.float32)


@cache
def fitted(scale: str | None = "standard", filled: bool = False) -> Model:
    """A model of these rows, with a baseline."""
    X = drawn()
    model = KMeans(K, scale=scale, random_state=0).fit(X).model_
    if filled:
        model = dataclasses.replace(model, filling=Filling(X.mean(axis=0, dtype=float)))
    return with_baseline(model, X)


def holed(X: np.ndarray) -> np.ndarray:
    out = X.copy()
    out[::7, 1] = np.nan
    out[::11, 3] = np.nan
    return out


class Follows:
    """Serves what it is told."""

    def __init__(self, model: Model, **more: Any) -> None:
        self.n_looks, self.n_failures, self.looked_at = 7, 2, 1.75e9
        self.problem: str | None = None
        self.served: Served | None = None
        self.serve(model, **more)

    def serve(self, model: Model, version: int | None = 3, name: str = "s3://m/c@champion") -> None:
        number = 1 if self.served is None else self.served.number + 1
        self.served = Served(model, name, version, "s3://m/c", 1.75e9, number)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(live: LiveFigures, X: np.ndarray, served: Served | None = None, step: int = 1) -> None:
    """Answer some rows, `step` at a time, as the service does."""
    served = served or live.followed.served
    model = served.model
    for start in range(0, len(X), step):
        rows = X[start : start + step]
        live.predicted(served, rows, model.assign_scaled(model.scale(rows), by_row=True))


def told(live: LiveFigures) -> dict[str, dict[tuple[str, ...], float]]:
    """What the exposition says, read by Prometheus' own parser: by sample and label values."""
    out: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(live.exposition().decode()):
        assert family.documentation or not family.samples
        for sample in family.samples:
            values = tuple(sample.labels[name] for name in sorted(sample.labels))
            samples = out.setdefault(sample.name, {})
            assert values not in samples
            samples[values] = sample.value
    return out


@pytest.mark.parametrize("scale", [None, *SCALES])
@pytest.mark.parametrize("step", [1, 37, 6000])
def test_live_drift_is_what_drift_says_of_the_same_rows(X, scale, step) -> None:
    model = fitted(scale)
    live = LiveFigures(Follows(model))
    rows = np.concatenate([X[:900], X[:600] + np.float32(3), X[:20] * np.float32(2)])
    answer(live, rows, step=step)
    expected = drift(model, rows)
    samples = told(live)
    assert samples["dkmeans_live_rows"] == {(): len(rows)}
    found = {name: value for (name,), value in samples["dkmeans_live_drift"].items()}
    assert found == {name: expected.figures[name] for name in found}
    assert found.keys() == {"cluster_psi", "outside_share", "beyond_share", "missing_share"}
    assert found["cluster_psi"] > 0
    # on the unit sphere nothing lies far away
    assert scale == "normalize" or min(found["outside_share"], found["beyond_share"]) > 0
    assert samples["dkmeans_live_outside_share"][()] == expected.shares.outside
    assert samples["dkmeans_live_beyond_share"][()] == expected.shares.beyond
    assert samples["dkmeans_baseline_beyond_share"][()] == expected.shares.base_beyond
    for j, cluster_id in enumerate(model.cluster_ids):
        name = (str(cluster_id),)
        assert samples["dkmeans_live_cluster_share"][name] == expected.clusters.share[j]
        assert samples["dkmeans_baseline_cluster_share"][name] == expected.clusters.base_share[j]
        assert samples["dkmeans_cluster_rows_total"][name] == expected.clusters.weight[j]


def test_missing_values_are_told_as_drift_tells_them(X) -> None:
    model = fitted(filled=True)
    live = LiveFigures(Follows(model))
    rows = holed(X[:2000])
    answer(live, rows, step=500)
    expected, samples = drift(model, rows), told(live)
    assert samples["dkmeans_live_drift"][("missing_share",)] == expected.shares.excess_incomplete
    assert samples["dkmeans_live_incomplete_share"][()] == expected.shares.incomplete > 0.2
    shares = samples["dkmeans_live_feature_missing_share"]
    assert list(shares.values()) == pytest.approx(np.isnan(rows).mean(axis=0).tolist())
    assert samples["dkmeans_live_drift"][("outside_share",)] == expected.figures["outside_share"]


def test_distances_are_counted_below_edges_that_the_baseline_has(X) -> None:
    model = fitted()
    live = LiveFigures(Follows(model))
    rows = X[:1500] * np.float32(1.1)
    answer(live, rows, step=100)
    distances = model.assign(rows, by_row=True).distances.astype(float)
    samples = told(live)
    buckets = samples["dkmeans_distance_bucket"]
    edges = live.followed.served.yardstick.edges
    assert len(buckets) == len(edges) + 1 >= 7
    # integer-valued rows may lie on an edge, which counts to what is above
    expected = [(distances < edge * (1 - 1e-7)).sum() for edge in edges]
    assert list(buckets.values())[:-1] == expected
    assert buckets[("+Inf",)] == samples["dkmeans_distance_count"][()] == 1500
    assert samples["dkmeans_distance_sum"][()] == pytest.approx(distances.sum(), rel=1e-5)
    base = model.assign(X, by_row=True).distances.astype(float)
    shares = list(samples["dkmeans_baseline_distance_share"].values())
    assert shares == pytest.approx([(base < e * (1 - 1e-7)).mean() for e in edges], abs=1e-3)
    assert shares == sorted(shares)


def test_too_few_rows_are_not_compared(X) -> None:
    live = LiveFigures(Follows(fitted()))
    answer(live, X[:999], step=50)
    samples = told(live)
    assert "dkmeans_live_drift" not in samples
    assert "dkmeans_live_beyond_share" not in samples
    assert samples["dkmeans_live_rows"][()] == 999
    assert samples["dkmeans_live_least_rows"][()] == 1000
    answer(live, X[:1])
    assert "dkmeans_live_drift" in told(live)
    many = Yardstick.of(dataclasses.replace(fitted(), cluster_ids=np.arange(K)))
    assert many.least_rows == 1000


def test_a_model_without_a_baseline_has_counts_and_no_drift(X) -> None:
    model = dataclasses.replace(fitted(), baseline=None)
    live = LiveFigures(Follows(model))
    answer(live, X, step=3000)
    samples = told(live)
    assert samples["dkmeans_model_has_baseline"][()] == 0
    assert "dkmeans_live_drift" not in samples
    assert sum(samples["dkmeans_cluster_rows_total"].values()) == 6000
    buckets = list(samples["dkmeans_distance_bucket"].values())
    assert buckets == sorted(buckets)
    assert buckets[0] < 600 < 3000 < buckets[-2]


def test_a_swap_begins_anew_and_what_the_old_one_answers_late_is_not_compared(X) -> None:
    model = fitted()
    follows = Follows(model)
    live = LiveFigures(follows)
    answer(live, X[:2000], step=100)
    old = follows.served
    follows.serve(model, version=4)
    assert told(live)["dkmeans_live_rows"][()] == 0
    answer(live, X[:300], step=100)
    answer(live, X[:500], served=old, step=100)
    samples = told(live)
    assert samples["dkmeans_live_rows"][()] == 300
    assert sum(samples["dkmeans_cluster_rows_total"].values()) == 300
    assert samples["dkmeans_rows_total"][()] == 2800
    assert samples["dkmeans_model_swaps_total"][()] == 1
    assert samples["dkmeans_model_version"][()] == 4


def test_the_window_forgets_what_is_an_hour_old(X) -> None:
    clock = Clock()
    live = LiveFigures(Follows(fitted()), clock)
    part = WINDOW_SECONDS / SLOTS
    for n in range(30):
        clock.now = n * part + 1
        answer(live, X[:100], step=100)
        assert told(live)["dkmeans_live_rows"][()] == 100 * min(n + 1, SLOTS)
    clock.now += 5 * part
    assert told(live)["dkmeans_live_rows"][()] == 100 * (SLOTS - 5)
    clock.now += WINDOW_SECONDS
    assert told(live)["dkmeans_live_rows"][()] == 0
    assert sum(told(live)["dkmeans_cluster_rows_total"].values()) == 3000


def test_windows_hold_a_few_parts_whatever_comes(X) -> None:
    yardstick = Yardstick.of(fitted())
    window = Window(yardstick)
    assignment = yardstick.model.assign(X[:50])
    counts = yardstick.count(X[:50], assignment.labels, assignment.sq_distances)
    for n in range(1000):
        window.add(counts, n * 100.0)
    assert len(window._parts) == SLOTS
    assert merge_all([counts, counts]).n_rows == 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [None, "standard", "robust"])
def test_ranges_in_the_units_of_the_data_are_exact(dtype, kind) -> None:
    rng = np.random.default_rng(1)
    X = (rng.normal(size=(400, 3)) * [1e-3, 1.0, 1e6] + [1.0, 0.0, -1e7]).astype(dtype)
    model = with_baseline(KMeans(2, scale=kind, random_state=0).fit(X), X)
    yardstick, base = Yardstick.of(model), model.baseline
    assert yardstick.minimum.dtype == dtype
    # around each end, every float is in the range, or not, as its scaled value is
    for end in (yardstick.minimum, yardstick.maximum):
        rows = [end]
        for _ in range(20):
            rows.insert(0, np.nextafter(rows[0], np.array(-np.inf, dtype)))
            rows.append(np.nextafter(rows[-1], np.array(np.inf, dtype)))
        near = np.array(rows)
        scaled = near if model.scaling is None else model.scaling.transform(near)
        inside = (scaled >= base.minimum) & (scaled <= base.maximum)
        assert 0 < inside.sum() < inside.size
        np.testing.assert_array_equal(
            (near >= yardstick.minimum) & (near <= yardstick.maximum), inside
        )


def test_scalings_that_turn_features_around_are_compared_scaled(X) -> None:
    model = fitted("robust")
    turned = Scaling("robust", model.scaling.shift, -model.scaling.factor)
    model = with_baseline(
        dataclasses.replace(model, scaling=turned, scaled_centers=-model.scaled_centers), X
    )
    live = LiveFigures(Follows(model))
    rows = X[:1200] * np.float32(1.3)
    answer(live, rows, step=100)
    assert told(live)["dkmeans_live_outside_share"][()] == drift(model, rows).shares.outside > 0


def test_requests_are_counted_by_path_status_and_time(X) -> None:
    live = LiveFigures(Follows(fitted()))
    for seconds, status in (
        *((0.0004, 200), (0.001, 200), (0.0011, 200)),
        *((3.0, 422), (99.0, 500), (0.003, 429)),
    ):
        live.begun()
        live.answered("/predict", status, seconds)
        live.ended()
    live.failed("missing_column")
    live.failed("KeyError")
    live.refuse("busy")
    live.begun()
    samples = told(live)
    buckets = samples["dkmeans_request_seconds_bucket"]
    good = [buckets[(f"{edge:.6g}", "/predict", "2xx")] for edge in LATENCY_SECONDS]
    assert good[:3] == [1.0, 2.0, 3.0]
    assert good[-1] == buckets[("+Inf", "/predict", "2xx")] == 3.0
    assert buckets[("30", "/predict", "5xx")] == 0.0
    assert buckets[("+Inf", "/predict", "5xx")] == 1.0
    assert samples["dkmeans_request_seconds_sum"][("/predict", "4xx")] == pytest.approx(3.003)
    assert samples["dkmeans_responses_total"] == {
        ("/predict", "200"): 3.0, ("/predict", "422"): 1.0, ("/predict", "500"): 1.0,
        ("/predict", "429"): 1.0,
    }  # fmt: skip
    assert samples["dkmeans_errors_total"] == {("missing_column",): 1.0, ("KeyError",): 1.0}
    assert samples["dkmeans_refused_total"] == {("busy",): 1.0}
    assert samples["dkmeans_requests_in_flight"] == {(): 1.0}


def test_names_without_end_are_counted_together(X) -> None:
    live = LiveFigures(Follows(fitted()))
    for n in range(1000):
        live.answered(f"/{n}", 200, 0.1)
        live.failed(f"kind{n}")
    samples = told(live)
    for name in (
        "dkmeans_responses_total",
        "dkmeans_errors_total",
        "dkmeans_request_seconds_count",
    ):
        assert sum(samples[name].values()) == 1000
        assert len(samples[name]) <= 66


def test_it_says_which_model_is_served_and_what_is_wrong_with_the_next(X) -> None:
    follows = Follows(fitted())
    live = LiveFigures(follows)
    samples = told(live)
    assert samples["dkmeans_model_info"] == {
        ("float32", str(K), str(D), "s3://m/c@champion", "3"): 1
    }
    assert samples["dkmeans_model_loaded_timestamp_seconds"] == {(): 1.75e9}
    assert samples["dkmeans_model_last_look_timestamp_seconds"] == {(): 1.75e9}
    assert samples["dkmeans_model_problem"] == {(): 0}
    assert (samples["dkmeans_model_looks_total"], samples["dkmeans_ready"]) == ({(): 7}, {(): 1})
    follows.problem = "version 4 cannot be served."
    assert told(live)["dkmeans_model_problem"] == {(): 1}
    follows.serve(fitted(), version=None, name='a "name"\nof\\two lines')
    assert "dkmeans_model_version" not in told(live)
    assert told(live)["dkmeans_model_info"] == {
        ("float32", str(K), str(D), 'a "name"\nof\\two lines', ""): 1
    }
    follows.served = None
    samples = told(live)
    assert samples["dkmeans_ready"] == {(): 0}
    assert "dkmeans_model_info" not in samples


def test_all_names_are_ours_or_the_process_s(X) -> None:
    live = LiveFigures(Follows(fitted()))
    answer(live, X[:2000], step=100)
    assert all(name.startswith(("dkmeans_", "process_")) for name in told(live))


def test_models_of_very_many_clusters_have_no_series_for_each(X, monkeypatch) -> None:
    from dkmeans.service import exposition

    monkeypatch.setattr(exposition, "MOST_SERIES", K - 1)
    live = LiveFigures(Follows(fitted()))
    answer(live, X[:2000], step=100)
    samples = told(live)
    assert "dkmeans_cluster_rows_total" not in samples
    assert "dkmeans_live_cluster_share" not in samples
    assert "dkmeans_live_drift" in samples


def test_rows_wait_in_bounded_number_and_are_not_kept(X) -> None:
    live = LiveFigures(Follows(fitted()))
    answer(live, X[:3000], step=7)
    assert sum(len(rows) for rows, _ in live._pending) < 1024 + 7
    live.exposition()
    assert live._pending == []


def test_threads_lose_no_count(X) -> None:
    live = LiveFigures(Follows(fitted()))

    def work() -> None:
        for _ in range(5):
            answer(live, X[:600], step=13)
            live.begun()
            live.answered("/predict", 200, 0.001)
            live.ended()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        live.exposition()
    for thread in threads:
        thread.join()
    samples = told(live)
    assert samples["dkmeans_live_rows"][()] == samples["dkmeans_rows_total"][()] == 12_000
    assert sum(samples["dkmeans_cluster_rows_total"].values()) == 12_000
    assert samples["dkmeans_responses_total"] == {("/predict", "200"): 20}
    assert samples["dkmeans_requests_in_flight"] == {(): 0}


def test_a_row_costs_microseconds(X) -> None:
    live = LiveFigures(Follows(fitted()))
    served = live.followed.served
    assert served is not None
    one = served.model.assign(X[:1])
    took = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(2048):
            live.predicted(served, X[:1], one)
            live.answered("/predict", 200, 0.001)
        took.append((time.process_time() - began) / 2048)
    # 3 microseconds were measured on an idle machine, 12 on a busy one
    assert min(took) < 30e-6
    assert live_module._BATCH_ROWS <= 2048
