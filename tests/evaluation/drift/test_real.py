"""Drift of real rows: halves drawn at random have none, what came later has, where it has."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dkmeans import KMeans, drift, with_baseline


def taxi(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Trips of a month, the earliest first, and the time at which each began."""
    table = pq.read_table(folder / "green_taxi_2022_01.parquet")
    began, ended = (
        table[name].to_numpy() for name in ("lpep_pickup_datetime", "lpep_dropoff_datetime")
    )
    miles = table["trip_distance"].to_numpy()
    minutes = (ended - began) / np.timedelta64(60, "s")
    hour = (began - began.astype("datetime64[D]")) / np.timedelta64(3600, "s")
    X = np.column_stack([miles, minutes, hour])
    usual = (miles < 100) & (minutes > 0) & (minutes < 120)
    order = np.argsort(began[usual], kind="stable")
    return X[usual][order], began[usual][order]


def test_trips_of_one_month_drift_only_where_they_are_changed(oracle_data: Path) -> None:
    X, _ = taxi(oracle_data)
    order = np.random.default_rng(0).permutation(len(X))
    then, now = X[order[: len(X) // 2]], X[order[len(X) // 2 :]]
    model = with_baseline(KMeans(8, scale="standard", random_state=0).fit(then), then)
    assert drift(model, now).verdict == "no drift"
    kilometers = now.copy()
    kilometers[:, 0] *= 1.609
    found = drift(model, kilometers)
    assert {one.subject for one in found.checks if one.drifts} >= {"x0"}
    assert not {one.subject for one in found.checks if one.drifts} & {"x1", "x2"}


def test_the_first_half_of_a_month_is_like_the_second(oracle_data: Path) -> None:
    X, began = taxi(oracle_data)
    first = (began >= np.datetime64("2022-01-01")) & (began < np.datetime64("2022-01-16"))
    second = (began >= np.datetime64("2022-01-16")) & (began < np.datetime64("2022-02-01"))
    assert min(first.sum(), second.sum()) > 20_000
    model = with_baseline(KMeans(8, scale="standard", random_state=0).fit(X[first]), X[first])
    found = drift(model, X[second])
    assert found.verdict == "no drift", found.reasons
    assert found["cluster_psi"] < 0.1
    assert found["feature_psi"] < 0.1
    # nights are not days
    is_night = X[second][:, 2] < 6
    assert drift(model, X[second][is_night]).is_drift


def test_connections_change_with_the_order_in_which_they_came(oracle_data: Path) -> None:
    table = pq.read_table(oracle_data / "kddcup99_10pct.parquet")
    numeric = [
        one.name for one in table.schema if str(one.type).startswith(("int", "float", "double"))
    ][:20]
    X = np.column_stack([table[name].to_numpy() for name in numeric]).astype(float)
    X = np.log1p(np.maximum(X[::5], 0))
    half = len(X) // 2
    with pytest.warns(match="constant|one value"):
        fitted = KMeans(8, scale="standard", random_state=0).fit(X[:half])
    model = with_baseline(fitted, X[:half])
    found = drift(model, X[half:])
    # attacks of one kind come in one run
    assert found.is_drift
    assert found["cluster_psi"] > 0.2
    order = np.random.default_rng(0).permutation(half)
    again = drift(model, X[:half][order[:20_000]])
    assert not again.is_drift
