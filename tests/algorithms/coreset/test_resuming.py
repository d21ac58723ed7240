"""Fits from a coreset that are interrupted: they go on anywhere, and give the same bits."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import dask
import numpy as np
import pytest

import dkmeans
from dkmeans import KMeans, Rows
from dkmeans.algorithms.coreset import begin, solve
from dkmeans.algorithms.lloyd import lloyd_passes
from dkmeans.cluster.connect import local_cluster
from dkmeans.errors import FitInterrupted, InputChanged
from dkmeans.rows import progress
from tests.conftest import write_parquet
from tests.faults import Job, bits, model_bits, pids_of

N = 12_000


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Rows without structure, on which every rounding would show."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(N, 3)) * [1.0, 100.0, 1e-3] + [1e3, 0.0, -1.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, X: np.ndarray) -> Path:
    place = tmp_path_factory.mktemp("data") / "in"
    return write_parquet(place, X, n_files=24, row_group_rows=250, w=np.arange(N) % 4)


def read(folder: Path, **options: object) -> Rows:
    rows = dkmeans.read_parquet(str(folder), weight="w", **{"block_rows": 150, **options})
    assert rows.n_blocks >= 80
    return rows


def estimator(**options: object) -> KMeans:
    asked = {"n_clusters": 10, "init": "coreset", "coreset_size": 2000, "random_state": 3,
             "scale": "standard", "tol": 0, "max_iter": 4, "n_init": 3}  # fmt: skip
    return KMeans(**{**asked, **options})


@pytest.fixture(scope="module")
def quiet(folder: Path) -> tuple[object, ...]:
    """What an undisturbed fit finds on Dask's threads."""
    return bits(estimator().fit(read(folder)))


class Stopped(Exception):
    """A fit is to end here."""


class Before(progress.Silent):
    def __init__(self, kind: str) -> None:
        self.kind, self.ended_kinds = kind, []

    def began(self, kind, n_leaves, is_pass=True):
        # the pass that reads learns the scale, too
        if self.kind in kind.split(" + "):
            raise Stopped

    def ended(self, record, is_pass=True):
        self.ended_kinds.append(record["kind"])


PHASES = ["read", "solve", "iteration 1", "iteration 3", "final assignment"]


@pytest.mark.parametrize("stage", ["none", "memory"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_fit_that_ends_before_a_phase_goes_on_with_it(
    folder, quiet, tmp_path, monkeypatch, phase, stage
):
    place = str(tmp_path / "checkpoint")
    stopping = Before(phase)
    monkeypatch.setattr(progress, "_reporter", stopping)
    with pytest.raises(Stopped), read(folder, stage=stage) as rows:
        estimator(checkpoint=place).fit(rows)
    going_on = Before("nothing")
    monkeypatch.setattr(progress, "_reporter", going_on)
    other = "memory" if stage == "none" else "none"
    with (
        dask.config.set(scheduler="synchronous"),
        read(folder, stage=other) as rows,
    ):
        found = estimator(checkpoint=place).fit(rows)
    assert bits(found) == quiet
    # nothing that was over is done again
    whole = [record["kind"] for record in found.history_]
    assert stopping.ended_kinds + going_on.ended_kinds == whole
    assert stopping.ended_kinds == whole[: whole.index(phase)]


@pytest.mark.parametrize("phase", PHASES)
def test_workers_go_on_with_what_threads_began(folder, quiet, tmp_path, monkeypatch, client, phase):
    place = str(tmp_path / "checkpoint")
    with monkeypatch.context() as patch:
        patch.setattr(progress, "_reporter", Before(phase))
        with pytest.raises(Stopped), read(folder) as rows:
            estimator(checkpoint=place).fit(rows)
    with read(folder, client=client, stage="memory") as rows:
        assert bits(estimator(checkpoint=place).fit(rows)) == quiet


@pytest.mark.parametrize("options", [{"coreset_size": 20_000}, {"scale": None}, {"scale": "robust"},
                                     {"scale": "normalize"}],
                         ids=str)  # fmt: skip
def test_every_kind_of_coreset_is_stored(folder, tmp_path, monkeypatch, options):
    quiet = bits(estimator(**options).fit(read(folder)))
    for phase in ("read", "solve", "iteration 2"):
        place = str(tmp_path / f"checkpoint of {phase}")
        with monkeypatch.context() as patch:
            patch.setattr(progress, "_reporter", Before(phase))
            with pytest.raises(Stopped):
                estimator(**options, checkpoint=place).fit(read(folder))
        assert bits(estimator(**options, checkpoint=place).fit(read(folder))) == quiet


def test_another_size_is_another_job(folder, tmp_path):
    place = str(tmp_path / "checkpoint")
    estimator(checkpoint=place).fit(read(folder))
    with pytest.raises(InputChanged, match="coreset_size was 2000, is 2001"):
        estimator(checkpoint=place, coreset_size=2001).fit(read(folder))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_process_goes_on_from_each_phase(folder, tmp_path, workers):
    def job(place: Path) -> tuple[object, ...]:
        return (
            "fit", folder, "--k", 10, "--seed", 3, "--weight", "w", "--init", "coreset",
            "--coreset-size", 2000, "--tol", 0, "--max-iter", 12, "--block-bytes", 1800,
            "--checkpoint", place / "checkpoint", "--model", place / "model",
        )  # fmt: skip

    (tmp_path / "quiet").mkdir()
    assert Job(*job(tmp_path / "quiet"), "--workers", 0).end() == 0
    expected = model_bits(tmp_path / "quiet" / "model")
    place = tmp_path / "killed"
    place.mkdir()
    checkpoint = place / "checkpoint" / "checkpoint.zip"
    seen = []
    for turn in range(3):
        running = Job(*job(place), "--resume", "--workers", 0 if turn % 2 else workers)
        before = checkpoint.read_bytes() if checkpoint.exists() else None
        if not running.wait_until(
            lambda before=before: checkpoint.exists() and checkpoint.read_bytes() != before
        ):
            break
        running.send(signal.SIGKILL)
        assert running.end() == -signal.SIGKILL
        seen.append(checkpoint.read_bytes())
    assert len(set(seen)) == 3
    last = Job(*job(place), "--resume", "--workers", workers)
    assert last.end() == 0, last.err
    assert model_bits(place / "model") == expected


@pytest.mark.parametrize("phase", ["read", "solve"])
def test_a_worker_killed_in_the_middle_changes_no_bit(folder, quiet, monkeypatch, phase):
    with local_cluster(2, "1GiB") as client:
        victim = random.Random(0).choice(pids_of(client))

        class Killing(progress.Silent):
            pressed = False

            def leaf_done(self):
                if phase in self.now.split(" + ") and not self.pressed:
                    self.pressed = True
                    os.kill(victim, signal.SIGKILL)

            def began(self, kind, n_leaves, is_pass=True):
                self.now = kind

        killing = Killing()
        monkeypatch.setattr(progress, "_reporter", killing)
        with read(folder, client=client, stage="memory") as rows:
            found = bits(estimator().fit(rows))
        assert killing.pressed
        assert victim not in pids_of(client)
    assert found == quiet


# Ctrl-C


@pytest.fixture
def ctrl_c():
    """SIGINT raises, also in a test run that was started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("on_interrupt", ["raise", "return"])
def test_in_the_solve_it_ends_the_fit_and_its_threads_at_once(
    folder, quiet, tmp_path, monkeypatch, on_interrupt
):
    place = str(tmp_path / "checkpoint")
    made: list[None] = []

    def for_ever(at, *, max_iter, tol):
        while True:
            made.append(None)
            yield from lloyd_passes(at, max_iter=1, tol=0)

    with monkeypatch.context() as patch:

        class Pressing(progress.Silent):
            def began(self, kind, n_leaves, is_pass=True):
                if kind == "solve":
                    patch.setattr(solve, "lloyd_passes", for_ever)
                    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

        patch.setattr(progress, "_reporter", Pressing())
        start = time.monotonic()
        # nothing is known yet of all rows that could be returned
        with pytest.raises(KeyboardInterrupt):
            estimator(checkpoint=place, on_interrupt=on_interrupt).fit(read(folder))
        assert time.monotonic() - start < 10
        time.sleep(0.5)
        n_made = len(made)
        time.sleep(0.5)
        assert n_made == len(made) > 0, "threads go on with what nobody waits for"
    assert bits(estimator(checkpoint=place).fit(read(folder))) == quiet


@pytest.mark.usefixtures("ctrl_c")
def test_after_an_iteration_the_best_is_returned(folder, tmp_path, monkeypatch):
    place = str(tmp_path / "checkpoint")

    class Pressing(progress.Silent):
        def began(self, kind, n_leaves, is_pass=True):
            if kind == "iteration 3":
                signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(progress, "_reporter", Pressing())
        with pytest.warns(FitInterrupted):
            model = estimator(checkpoint=place, on_interrupt="return").fit(read(folder))
    assert (model.n_iter_, model.stopped_by_) == (2, "interrupt")
    kinds = [record["kind"] for record in model.history_]
    assert kinds == ["pilot", "read", "solve", "iteration 1", "iteration 2"]
    assert model.inertia_ == model.history_[-1]["inertia"]
    estimate, exact = (model.history_[i]["inertia"] for i in (2, 3))
    assert model.coreset_error_ == pytest.approx(estimate / exact - 1)
    whole = estimator(checkpoint=place).fit(read(folder))
    assert bits(whole) == bits(estimator().fit(read(folder)))


def test_at_most_two_solutions_go_on():
    assert begin.MOST_SOLUTIONS == 2
    far = [solve.Solution(np.zeros((1, 1)), inertia, 0) for inertia in (1.0, 1.001, 1.0015, 1.1)]
    assert [one.inertia for one in begin._chosen(far)] == [1.0, 1.001]
    assert [one.inertia for one in begin._chosen([far[0], far[3]])] == [1.0]
    # the same optimum twice
    assert len(begin._chosen([far[0], far[0]])) == 1
