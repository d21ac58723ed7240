"""Retraining of windows that move: only new partitions are read, the others are their coresets."""

import datetime
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dkmeans
from dkmeans.jobs.monitored import run_monitored
from dkmeans.jobs.outcome import Outcome
from dkmeans.jobs.tally import Tally
from dkmeans.registry.registry import Registry
from dkmeans.rows.progress import listening
from tests.cli.command import run as command
from tests.conftest import write_parquet
from tests.jobs.jobs import job_of
from tests.jobs.test_retrain import batch

TEXT = """
task: retrain
name: weekly
data: {url: in, columns: [f0, f1, f2, f3], filters: ["dt >= {{ as_of - 3d }}", "dt < {{ as_of }}"]}
model: {n_clusters: 4, random_state: 7, window: {partitions: dt, coresets: kept}}
cluster: {local: 0}
registry: reg
"""
N_ROWS = 2000


def day_of(day: int) -> datetime.datetime:
    return datetime.datetime(2026, 11, day, tzinfo=datetime.UTC)


def deliver(folder: Path, day: int) -> None:
    X = batch(day, 0.01 * day, n_rows=N_ROWS)
    write_parquet(folder / "in" / f"dt=2026-11-{day:02d}", X, n_files=1)


def size_of(folder: Path, day: int) -> int:
    files = (folder / "in" / f"dt=2026-11-{day:02d}").glob("*.parquet")
    return sum(file.stat().st_size for file in files)


def retrain(folder: Path, day: int, *sets: str, **given: Any) -> Outcome:
    return run_monitored(job_of(TEXT, sets, folder=folder, as_of=day_of(day)), **given)


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for day in range(1, 5):
        deliver(tmp_path, day)
    assert retrain(tmp_path, 4).result["promoted"]
    return tmp_path


def test_only_new_partitions_are_read(folder: Path) -> None:
    tally = Tally()
    with listening(tally):
        outcome = retrain(folder, 5, "stage=none")
    assert outcome.result["promoted"], outcome.refusal
    model = Registry(str(folder / "reg")).load("champion")
    told = model.provenance["window"]["partitions"]
    assert [(one["name"], one["read"]) for one in told] == [
        *(("dt=2026-11-02", False), ("dt=2026-11-03", False), ("dt=2026-11-04", True))
    ]
    # once for its coreset, and once to judge both models
    assert 0 < tally.costs().bytes <= 2 * size_of(folder, 4)
    assert tally.costs().rows == 2 * N_ROWS
    # the gates know how many rows the window has
    assert outcome.result["figures"]["rows"] == 1.0
    assert model.baseline is not None
    assert model.baseline.n_rows == N_ROWS


def test_a_window_that_has_not_moved_is_left_alone(folder: Path) -> None:
    tally = Tally()
    with listening(tally):
        assert retrain(folder, 4).result["unchanged"]
    assert tally.costs().bytes == 0


def test_it_is_as_good_as_a_refit_of_the_whole_window(folder: Path) -> None:
    retrain(folder, 5)
    model = Registry(str(folder / "reg")).load("champion")
    days = [str(folder / "in" / f"dt=2026-11-{day:02d}") for day in (2, 3, 4)]
    rows = [dkmeans.read_parquet(one, columns=["f0", "f1", "f2", "f3"]) for one in days]
    refit = dkmeans.KMeans(4, scale="standard", random_state=0)
    whole = dkmeans.read_parquet(days, columns=["f0", "f1", "f2", "f3"])
    ours = dkmeans.evaluate(model, whole, metrics=["inertia"]).figures["inertia"].value
    seen = refit.fit(whole).model_
    centers = model.scaling.transform(seen.centers)
    X = np.concatenate([batch(day, 0.01 * day, n_rows=N_ROWS) for day in (2, 3, 4)])
    apart = ((model.scale(X)[:, None, :] - centers) ** 2).sum(axis=2).min(axis=1)
    assert ours <= 1.005 * apart.sum()
    for one in [*rows, whole]:
        one.close()


def test_the_plan_names_what_is_new(folder: Path) -> None:
    job = folder / "job.yaml"
    job.write_text(TEXT)
    ran = command("run", job, "--as-of", "2026-11-05", "--dry-run", "--json")
    plan = json.loads(ran.out)["plan"]
    assert (plan["champion"], plan["unchanged"]) == (1, False)
    assert plan["new_partitions"] == ["dt=2026-11-04"]
    assert plan["partitions_to_read"] == ["dt=2026-11-04"]
    assert plan["rows_to_read"] == plan["rows_to_judge"] == N_ROWS
    assert 0 < plan["bytes_to_read"] < size_of(folder, 4)
    ran = command("run", job, "--as-of", "2026-11-04", "--dry-run")
    assert "nothing new: version 1" in ran.out


def test_kept_rows_can_be_forgotten(folder: Path) -> None:
    kept = folder / "kept"
    assert len(list(kept.glob("coreset-*.zip"))) == 3
    ran = command("models", "forget-rows", kept, "--partition", "dt=2026-11-02", "--json")
    assert json.loads(ran.out)["partitions"] == ["dt=2026-11-02"]
    assert len(list(kept.glob("coreset-*.zip"))) == 2
    assert command("models", "forget-rows", kept, "--partition", "dt=1999-01-01").code == 3
    ran = command("models", "forget-rows", kept)
    assert ran.code == 0
    assert "of 2 partitions" in ran.out
    assert list(kept.iterdir()) == []
    # what is gone is read again
    tally = Tally()
    with listening(tally):
        assert retrain(folder, 5).exit_code == 0
    assert tally.costs().rows >= 3 * N_ROWS


def test_a_partition_that_was_refused_is_not_learned_from_later(folder: Path) -> None:
    honest = folder / "in" / "dt=2026-11-04"
    X = batch(4, n_rows=N_ROWS) * np.array([1, 1, 50, 1], np.float32)
    write_parquet(honest, X, n_files=1)
    assert retrain(folder, 5).exit_code == 5
    assert retrain(folder, 5).result["unchanged"]
    deliver(folder, 5)
    outcome = retrain(folder, 6)
    assert outcome.result["promoted"], outcome.refusal
    registry = Registry(str(folder / "reg"))
    told = registry.load("champion").provenance["window"]["partitions"]
    assert [one["name"] for one in told] == ["dt=2026-11-03", "dt=2026-11-05"]
    # what is delivered again is looked at again
    deliver(folder, 4)
    outcome = retrain(folder, 6)
    assert outcome.result["promoted"], outcome.refusal
    told = registry.load("champion").provenance["window"]["partitions"]
    assert [one["name"] for one in told if one["read"]] == ["dt=2026-11-04"]
    assert len(told) == 3
