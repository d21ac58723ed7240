"""A year of weekly retrains: drift, a cluster that splits, one that dies, and a week of garbage."""

import datetime
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dkmeans.jobs.monitored import run_monitored
from dkmeans.registry.registry import Registry
from tests.conftest import write_parquet
from tests.jobs.jobs import job_of
from tests.jobs.simulation import DEATH_WEEK, GARBAGE, SPLIT_WEEK, World

TEXT = """
task: retrain
name: weekly
data: {url: "in/week={{ as_of }}"}
model: {n_clusters: 8, random_state: 7, half_life: 1w}
cluster: {local: 0}
registry: reg
"""
FIRST = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
N_WEEKS, GARBAGE_WEEK = 52, 24


def retrain(folder: Path, week: int, X: np.ndarray, n_clusters: int, *, fresh: bool) -> Any:
    as_of = FIRST + datetime.timedelta(weeks=week)
    write_parquet(folder / "in" / f"week={as_of:%Y-%m-%d}", X.astype(np.float32), n_files=1)
    sets = [f"model.n_clusters={n_clusters}"]
    if fresh:
        # the champion's centers are of another number
        sets = [f"model={{n_clusters: {n_clusters}, random_state: 7, init: coreset}}"]
    return run_monitored(job_of(TEXT, sets, folder=folder, as_of=as_of))


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


LONG = ("columns shuffled", "rows of one cluster only", "a tenth of the rows is missing")


@pytest.mark.parametrize(
    "garbage", ["normal noise", *(pytest.param(one, marks=pytest.mark.slow) for one in LONG)]
)
def test_a_year_of_weekly_retrains(tmp_path: Path, garbage: str) -> None:
    world = World(3, n_rows=2000)
    registry = Registry(str(tmp_path / "reg"))
    ids: dict[int, set[int]] = {}
    refused, births, deaths = [], {}, {}
    k = 0
    for week in range(N_WEEKS):
        X, clusters = world.rows(week)
        if week == GARBAGE_WEEK:
            X = GARBAGE[garbage](X, clusters, np.random.default_rng(week))
        before = registry.aliases().get("champion")
        outcome = retrain(
            tmp_path, week, X, world.n_clusters_of(week), fresh=world.n_clusters_of(week) != k
        )
        if outcome.exit_code == 5:
            refused.append(week)
            assert registry.aliases()["champion"] == before
            continue
        assert outcome.exit_code == 0
        k = world.n_clusters_of(week)
        if outcome.result["births"]:
            births[week] = outcome.result["births"]
        if outcome.result["deaths"]:
            deaths[week] = outcome.result["deaths"]
        model = registry.load("champion")
        given = model.cluster_ids[model.predict(X.astype(np.float32))]
        for true in set(range(world.n_clusters)) - {world.splitting, world.dying}:
            values, counts = np.unique(given[clusters == true], return_counts=True)
            ids.setdefault(true, set()).add(int(values[counts.argmax()]))
    # only what was no honest week is refused
    assert refused == [GARBAGE_WEEK]
    # and clusters that live keep their ids in every week
    assert all(len(found) == 1 for found in ids.values())
    assert len({next(iter(found)) for found in ids.values()}) == len(ids)
    assert len(births) == 1
    assert SPLIT_WEEK <= min(births) < SPLIT_WEEK + 6
    assert len(deaths) == 1
    assert DEATH_WEEK <= min(deaths) < DEATH_WEEK + 7
    # one command brings back what served before
    last = registry.aliases()["champion"]
    move = registry.rollback(reason="a drill")
    assert (move.previous, registry.aliases()["champion"]) == (last, last - 1)


def test_no_kind_of_garbage_is_promoted_by_the_default_gates(tmp_path: Path) -> None:
    world = World(3, n_rows=2000)
    registry = Registry(str(tmp_path / "reg"))
    retrain(tmp_path, 0, world.rows(0)[0], world.n_clusters, fresh=False)
    X, clusters = world.rows(1)
    for number, (kind, spoil) in enumerate(GARBAGE.items(), 1):
        Z = spoil(X, clusters, np.random.default_rng(number))
        outcome = retrain(tmp_path, number, Z, world.n_clusters, fresh=False)
        assert outcome.exit_code == 5, kind
        assert outcome.refusal
        # infinities are no JSON
        json.dumps(dict(outcome.result), allow_nan=False)
        attached = registry.attachment(outcome.result["version"], "drift.json").decode()
        assert not re.search(r"\b(NaN|Infinity)\b", attached)
    assert registry.aliases() == {"champion": 1, "challenger": len(GARBAGE) + 1}
    assert retrain(tmp_path, 40, X, world.n_clusters, fresh=False).result["promoted"]
