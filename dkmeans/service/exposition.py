"""The figures of a service in the text format of Prometheus: all begin with `dkmeans_`.

References
----------
.. [1] Prometheus, "Exposition formats: text-based format".
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from dkmeans.partials.together import Together
from dkmeans.service.following import Served
from dkmeans.service.window import SLOTS, WINDOW_SECONDS, Live, Yardstick

if TYPE_CHECKING:
    from dkmeans.service.live import LiveFigures

LATENCY_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Upper ends of the bins of latencies."""

MOST_SERIES = 1000
"""Models of more clusters, or of more features, have no series for each."""


def exposition(figures: "LiveFigures") -> bytes:
    """Return all figures, those of the process included."""
    registry = CollectorRegistry()
    registry.register(_Collector(figures))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, figures: "LiveFigures") -> None:
        self._figures = figures

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield from _of_requests(figures)
        served = figures.followed.served
        yield from _of_following(figures, served)
        found = figures.traffic()
        if found is not None:
            traffic, total, window = found
            yield from _of_rows(traffic.yardstick, total)
            yield from _of_baseline(traffic.yardstick)
            yield from _of_window(traffic.yardstick, window)


def _of_requests(figures: "LiveFigures") -> Iterator[Metric]:
    latency = HistogramMetricFamily(
        "dkmeans_request_seconds",
        "Seconds from a request to the end of its answer.",
        labels=("path", "status"),
    )
    for (path, status), found in list(figures.latencies.items()):
        *bins, seconds = list(found)
        ends = [*map(_edge, LATENCY_SECONDS), "+Inf"]
        buckets = list(zip(ends, np.cumsum(bins).tolist(), strict=True))
        latency.add_metric((path, status), buckets, seconds)
    yield latency
    yield _counter(
        "responses", "Answers by path and status.", ("path", "status"), figures.responses.by_name
    )
    yield _counter("errors", "Requests that failed, by kind.", ("type",), figures.errors.by_name)
    yield _counter(
        "refused", "Requests sent away unread, by why.", ("reason",), figures.refused.by_name
    )
    yield CounterMetricFamily("dkmeans_rows", "Rows assigned to clusters.", figures.n_rows)
    yield _gauge("requests_in_flight", "Requests that are being answered.", figures.in_flight)


def _of_following(figures: "LiveFigures", served: Served | None) -> Iterator[Metric]:
    followed = figures.followed
    yield _gauge("ready", "Whether a model is served (1) or not (0).", served is not None)
    problem = followed.problem is not None
    yield _gauge(
        "model_problem",
        "Whether something keeps the model from being followed (1) or not (0).",
        problem,
    )
    yield CounterMetricFamily("dkmeans_model_looks", "Looks for another model.", followed.n_looks)
    yield CounterMetricFamily(
        "dkmeans_model_look_failures", "Looks and loadings that failed.", followed.n_failures
    )
    if followed.looked_at is not None:
        yield _gauge(
            "model_last_look_timestamp_seconds", "When a look last succeeded.", followed.looked_at
        )
    if served is None:
        return
    info = {
        "name": served.name,
        "version": "" if served.version is None else str(served.version),
        "n_clusters": str(served.model.n_clusters),
        "n_features": str(served.model.n_features),
        "dtype": served.model.dtype,
    }
    yield InfoMetricFamily("dkmeans_model", "The model that is served.", info)
    if served.version is not None:
        yield _gauge("model_version", "Version of the model that is served.", served.version)
    yield _gauge("model_loaded_timestamp_seconds", "When it began to be served.", served.loaded_at)
    yield CounterMetricFamily(
        "dkmeans_model_swaps", "How often another model began to be served.", served.number - 1
    )


def _of_rows(yardstick: Yardstick, total: Together) -> Iterator[Metric]:
    """Counts since the model is served."""
    model, totals = yardstick.model, total["clusters"].totals
    counts, distances = totals[0], total["distances"]
    below = yardstick.below_edges(distances).tolist()
    edges = [*map(_edge, yardstick.edges.tolist()), "+Inf"]
    buckets = list(zip(edges, [*below, float(counts.sum())], strict=True))
    histogram = HistogramMetricFamily(
        "dkmeans_distance",
        "Distances of rows to their center, where the model measures them, since it is served.",
        buckets=buckets,
        sum_value=float(totals[2].sum()),
    )
    yield histogram
    if model.n_clusters <= MOST_SERIES:
        yield _by_cluster_rows(model.cluster_ids.tolist(), counts.tolist())


def _by_cluster_rows(ids: list[int], counts: list[float]) -> Metric:
    family = CounterMetricFamily(
        "dkmeans_cluster_rows",
        "Rows assigned to a cluster since the model is served.",
        labels=("cluster_id",),
    )
    for one, count in zip(ids, counts, strict=True):
        family.add_metric((str(one),), count)
    return family


def _of_baseline(yardstick: Yardstick) -> Iterator[Metric]:
    model = yardstick.model
    base = model.baseline
    yield _gauge(
        "model_has_baseline", "Whether the model has rows to compare with.", base is not None
    )
    if base is None:
        return
    if model.n_clusters <= MOST_SERIES:
        yield _by_cluster(
            "baseline_cluster_share", "Share of a cluster in the baseline.", model.cluster_ids,
            base.shares,
        )  # fmt: skip
    family = GaugeMetricFamily(
        "dkmeans_baseline_distance_share",
        "Share of the rows of the baseline nearer to their center than the distance `le`.",
        labels=("le",),
    )
    ends = np.concatenate([[0.0], np.cumsum(base.distance_table.sum(axis=0))])
    below = ends[yardstick.edge_cells] / ends[-1]
    for edge, share in zip(yardstick.edges.tolist(), below.tolist(), strict=True):
        family.add_metric((_edge(edge),), share)
    yield family


def _of_window(yardstick: Yardstick, window: Together) -> Iterator[Metric]:
    """Rows of the last hour, and how they compare with the baseline."""
    model = yardstick.model
    yield _gauge(
        "live_window_seconds",
        f"Length of the window that is compared, which loses a {SLOTS}th at a time.",
        WINDOW_SECONDS,
    )
    yield _gauge("live_rows", "Rows in the window.", window.n_rows)
    yield _gauge(
        "live_least_rows", "Rows from which on a window is compared.", yardstick.least_rows
    )
    counts = window["clusters"].totals[0]
    if model.n_clusters <= MOST_SERIES and window.n_rows:
        shares = counts / counts.sum()
        yield _by_cluster(
            "live_cluster_share", "Share of a cluster in the window.", model.cluster_ids, shares
        )
    found = yardstick.compared(window)
    if found is not None:
        yield from _of_live(found)
    missing = window["missing"]
    if found is not None and model.filling is not None and model.n_features <= MOST_SERIES:
        family = GaugeMetricFamily(
            "dkmeans_live_feature_missing_share",
            "Share of the rows of the window that lack a feature.",
            labels=("feature",),
        )
        names = model.feature_names or tuple(f"x{j}" for j in range(model.n_features))
        for name, share in zip(names, (missing.by_feature / missing.weight).tolist(), strict=True):
            family.add_metric((name,), share)
        yield family


def _of_live(found: Live) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "dkmeans_live_drift",
        "What `dkmeans drift` says of the rows of the window, by its thresholds' names.",
        labels=("metric",),
    )
    for name, value in found.figures.items():
        if not math.isnan(value):
            family.add_metric((name,), value)
    yield family
    shares = found.shares
    for name, text, now, then in (
        ("outside", "outside the range of the baseline's", shares.outside, 0.0),
        ("beyond", "farther from their center than 99 % were", shares.beyond, shares.base_beyond),
        ("incomplete", "that lack a value", shares.incomplete, shares.base_incomplete),
    ):
        yield _gauge(f"live_{name}_share", f"Share of the rows of the window {text}.", now)
        if not math.isnan(then):
            yield _gauge(f"baseline_{name}_share", f"Share of those of the baseline {text}.", then)


def _by_cluster(name: str, text: str, ids: np.ndarray, values: np.ndarray) -> Metric:
    family = GaugeMetricFamily(f"dkmeans_{name}", text, labels=("cluster_id",))
    for one, value in zip(ids.tolist(), values.tolist(), strict=True):
        family.add_metric((str(one),), value)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"dkmeans_{name}", text, float(value))


def _counter(
    name: str, text: str, labels: tuple[str, ...], found: Mapping[tuple[str, ...], float]
) -> Metric:
    family = CounterMetricFamily(f"dkmeans_{name}", text, labels=labels)
    for names, value in list(found.items()):
        family.add_metric(names, value)
    return family


def _edge(value: float) -> str:
    """A bin's upper end, in so many digits that it is told from others."""
    return f"{value:.6g}"
