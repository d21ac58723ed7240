"""Drift of real rows: halves drawn at random have none, what came later has, where it has."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dkmeans import KMeans, drift, with_baseline


def taxi(folder: Path) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Trips of a month, and the hour at which each began."""
    table = pq.read_table(folder / "green_taxi_2022_01.parquet")
    frame = table.to_pandas()
    names = ["trip_distance", "fare_amount", "tip_amount", "total_amount", "passenger_count"]
    frame = frame.dropna(subset=names)
    frame = frame[(frame.trip_distance < 100) & (frame.fare_amount.between(0, 300))]
    frame = frame.sort_values("lpep_pickup_datetime")
    return frame[names].to_numpy(float), names, frame.lpep_pickup_datetime.to_numpy()


def test_trips_of_one_month_drift_only_where_they_are_changed(oracle_data: Path) -> None:
    X, names, _ = taxi(oracle_data)
    order = np.random.default_rng(0).permutation(len(X))
    then, now = X[order[: len(X) // 2]], X[order[len(X) // 2 :]]
    model = with_baseline(KMeans(8, scale="standard", random_state=0).fit(then), then)
    assert drift(model, now).verdict == "no drift"
    kilometers = now.copy()
    kilometers[:, 0] *= 1.609
    found = drift(model, kilometers)
    assert found.is_drift
    worst = found.features_frame().sort_values("psi").feature.iloc[-1]
    assert names[int(worst[1:])] == "trip_distance"


def test_the_first_half_of_a_month_is_like_the_second(oracle_data: Path) -> None:
    X, _, when = taxi(oracle_data)
    first = when < np.datetime64("2022-01-16")
    model = with_baseline(KMeans(8, scale="standard", random_state=0).fit(X[first]), X[first])
    found = drift(model, X[~first])
    assert found["cluster_psi"] < 0.1
    assert found["feature_psi"] < 0.1


def test_connections_change_with_the_order_in_which_they_came(oracle_data: Path) -> None:
    table = pq.read_table(oracle_data / "kddcup99_10pct.parquet")
    numeric = [
        one.name for one in table.schema if str(one.type).startswith(("int", "float", "double"))
    ][:20]
    X = np.column_stack([table[name].to_numpy() for name in numeric]).astype(float)
    half = len(X) // 2
    X = np.log1p(np.maximum(X, 0))
    with pytest.warns(match="constant|one value"):
        fitted = KMeans(10, scale="standard", random_state=0).fit(X[:half])
    model = with_baseline(fitted, X[:half])
    found = drift(model, X[half:])
    # attacks of one kind come in one run
    assert found.is_drift
    assert found["cluster_psi"] > 0.2
    order = np.random.default_rng(0).permutation(half)
    again = drift(model, X[:half][order[:50_000]])
    assert not again.is_drift
