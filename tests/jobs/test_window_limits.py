"""Limits and checkpoints of retrains over windows, which read partitions one after the other."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from distributed import Client

from dkmeans import CoresetStore, Model
from dkmeans.errors import ArgumentError, BudgetSpent
from dkmeans.jobs import retrain as jobs_retrain
from dkmeans.jobs.tally import Tally
from dkmeans.registry.registry import Registry
from dkmeans.rows import progress
from dkmeans.rows.progress import listening
from tests.cli.command import run as command
from tests.faults import pids_of
from tests.jobs import test_retrain_windows as jobs
from tests.jobs.test_retrain_windows import N_ROWS, deliver, retrain

CHECKED = ("model.window={partitions: dt}", "checkpoint=state")
"""No coresets are kept for good."""


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for day in range(1, 4):
        deliver(tmp_path, day)
    (tmp_path / "job.yaml").write_text(jobs.TEXT)
    return tmp_path


def champion(folder: Path) -> Model:
    return Registry(str(folder / "reg")).load("champion")


def bits(model: Model) -> tuple[object, ...]:
    arrays = (model.scaled_centers, model.weights, model.inertias, model.cluster_ids)
    assert model.scaling is not None
    assert model.baseline is not None
    return (
        *(one.tobytes() for one in (*arrays, model.scaling.shift, model.baseline.mean)),
        model.baseline.n_rows,
        len(model.provenance["retrain"]["new_partitions"]),
    )


def read_again(folder: Path, *sets: str, day: int = 4) -> list[str]:
    """Run the job; return the partitions that it read for coresets."""
    assert retrain(folder, day, *sets).result["promoted"]
    told = champion(folder).provenance["window"]["partitions"]
    return [one["name"][-2:] for one in told if one["read"]]


def rows_left(folder: Path) -> list[Path]:
    """Files with rows at the checkpoint."""
    return [one for one in (folder / "state").rglob("*") if one.is_file()]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """What an undisturbed run comes to."""
    place = tmp_path_factory.mktemp("quiet")
    for day in range(1, 4):
        deliver(place, day)
    retrain(place, 4, *CHECKED)
    assert rows_left(place) == []
    return bits(champion(place))


def plan_of(folder: Path, *sets: str, day: int = 4) -> dict[str, Any]:
    asked = [part for one in sets for part in ("--set", one)]
    as_of = f"2026-11-{day:02d}"
    ran = command("run", folder / "job.yaml", "--as-of", as_of, "--dry-run", "--json", *asked)
    found: dict[str, Any] = ran.json["plan"]
    return found


def test_new_partitions_that_are_too_much_are_not_begun(folder: Path) -> None:
    n_bytes = plan_of(folder)["bytes_to_read"]
    tally, asked = Tally(), f"limits.max_bytes={n_bytes - 1}B"
    with listening(tally), pytest.raises(BudgetSpent, match="of 3 new partitions, of which none"):
        retrain(folder, 4, asked)
    assert (tally.costs().rows, tally.costs().passes) == (0, 0)
    assert not (folder / "kept").exists()
    plan = plan_of(folder, asked)
    assert plan["over_limits"] == ["max_bytes"]
    ran = command("run", folder / "job.yaml", "--as-of", "2026-11-04", "--set", asked)
    assert ran.code == BudgetSpent.exit_code
    assert "max_bytes=" in ran.error


@pytest.mark.parametrize("limit", ["max_passes=1", "max_bytes={}B"])
def test_judging_is_within_the_limits_too_and_a_new_budget_goes_on_with_it(
    folder: Path, quiet: tuple[object, ...], limit: str
) -> None:
    # enough for the coresets
    asked = "limits." + limit.format(plan_of(folder)["bytes_to_read"] + 1)
    tally = Tally()
    with listening(tally), pytest.raises(BudgetSpent, match=r"would be exceeded|are made"):
        retrain(folder, 4, asked, *CHECKED)
    assert tally.costs().rows >= 3 * N_ROWS
    assert Registry(str(folder / "reg")).versions() == []
    assert len(rows_left(folder)) == 4
    # and now for judging
    assert read_again(folder, asked, *CHECKED) == []
    assert bits(champion(folder)) == quiet
    assert rows_left(folder) == []


def test_time_that_is_over_ends_it_before_the_first_partition(folder: Path) -> None:
    tally = Tally()
    with listening(tally), pytest.raises(BudgetSpent, match="max_seconds"):
        retrain(folder, 4, "limits.max_seconds=0.000001s")
    assert tally.costs().rows == 0


def test_a_dry_run_tells_what_is_read(folder: Path) -> None:
    plan = plan_of(folder, "stage=none")
    assert plan["rows_to_read"] == plan["rows_to_judge"] == 3 * N_ROWS
    tally = Tally()
    with listening(tally):
        retrain(folder, 4, "stage=none")
    assert tally.costs().bytes <= plan["most_bytes_read"]
    deliver(folder, 4)
    plan = plan_of(folder, "stage=none", day=5)
    assert plan["partitions_to_read"] == plan["new_partitions"] == ["dt=2026-11-04"]
    tally = Tally()
    with listening(tally):
        retrain(folder, 5, "stage=none")
    # once for its coreset, once to judge
    assert tally.costs().bytes == plan["bytes_to_read"] * 2
    assert tally.costs().passes <= plan["most_passes"]
    # what is kept was read otherwise
    assert plan_of(folder, "data.missing=drop", day=5)["rows_to_read"] == 3 * N_ROWS


def ended(folder: Path, after: int, number: int) -> int:
    """Run the job in a process that is sent a signal once it has kept some partitions."""
    asked = [part for one in CHECKED for part in ("--set", one)]
    script = f"""
import os, signal
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.cli.main import main
os.fsync = lambda _: None
real, calls = CoresetStore.put, []
def stopped(*args):
    real(*args)
    calls.append(1)
    if len(calls) == {after}:
        os.kill(os.getpid(), {int(number)})
CoresetStore.put = stopped
signal.signal(signal.SIGINT, signal.default_int_handler)
main(["run", {str(folder / "job.yaml")!r}, "--as-of", "2026-11-04", *{asked!r}])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, env=dict(os.environ)
    )
    return done.returncode


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_what_is_stopped_reads_no_partition_again(
    folder: Path, quiet: tuple[object, ...], number: int
) -> None:
    code = ended(folder, 2, number)
    assert code == (-9 if number == signal.SIGKILL else 128 + number)
    assert len(list((folder / "state").rglob("coreset-*.zip"))) == 2
    assert plan_of(folder, *CHECKED)["partitions_to_read"] == ["dt=2026-11-03"]
    assert read_again(folder, *CHECKED, "lock.stale=1s") == ["03"]
    assert bits(champion(folder)) == quiet
    assert rows_left(folder) == []


def test_what_an_interrupted_run_has_read_is_still_judged_as_new(
    folder: Path, quiet: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(jobs_retrain, "rows_to_judge", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            retrain(folder, 4)
    assert len(list((folder / "kept").glob("coreset-*.zip"))) == 3
    assert read_again(folder) == []
    assert bits(champion(folder)) == quiet
    assert champion(folder).baseline.n_rows == 3 * N_ROWS


def test_rows_of_an_interrupted_run_go_with_that_of_another_day(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(jobs_retrain, "rows_to_judge", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            retrain(folder, 4, *CHECKED)
    assert len(rows_left(folder)) == 4
    deliver(folder, 4)
    # the window is that of the next day, which has two of the three
    assert read_again(folder, *CHECKED, day=5) == ["04"]
    assert rows_left(folder) == []


def test_a_checkpoint_that_something_else_lies_in_is_left_alone(folder: Path) -> None:
    place = folder / "state" / "weekly-coresets"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="something else than coresets"):
        retrain(folder, 4, *CHECKED)
    assert [one.name for one in place.iterdir()] == ["mine.txt"]


def test_partitions_that_were_forgotten_are_not_new_when_they_are_read_again(folder: Path) -> None:
    retrain(folder, 4)
    CoresetStore(str(folder / "kept")).forget()
    deliver(folder, 4)
    assert read_again(folder, day=5) == ["02", "03", "04"]
    model = champion(folder)
    assert model.baseline.n_rows == N_ROWS
    assert len(model.provenance["retrain"]["new_partitions"]) == 1


class Killer(progress.Silent):
    """Kills a worker once a partition was read."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.killed: list[int] = []

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        if is_pass and not self.killed:
            self.killed.append(pids_of(self._client)[0])
            os.kill(self.killed[0], signal.SIGKILL)


def test_workers_one_of_which_is_killed_come_to_the_same_bits(
    folder: Path, quiet: tuple[object, ...], client: Client
) -> None:
    killer = Killer(client)
    with listening(killer):
        retrain(folder, 4, *CHECKED, f"cluster={{address: '{client.scheduler.address}'}}")
    assert len(killer.killed) == 1
    assert bits(champion(folder)) == quiet
