"""The plan of a job: what it says is what the job then does, and what cannot fit is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow.parquet as pq
import pytest
from dask.callbacks import Callback
from IPython.lib.pretty import pretty

import dkmeans
from dkmeans import KMeans, Rows
from dkmeans.errors import ArgumentError, TooLarge
from dkmeans.rows.disk import DiskFolder, StoredArrays
from dkmeans.rows.engine import LocalEngine, Slot
from dkmeans.rows.staging import Room
from dkmeans.rows.store import close_process_store, process_store
from tests.conftest import write_parquet
from tests.rows.seen import see


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(2000, 3)) + rng.uniform(-2, 2, size=(12, 3))[rng.integers(0, 12, 2000)]


@pytest.fixture(scope="module")
def folder(X, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 row groups in 4 files."""
    path = tmp_path_factory.mktemp("data") / "in"
    return write_parquet(path, X, n_files=4, row_group_rows=100, w=np.ones(len(X)))


def read(folder: Path, stage: str = "none", **options: Any) -> Rows:
    asked = {"columns": ["f0", "f1", "f2"], "block_rows": 50, **options}
    return dkmeans.read_parquet(str(folder), stage=stage, **asked)


def estimator(**parameters: Any) -> KMeans:
    asked = {"init": "k-means||", "random_state": 0, "max_iter": 3, "tol": 0}
    return KMeans(5, **{**asked, **parameters})


def stored_bytes(folder: Path, names: set[str]) -> int:
    """Stored bytes of some columns, added up from the footers with pyarrow."""
    total = 0
    for path in folder.glob("*.parquet"):
        footer = pq.read_metadata(path)
        for i in range(footer.num_row_groups):
            chunks = [footer.row_group(i).column(j) for j in range(footer.num_columns)]
            total += sum(c.total_compressed_size for c in chunks if c.path_in_schema in names)
    return total


def test_a_plan_has_the_figures_of_the_data(folder):
    rows = read(folder, weight="w", dtype="float64")
    with dask.config.set(num_workers=2):
        plan = rows.plan(estimator())
    assert (plan.files, plan.skipped_files, plan.rows, plan.features) == (4, 0, 2000, 3)
    assert plan.blocks == rows.n_blocks == 40
    # two blocks a leaf, at most 20 / (4 * 2) leaves a task, joined by one more
    assert (plan.leaves, plan.tasks) == (20, 7 + 1)
    assert plan.source_bytes == stored_bytes(folder, {"f0", "f1", "f2", "w"})
    assert plan.source_requests == 0
    assert plan.decoded_bytes == 2000 * (3 * 8 + 8)
    assert plan.stage_reason == "none (as asked)"
    assert plan.to_dict()["leaves"] == 20
    assert rows.bytes_read == rows.n_passes == 0


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"scale": "standard", "n_init": 3},
        {"init": "k-means++", "scale": "minmax"},
        {"init": "random", "max_iter": 7},
        {"init": np.random.default_rng(3).normal(size=(5, 3))},
        {"init_rounds": 2, "init": "scalable"},
    ],
)
@pytest.mark.parametrize("stage", ["none", "memory", "disk"])
def test_a_fit_makes_the_passes_and_reads_the_bytes_of_its_plan(folder, parameters, stage):
    with read(folder, stage) as rows:
        model = estimator(**parameters)
        plan = rows.plan(model)
        model.fit(rows)
        relocations = sum(record["kind"] == "relocation" for record in model.history_)
        assert relocations == 0
        assert rows.n_passes == model.n_passes_ == plan.most_passes
        assert rows.bytes_read == plan.most_bytes_read
        reads = plan.most_passes if stage == "none" else 1
        assert plan.source_bytes * reads <= plan.most_bytes_read
        assert plan.stage == stage


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_passes_before_the_first_are_planned_too(X, missing, tmp_path):
    holed = np.where(np.random.default_rng(1).random(X.shape) < 0.05, np.nan, X)
    folder = write_parquet(tmp_path / "in", holed, row_group_rows=100)
    rows = read(folder, missing=missing)
    model = estimator()
    plan = rows.plan(model)
    model.fit(rows)
    assert rows.n_passes == plan.most_passes
    assert rows.bytes_read <= plan.most_bytes_read


def test_a_fit_that_converges_makes_fewer_passes(folder):
    with read(folder, "memory") as rows:
        model = estimator(tol=1e-2, max_iter=300)
        plan = rows.plan(model)
        assert model.fit(rows).n_passes_ < plan.most_passes


class Tasks(Callback):
    """Counts the tasks that a scheduler of Dask runs."""

    def __init__(self) -> None:
        super().__init__(posttask=self._done)
        self.n = 0

    def _done(self, *_: Any) -> None:
        self.n += 1


@pytest.mark.parametrize(("block_rows", "row_group_rows"), [(20, 20), (1000, 100), (2000, 2000)])
def test_a_pass_runs_the_tasks_of_the_plan(X, tmp_path, block_rows, row_group_rows):
    folder = write_parquet(tmp_path / "in", X, n_files=1, row_group_rows=row_group_rows)
    rows = read(folder, block_rows=block_rows)
    plan = rows.plan(estimator())
    with Tasks() as tasks:
        see(rows)
    assert tasks.n == plan.tasks
    assert plan.leaves == len(rows.layout.leaves)


def test_a_pass_on_a_cluster_runs_the_tasks_of_the_plan(folder, client):
    rows = read(folder, client=client)
    plan = rows.plan(estimator())

    def done(dask_scheduler: Any, since: float) -> tuple[int, float]:
        """Tasks of a pass that came to a result, and when the last of anything happened."""
        log = list(dask_scheduler.transition_log)
        keys = {str(key) for key, _, finish, *_, at in log if finish == "memory" and at > since}
        ours = [key for key in keys if key.startswith(("dkmeans-leaves", "dkmeans-join"))]
        return len(ours), log[-1][-1]

    _, before = client.run_on_scheduler(done, since=0)
    see(rows)
    assert client.run_on_scheduler(done, since=before)[0] == plan.tasks


class Disk:
    """Counts what goes to a local disk and comes from it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = self.read = 0
        write, open_ = DiskFolder.write, StoredArrays.open

        def counted_write(folder: DiskFolder, arrays: Any) -> Any:
            stored = write(folder, arrays)
            self.written += sum(array.nbytes for array in arrays if array is not None)
            return stored

        def counted_open(stored: StoredArrays) -> Any:
            arrays = open_(stored)
            self.read += sum(array.nbytes for array in arrays if array is not None)
            return arrays

        monkeypatch.setattr(DiskFolder, "write", counted_write)
        monkeypatch.setattr(StoredArrays, "open", counted_open)


@pytest.mark.parametrize(
    "parameters", [{"init": "random"}, {"init": "random", "scale": "standard"}, {}, {"n_init": 2}]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_local_disks_are_written_and_read_as_planned(
    folder, tmp_path, monkeypatch, parameters, dtype
):
    close_process_store()
    counted = Disk(monkeypatch)
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        read(folder, "disk", dtype=dtype) as rows,
    ):
        model = estimator(**parameters)
        plan = rows.plan(model)
        model.fit(rows)
        assert plan.local_bytes_written == pytest.approx(counted.written, rel=0.02)
        assert plan.local_bytes_read == pytest.approx(counted.read, rel=0.02)
    close_process_store()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_states_of_seeding_go_to_disks_where_blocks_are_not_kept(
    folder, tmp_path, monkeypatch, dtype
):
    close_process_store()
    counted = Disk(monkeypatch)
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        read(folder, "none", dtype=dtype) as rows,
    ):
        plan = rows.plan(estimator())
        estimator().fit(rows)
        # after the first draw and after each round but the last, which is the fifth
        states = 2000 * (4 + np.dtype(dtype).itemsize)
        assert counted.written == counted.read == 5 * states
        assert (plan.local_bytes_written, plan.local_bytes_read) == (5 * states, 5 * states)
    close_process_store()


def test_in_memory_and_without_states_nothing_is_planned_for_disks(folder):
    for rows, model in (
        (read(folder, "memory"), estimator()),
        (read(folder, "none"), estimator(init="random")),
    ):
        plan = rows.plan(model)
        assert plan.local_bytes_written == plan.local_bytes_read == 0


def test_requests_to_a_store_are_those_of_the_plan(folder, s3, bucket):
    import s3fs

    s3fs.S3FileSystem(**s3).put(str(folder), f"{bucket[5:]}/in", recursive=True)
    rows = dkmeans.read_parquet(
        f"{bucket}/in", ["f0", "f1", "f2"], storage_options=s3, stage="none", block_rows=400
    )
    model = estimator(init="random", max_iter=1)
    plan = rows.plan(model)
    see(rows)
    # the plan has one request more a file: this process has their footers from planning
    assert rows.known.n_requests == plan.source_requests - plan.files > 0
    assert rows.bytes_read == plan.source_bytes == stored_bytes(folder, {"f0", "f1", "f2"})
    model.fit(rows)
    assert 0 <= plan.most_requests - (rows.known.n_requests - 20) <= 4 * plan.most_passes


# staging


def test_a_plan_says_where_rows_stay_and_why(folder, monkeypatch):
    monkeypatch.setattr(LocalEngine, "room", lambda self: Room(20_000, 10**9))
    plan = read(folder, "auto").plan(estimator())
    assert plan.stage == "disk"
    assert plan.stage_reason == (
        "disk (decoded rows 0 MB; half of the free memory 0 MB; free local disk 1,000 MB)"
    )
    assert plan.most_bytes_read == plan.source_bytes


# memory


def slots(*found: Slot) -> Callable[[LocalEngine], tuple[Slot, ...]]:
    return lambda engine: found


def test_what_cannot_fit_is_refused_before_anything_is_read(folder, monkeypatch):
    rows = read(folder)
    # of results of a pass each of two processes holds its share
    monkeypatch.setattr(LocalEngine, "slots", slots(Slot("a", 2, 2**50), Slot("b", 1, 9)))
    need = rows.plan(estimator()).task_bytes
    monkeypatch.setattr(LocalEngine, "slots", slots(Slot("a", 2, 2 * need - 1), Slot("b", 1, 9)))
    for refused in (lambda: rows.plan(estimator()), lambda: estimator().fit(rows)):
        with pytest.raises(TooLarge, match=r"a task takes .* MB .*; the roomiest worker has") as at:
            refused()
        assert "2 tasks at a time" in str(at.value)
        assert "use workers with more memory or fewer threads, smaller block_bytes" in str(at.value)
        assert at.value.exit_code == 3
    assert (rows.n_passes, rows.bytes_read) == (0, 0)
    monkeypatch.setattr(LocalEngine, "slots", slots(Slot("a", 2, 2 * need), Slot("b", 1, 9)))
    assert estimator().fit(rows).n_passes_ > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_of_a_task_grows_with_the_rows_of_a_block(X, dtype):
    small, large = (Rows.from_array(X, dtype=dtype, block_rows=n) for n in (300, 2000))
    # few leaves, so that no task joins what it finds
    assert len(small.layout.leaves) == 7
    item = np.dtype(dtype).itemsize
    for model in (KMeans(7, init="random"), KMeans(7, init="k-means||", n_init=3)):
        grown = large.plan(model).task_bytes - small.plan(model).task_bytes
        # the block, its scaled copy, and label and distance of each row; scratch of some columns
        least = 1700 * (2 * 3 * item + 4 + item)
        assert least <= grown <= least + 1700 * 200
        # candidates of k-means|| lie beside each row: those before the pass, and those after it
        if model.init == "k-means||":
            assert grown >= 1700 * (2 * 3 * item + 2 * 3 * (4 + item))


def scalable(n_clusters, **parameters):
    return KMeans(n_clusters, init="k-means||", **parameters)


def test_remedies_help(X):
    rows = Rows.from_array(X, block_rows=2000)
    need = rows.plan(scalable(50)).task_bytes
    assert Rows.from_array(X, block_rows=500).plan(scalable(50)).task_bytes < need
    assert rows.plan(scalable(40)).task_bytes < need
    assert rows.plan(KMeans(50, init="random")).task_bytes < need
    assert rows.plan(scalable(50, n_init=2)).task_bytes > need


def test_a_cluster_refuses_what_its_workers_cannot_hold(folder, client):
    rows = read(folder, client=client)
    found = rows.engine.slots()
    assert [slot.n_tasks for slot in found] == [1, 1]
    assert all(0 < slot.free_bytes <= 2 * 2**30 for slot in found)
    # candidates of k-means|| and their sums alone are beyond 2 GiB
    for refused in (rows.plan, lambda model: model.fit(rows)):
        with pytest.raises(TooLarge, match="or fewer clusters"):
            refused(KMeans(20_000_000, random_state=0))
    assert (rows.n_passes, rows.bytes_read) == (0, 0)


def test_parameters_that_cannot_be_are_refused_by_a_plan(folder):
    with pytest.raises(ArgumentError, match="n_clusters=0"):
        read(folder).plan(KMeans(0))


def test_rows_in_memory_have_a_plan_too(X):
    rows = Rows.from_array(X, block_rows=125)
    model = estimator()
    with dask.config.set(num_workers=1):
        plan = rows.plan(model)
    assert (plan.files, plan.rows, plan.source_bytes, plan.source_requests) == (0, 2000, 0, 0)
    assert (plan.blocks, plan.leaves, plan.tasks) == (16, 16, 4 + 1)
    assert plan.most_passes == model.fit(rows).n_passes_


def test_rows_that_are_not_counted_yet_have_a_plan_too(X):
    import dask.array as da

    lazy = da.from_array(X, chunks=(125, 3))
    rows = Rows.from_dask(lazy[lazy[:, 0] > -99], stage="none")
    model = estimator()
    plan = rows.plan(model)
    assert plan.blocks == plan.leaves == 16
    assert plan.most_passes == model.fit(rows).n_passes_
    assert rows.plan(model).rows == 2000


# measured


@pytest.mark.parametrize("stage", ["none", "memory", "disk"])
def test_a_measured_plan_has_seconds_and_makes_no_pass(folder, stage):
    rows = read(folder, stage)
    held = process_store().held_bytes
    plain, plan = rows.plan(estimator()), rows.plan(estimator(), measure=True)
    assert plain.pass_seconds is plain.staged_pass_seconds is plain.most_seconds is None
    assert plan.pass_seconds > 0
    later = plan.pass_seconds if stage == "none" else plan.staged_pass_seconds
    assert (plan.staged_pass_seconds is None) == (stage == "none")
    assert plan.most_seconds == pytest.approx(plan.pass_seconds + later * (plan.most_passes - 1))
    assert {**plan.to_dict(), **dict.fromkeys(SECONDS)} == plain.to_dict()
    assert rows.n_passes == 0
    assert process_store().held_bytes == held
    # one row group of 20 holds the first block
    assert rows.bytes_read <= 3 * rows.parquet.n_bytes / 18


SECONDS = ("pass_seconds", "staged_pass_seconds", "most_seconds")


def test_measuring_takes_nothing_from_a_budget_and_changes_no_fit(folder):
    expected = estimator().fit(read(folder, "memory"))
    with read(folder, "memory") as rows:
        rows.plan(estimator(), measure=True)
        model = estimator().fit(rows)
    assert model.cluster_centers_.tobytes() == expected.cluster_centers_.tobytes()
    assert model.n_passes_ == expected.n_passes_
    assert model.model_.provenance["bytes_read"] == expected.model_.provenance["bytes_read"]


@pytest.mark.parametrize("stage", ["none", "memory"])
def test_measuring_works_for_rows_that_are_not_counted_and_on_a_cluster(X, folder, stage, client):
    import dask.array as da

    lazy = da.from_array(X, chunks=(125, 3))
    rows = Rows.from_dask(lazy[lazy[:, 0] > -99], stage=stage)
    assert rows.plan(estimator(), measure=True).most_seconds > 0
    np.testing.assert_array_equal(see(rows).X, X)
    rows = read(folder, stage, client=client)
    assert rows.plan(estimator(), measure=True).most_seconds > 0
    assert see(rows).n_rows == 2000


def test_measuring_leaves_blocks_that_are_kept_already(folder):
    with read(folder, "memory") as rows:
        see(rows)
        rows.plan(estimator(), measure=True)
        see(rows)
        assert rows.bytes_read <= rows.parquet.n_bytes * (1 + 2 / 18)


def test_a_plan_is_printed_for_people(folder, X):
    cost = read(folder).plan(estimator())
    shown = str(cost).splitlines()
    assert shown[:2] == ["files     4", "rows      2,000"]
    assert f"at most {cost.most_bytes_read / 1e6:,.1f} MB of the source" in str(cost)
    assert pretty(cost) == str(cost)
    of_memory = str(Rows.from_array(X).plan(estimator()))
    assert of_memory.startswith("rows      2,000")
    assert "source" not in of_memory
