"""Ids over many generations of models: kept while clusters live, never given twice."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.evaluation.lineage.continued import continued
from dkmeans.evaluation.lineage.lineage import lineage
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.models.model import Model
from tests.evaluation.lineage.models import model_of


def ids(fates: tuple) -> list[int]:
    return [one.cluster_id for one in fates]


def test_no_id_comes_twice_in_twenty_generations() -> None:
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 100, (8, 2))
    model = model_of(centers).renamed({j: f"first {j}" for j in range(8)})
    alive, ever, born, died = {*range(8)}, {*range(8)}, 0, 0
    for _ in range(20):
        drifted = centers + rng.normal(0, 1.5, centers.shape)
        kept = drifted[rng.random(len(drifted)) > 0.15]
        centers = np.concatenate([kept, rng.uniform(0, 100, (rng.integers(0, 3), 2))])
        X = (centers[:, None] + rng.normal(0, 1, (len(centers), 50, 2))).reshape(-1, 2)
        new = model_of(rng.permutation(centers))
        found = lineage(model, new, X)
        # what is dead stays so, and what is new was never there
        assert {*ids(found.kept), *ids(found.deaths)} == alive
        assert not {*ids(found.births)} & ever
        assert all(one.cluster_id >= model.next_cluster_id for one in found.births)
        model = continued(new, model, found)
        alive = {*model.cluster_ids.tolist()}
        ever |= alive
        born, died = born + len(found.births), died + len(found.deaths)
        assert model.next_cluster_id == max(ever) + 1
        assert model.cluster_names == {j: f"first {j}" for j in sorted(alive & {*range(8)})}
    assert born > 5
    assert died > 5
    assert len(ever) == 8 + born


WEEKS, SPLIT, DEATH = 52, 20, 40


def weeks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A year of rows, and what they truly are: six groups that drift; 2 splits, 5 ends."""
    rng = np.random.default_rng(1)
    centers = rng.permutation(np.array([[x, y, 1.0 * x] for x in (0, 15, 30) for y in (0, 15)]))
    centers = np.concatenate([centers, centers[2:3]])
    directions = rng.normal(0, 0.08, centers.shape)
    directions[6] = directions[2]
    for week in range(WEEKS):
        centers += directions + rng.normal(0, 0.05, centers.shape)
        apart = 5 * min(max(0, week - SPLIT + 1), 3)
        shown = centers.copy()
        shown[6] = centers[2] + [0, 0, apart]
        counts = np.array([150, 100, 120, 80, 90, 110 if week < DEATH else 0, 70])
        truth = np.repeat(np.arange(7), counts)
        X = shown[truth] + rng.normal(0, 1, (len(truth), 3))
        yield X, np.where((truth == 6) & (apart == 0), 2, truth)


def retrained(champion: Model, X: np.ndarray, k: int, week: int) -> tuple[Model, Lineage]:
    """As a job would: from the champion's centers; from scratch where k changes, and at times."""
    if k == champion.n_clusters and week % 7:
        # in the champion's scaled units
        warm = dkmeans.KMeans(k, init=champion.scaled_centers).fit(champion.prepare(X))
        fitted = replace(warm.model_, scaling=champion.scaling)
    else:
        fitted = dkmeans.KMeans(k, random_state=week, n_init=4, scale="standard").fit(X).model_
    found = lineage(champion, fitted, X)
    return continued(fitted, champion, found), found


def test_a_year_of_weekly_models_keeps_the_ids_of_clusters_that_survive() -> None:
    model, told = None, {}
    id_of: dict[int, int] = {}
    for week, (X, truth) in enumerate(weeks()):
        k = len(np.unique(truth))
        if model is None:
            model = dkmeans.KMeans(6, random_state=0, n_init=4, scale="standard").fit(X).model_
            model = model.renamed({j: f"group {j}" for j in range(6)})
        else:
            model, found = retrained(model, X, k, week)
            assert found.churn < 0.01 or week in (SPLIT, DEATH), (week, found.churn)
            if found.births or found.deaths:
                told[week] = found
        given = model.cluster_ids[model.predict(X)]
        for one in np.unique(truth):
            values, counts = np.unique(given[truth == one], return_counts=True)
            assert counts.max() > 0.95 * counts.sum(), (week, one)
            # once known, the same in every week
            given_now = int(values[counts.argmax()])
            assert id_of.setdefault(int(one), given_now) == given_now, (week, one)
    assert sorted(told) == [SPLIT, DEATH]
    assert [one.cluster_id for one in told[SPLIT].splits] == [id_of[2]]
    assert ids(told[SPLIT].births) == [6] == [id_of[6]]
    assert ids(told[DEATH].deaths) == [id_of[5]]
    assert model.next_cluster_id == 7
    left = {j: f"group {j}" for j in range(6) if j != id_of[5]}
    assert model.cluster_names == left


@pytest.mark.parametrize(
    ("name", "k", "other_k", "n_kept"),
    [
        ("sipu_s1", 15, 16, 15),
        ("sipu_s1", 15, 14, 14),
        ("sipu_a1", 20, 21, 20),
        ("sipu_a1", 20, 19, 19),
        ("sipu_unbalance", 8, 9, 8),
        ("sipu_unbalance", 8, 7, 7),
    ],
)
def test_other_numbers_of_clusters_on_real_data_leave_most_ids_alone(
    oracle_data: Path, name: str, k: int, other_k: int, n_kept: int
) -> None:
    table = pq.read_table(oracle_data / f"{name}.parquet")
    X = np.column_stack([table[column].to_numpy() for column in table.column_names[:2]])
    X = X.astype(np.float64)
    old = dkmeans.KMeans(k, random_state=0, n_init=10).fit(X).model_
    new = dkmeans.KMeans(other_k, random_state=1, n_init=10).fit(X).model_
    found = lineage(old, new, X)
    assert len(found.kept) == n_kept
    # one more is a part of one, one less two in one
    assert len(found.births) == len(found.splits) == (other_k > k)
    assert len(found.deaths) == len(found.merges) == (other_k < k)
    assert found.churn < (0.2 if name == "sipu_unbalance" else 0.07)
    # nothing else has moved much
    assert np.median([one.overlap for one in found.kept]) > 0.95
