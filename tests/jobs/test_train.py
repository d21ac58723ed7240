"""The task train: the model that the same calls in Python give, stored with the job."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed import Client

import dkmeans
from dkmeans.algorithms.checkpoint import FILE
from dkmeans.errors import ArgumentError, BudgetSpent, InputRefused, OutputExists
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.run import do_task
from dkmeans.jobs.train import checkpoint_of
from dkmeans.registry.registry import Registry
from dkmeans.rows.clusters_out import read_manifest
from tests.conftest import write_parquet
from tests.jobs.jobs import job_of

TEXT = """
task: train
name: nightly
data: {url: in, columns: [f0, f1, f2, f3], keys: [id]}
model: {n_clusters: 4, random_state: 7}
cluster: {local: 0}
output: {model: model}
"""


@pytest.fixture
def folder(tmp_path: Path, blobs: Any) -> Path:
    X = blobs[0]
    write_parquet(
        tmp_path / "in", X, id=np.arange(len(X)), w=np.arange(len(X)) % 3, day=[20] * len(X)
    )
    return tmp_path


def model_at(url: object) -> dkmeans.Model:
    return dkmeans.Model.load(str(url))


def train(folder: Path, text: str = TEXT, *sets: str) -> tuple[Resolved, dict[str, Any]]:
    run = job_of(text, sets, folder=folder)
    outcome = do_task(run)
    assert json.loads(json.dumps(dict(outcome.result))) == outcome.result
    return run, dict(outcome.result)


def test_a_job_does_what_it_does_in_python(folder: Path) -> None:
    text = TEXT.replace("columns: [f0, f1, f2, f3]", "columns: [f2, f0]")
    run, result = train(
        folder,
        text,
        "data.filters=[f0 > -50, id < 4000]",
        "data.weight=w",
        "data.dtype=float64",
        "data.block_bytes=20000",
        "scale=minmax",
        "stage=none",
        "model={n_clusters: 4, init: random, n_init: 2, random_state: 7, max_iter: 6, tol: 0}",
    )
    rows = dkmeans.read_parquet(
        str(folder / "in"),
        columns=["f2", "f0"],
        filters=[("f0", ">", -50), ("id", "<", 4000)],
        weight="w",
        keys=["id"],
        dtype="float64",
        block_bytes=20_000,
        stage="none",
    )
    assert rows.n_blocks > 3
    expected = dkmeans.KMeans(
        4, init="random", n_init=2, max_iter=6, tol=0, random_state=7, scale="minmax"
    ).fit(rows)
    model = model_at(folder / "model")
    assert model.scaled_centers.tobytes() == expected.scaled_centers_.tobytes()
    assert model.parameters == expected.model_.parameters
    assert result["inertia"] == expected.inertia_
    assert result["n_passes"] == expected.n_passes_
    assert model.provenance["job"] == {
        "name": "nightly",
        "task": "train",
        "as_of": "2026-11-20",
        "sha256": run.sha256,
        "text": run.text,
    }
    assert result["run_id"] == model.provenance["run_id"]


def test_the_same_job_gives_the_same_model(folder: Path) -> None:
    for name in ("a", "b"):
        train(folder, TEXT.replace(", random_state: 7", ""), f"output.model={name}")
    one, other = model_at(folder / "a"), model_at(folder / "b")
    assert one.scaled_centers.tobytes() == other.scaled_centers.tobytes()
    assert one.provenance["run_id"] != other.provenance["run_id"]


def test_minibatches_forget_as_they_are_told(folder: Path) -> None:
    settings = (
        "n_clusters: 4, random_state: 1, max_epochs: 2, batch_size: 500, half_life: 1000 rows"
    )
    train(folder, TEXT, f"model={{algorithm: minibatch, {settings}}}")
    found = model_at(folder / "model").parameters
    assert (found["half_life"], found["half_life_unit"]) == (1000, "rows")
    assert (found["batch_size"], found["max_epochs"]) == (500, 2)


def test_of_a_sweep_the_number_that_stands_out_is_stored(folder: Path) -> None:
    sets = ("model={sweep: '9:11', random_state: 0}", "output.sweep=sweep")
    run, result = train(folder, TEXT, *sets)
    found = dkmeans.Sweep.load(str(folder / "sweep"))
    assert sorted(found.models) == [9, 10, 11]
    assert found.recommended == result["n_clusters"] == 10
    model = model_at(folder / "model")
    assert model.scaled_centers.tobytes() == found.models[10].scaled_centers.tobytes()
    assert found.models[9].provenance["job"]["sha256"] == run.sha256
    # what this job has swept it may sweep again
    train(folder, TEXT, *sets)


def test_a_sweep_in_which_nothing_stands_out_stores_nothing(tmp_path: Path) -> None:
    X = np.random.default_rng(0).uniform(size=(2000, 4))
    write_parquet(tmp_path / "in", X, id=np.arange(2000))
    with pytest.raises(InputRefused, match=r"model\.sweep: no number of clusters stands out"):
        train(tmp_path, TEXT, "model={sweep: [2, 3]}")
    assert not (tmp_path / "model").exists()


def test_clusters_are_written_beside_the_keys_with_the_job(folder: Path) -> None:
    run, result = train(folder, TEXT, "output.clusters=out")
    table = pq.read_table(folder / "out")
    assert table["id"].to_pylist() == list(range(5000))
    sizes = np.bincount(table["cluster_id"].to_numpy(), minlength=4)
    assert sizes.tolist() == model_at(folder / "model").weights.tolist()
    job = read_manifest(str(folder / "out"))["job"]
    assert (job["sha256"], job["run_id"]) == (run.sha256, result["run_id"])
    assert job["text"] == run.text


def test_what_a_job_has_written_it_replaces_and_nothing_else(folder: Path) -> None:
    train(folder, TEXT, "output.clusters=out")
    train(folder, TEXT, "output.clusters=out", "model.n_clusters=5")
    assert model_at(folder / "model").n_clusters == 5
    with pytest.raises(OutputExists, match="a model lies at"):
        train(folder, TEXT, "name=other")
    with pytest.raises(OutputExists, match="clusters lie at"):
        train(folder, TEXT, "name=other", "output.clusters=out", "output.model=fresh")
    train(folder, TEXT, "name=other", "output.overwrite=true")
    assert model_at(folder / "model").provenance["job"]["name"] == "other"


def test_a_model_that_a_person_has_saved_stays(folder: Path) -> None:
    rows = dkmeans.read_parquet(str(folder / "in"), columns=["f0", "f1"])
    dkmeans.KMeans(2, random_state=0).fit(rows).model_.save(str(folder / "model"))
    before = (folder / "model" / "model.json").read_bytes()
    with pytest.raises(OutputExists):
        train(folder)
    assert (folder / "model" / "model.json").read_bytes() == before


def test_a_train_publishes_and_moves_no_alias_that_is_there(folder: Path) -> None:
    text = TEXT.replace("output: {model: model}", "")
    run, first = train(folder, text)
    registry = Registry(str(folder / "models" / "nightly"))
    assert (first["version"], first["alias"], first["alias_version"]) == (1, "champion", 1)
    assert registry.attachment(1, "job.yaml").decode() == run.text
    model = registry.load("champion")
    assert model.provenance["job"]["sha256"] == run.sha256
    assert registry.version(1).run_id == first["run_id"] == model.provenance["run_id"]
    (move,) = registry.moves("champion")
    assert move.reason == "first version, trained by job nightly as of 2026-11-20"
    _, second = train(folder, text, "model.n_clusters=5", "output.clusters=out")
    assert (second["version"], second["alias_version"]) == (2, 1)
    assert len(registry.moves("champion")) == 1
    assert read_manifest(str(folder / "out"))["job"]["model_version"] == 2
    _, third = train(folder, text, "model={sweep: '9:11'}", "registry.alias=other")
    assert (third["version"], third["alias_version"]) == (3, 3)
    assert registry.aliases() == {"champion": 1, "other": 3}
    assert json.loads(registry.attachment(3, "sweep.json"))["recommended"] == 10


def test_a_run_that_was_cut_off_after_it_published_publishes_nothing_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT.replace("output: {model: model}", "checkpoint: state\noutput: out\n")

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dkmeans.jobs.train.write_clusters", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(folder, text)
    registry = Registry(str(folder / "models" / "nightly"))
    assert len(registry.versions()) == 1
    _, result = train(folder, text)
    assert (len(registry.versions()), result["version"]) == (1, 1)
    assert read_manifest(str(folder / "out"))["job"]["run_id"] == registry.version(1).run_id


def test_a_run_that_spent_its_limit_is_gone_on_with(folder: Path) -> None:
    settings = "{n_clusters: 30, init: random, tol: 0, max_iter: 8}"
    sets = (f"model={settings}", "checkpoint=state")
    train(folder, TEXT, sets[0], "output.model=straight")
    stopped = job_of(TEXT, [*sets, "limits.max_passes=4"], folder=folder)
    with pytest.raises(BudgetSpent):
        do_task(stopped)
    place = checkpoint_of(stopped)
    assert place is not None
    assert (Path(place) / FILE).exists()
    assert not (folder / "model").exists()
    # limits and places where passes run are no part of what is fitted
    more = job_of(TEXT, [*sets, "stage=none"], folder=folder)
    assert checkpoint_of(more) == place
    done = do_task(more).result
    assert done["n_passes"] > 4
    assert not (Path(place) / FILE).exists()
    straight, resumed = model_at(folder / "straight"), model_at(folder / "model")
    assert straight.scaled_centers.tobytes() == resumed.scaled_centers.tobytes()


def test_the_checkpoint_of_other_data_is_begun_afresh(folder: Path, blobs: Any) -> None:
    sets = ("model={n_clusters: 30, init: random, tol: 0, max_iter: 8}", "checkpoint=state")
    run = job_of(TEXT, [*sets, "limits.max_passes=4"], folder=folder)
    with pytest.raises(BudgetSpent):
        do_task(run)
    X = blobs[0][:2000] + 1
    write_parquet(folder / "in", X, id=np.arange(2000), w=np.ones(2000), day=[21] * 2000)
    with pytest.raises(BudgetSpent):
        do_task(run)
    assert train(folder, TEXT, *sets)[1]["rows"] == 2000


def made_client() -> Client:
    """What a user's factory is: in a module that can be imported."""
    return Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None)


def no_client() -> int:
    return 3


def test_a_factory_makes_the_cluster_and_it_is_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Client] = []

    def factory() -> Client:
        made.append(made_client())
        return made[-1]

    monkeypatch.setattr("tests.jobs.test_train.made_client_here", factory, raising=False)
    train(folder, TEXT, "cluster={factory: 'tests.jobs.test_train:made_client_here'}")
    assert model_at(folder / "model").n_clusters == 4
    assert made[0].status == "closed"
    assert made[0].cluster.status.name == "closed"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.at_all:make", "cannot be imported"),
        ("tests.jobs.test_train:gone", "cannot be imported"),
        ("tests.jobs.test_train:TEXT", "is no function"),
        ("tests.jobs.test_train:no_client", "returned a int"),
    ],
)
def test_a_factory_that_is_none_is_refused(folder: Path, name: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        train(folder, TEXT, f"cluster={{factory: '{name}'}}")
