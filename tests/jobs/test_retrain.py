"""The task retrain: what is promoted, what is refused, what happens if a run is made again."""

import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dkmeans
from dkmeans.errors import (
    AliasMoved,
    ArgumentError,
    BudgetSpent,
    FeaturesMismatch,
    JobRunning,
    OutputExists,
)
from dkmeans.jobs import judged as judging
from dkmeans.jobs import lock
from dkmeans.jobs.lock import JobLock
from dkmeans.jobs.monitored import run_monitored
from dkmeans.jobs.outcome import Outcome
from dkmeans.jobs.records import latest
from dkmeans.jobs.tally import Tally
from dkmeans.registry.records import Place
from dkmeans.registry.registry import Registry
from dkmeans.rows.clusters_out import read_manifest
from dkmeans.rows.progress import listening
from dkmeans.storage.filesystem import remember
from tests.conftest import write_parquet
from tests.jobs.jobs import job_of

TEXT = """
task: retrain
name: nightly
data: {url: in, keys: [id]}
model: {n_clusters: 4, random_state: 7}
cluster: {local: 0}
registry: reg
"""
N_ROWS = 3000
CENTERS = 6.0 * np.array([[1, 1, 0, 0], [-1, 1, 0, 1], [1, -1, 1, 0], [-1, -1, 0, -1.0]])
Array = np.ndarray


def batch(seed: int, shift: float = 0.0, n_rows: int = N_ROWS) -> Array:
    """Rows of four clusters that lie apart."""
    rng = np.random.default_rng(seed)
    X = CENTERS[rng.integers(0, 4, n_rows)] + shift + rng.normal(size=(n_rows, 4))
    return X.astype(np.float32)


def deliver(folder: Path, X: Array, name: str = "in") -> None:
    for file in (folder / name).glob("*.parquet"):
        file.unlink()
    write_parquet(folder / name, X, n_files=2, id=np.arange(len(X)))


def retrain(folder: Path, *sets: str, day: int = 20, text: str = TEXT, **given: Any) -> Outcome:
    as_of = datetime.datetime(2026, 11, day, tzinfo=datetime.UTC)
    outcome = run_monitored(job_of(text, sets, folder=folder, as_of=as_of), **given)
    assert json.loads(json.dumps(dict(outcome.result))) == outcome.result
    return outcome


def registry(folder: Path) -> Registry:
    return Registry(str(folder / "reg"))


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A first model, of honest rows, serves already."""
    deliver(tmp_path, batch(1))
    assert retrain(tmp_path).result["promoted"]
    return tmp_path


def test_a_first_model_is_that_of_a_train_and_serves(folder: Path) -> None:
    found = registry(folder)
    assert found.aliases() == {"champion": 1, "challenger": 1}
    model = found.load("champion")
    same = dkmeans.KMeans(4, init="coreset", scale="standard", random_state=7)
    np.testing.assert_array_equal(
        same.fit(np.concatenate(_blocks(folder))).model_.centers, model.centers
    )
    assert model.baseline is not None
    assert model.baseline.n_rows == N_ROWS
    assert found.attachments(1) == ["figures.json", "job.yaml", "verdict.json"]
    assert model.provenance["job"]["as_of"] == "2026-11-20"


def test_the_same_rows_again_are_left_alone(folder: Path) -> None:
    tally = Tally()
    with listening(tally):
        outcome = retrain(folder, day=21)
    assert tally.costs().passes == 0
    assert outcome.exit_code == 0
    assert outcome.result["unchanged"]
    assert outcome.lines[0].startswith("nothing to do: version 1 ")
    assert len(registry(folder).versions()) == 1
    records, _ = latest(str(folder / "reg"), 9)
    assert [one.outcome for one in records] == ["done", "nothing to do"]
    # other parameters are another model
    assert not retrain(folder, "model.tol=0.01", day=21).result["unchanged"]


def test_honest_rows_are_followed_and_clusters_keep_their_ids(folder: Path) -> None:
    before = registry(folder).load(1)
    deliver(folder, batch(2, 0.1))
    outcome = retrain(folder, day=21)
    assert (outcome.exit_code, outcome.result["promoted"]) == (0, True)
    assert outcome.result["births"] == outcome.result["deaths"] == []
    found = registry(folder)
    assert found.aliases() == {"champion": 2, "challenger": 2}
    after = found.load(2)
    assert found.version(2).parents == (1,)
    np.testing.assert_array_equal(after.scaling.shift, before.scaling.shift)
    ids = after.cluster_ids[after.predict(CENTERS.astype(np.float32))]
    np.testing.assert_array_equal(
        ids, before.cluster_ids[before.predict(CENTERS.astype(np.float32))]
    )
    # new rows and old ones, which nothing was said to forget
    assert after.weights.sum() == pytest.approx(2 * N_ROWS)
    assert after.baseline.n_rows == N_ROWS
    assert set(found.attachments(2)) == {
        *("drift.json", "figures.json", "job.yaml", "lineage.json", "verdict.json")
    }
    assert json.loads(found.attachment(2, "drift.json"))["verdict"] == "no drift"


def noise(rng: np.random.Generator) -> Array:
    X = batch(5)
    return (X.mean(axis=0) + rng.normal(size=X.shape) * X.std(axis=0)).astype(np.float32)


def other_unit(rng: np.random.Generator) -> Array:
    return batch(6) * np.array([1, 1, 1000, 1], np.float32)


def few(rng: np.random.Generator) -> Array:
    return batch(7, n_rows=N_ROWS // 10)


@pytest.mark.parametrize(
    ("garbage", "metric"), [(noise, "misfit"), (other_unit, "spread_change"), (few, "rows")]
)
def test_garbage_is_refused_with_reasons(
    folder: Path, garbage: Callable[[np.random.Generator], Array], metric: str
) -> None:
    deliver(folder, garbage(np.random.default_rng(3)))
    outcome = retrain(folder, day=21)
    assert outcome.exit_code == 5
    assert outcome.refusal is not None
    assert metric in outcome.refusal
    assert "version 1 stays" in outcome.refusal
    found = registry(folder)
    assert found.aliases() == {"champion": 1, "challenger": 2}
    verdict = json.loads(found.attachment(2, "verdict.json"))
    failed = [one["metric"] for one in verdict["judgments"] if not one["passed"]]
    assert metric in failed
    (record,) = latest(str(folder / "reg"), 1)[0]
    assert (record.outcome, record.exit_code, record.model_version) == ("refused", 5, 2)
    # what was said once is not said again every night
    again = retrain(folder, day=22)
    assert (again.exit_code, again.result["unchanged"]) == (0, True)
    # other gates are other parameters: the rows are judged anew
    assert retrain(folder, "gates=off", day=22).result["promoted"]
    assert registry(folder).aliases()["champion"] == 3


def test_shadow_promotes_nothing_until_a_run_without_it(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    outcome = retrain(folder, day=21, shadow=True)
    assert (outcome.exit_code, outcome.result["gate"]) == (0, "passed")
    assert registry(folder).aliases() == {"champion": 1, "challenger": 2}
    assert retrain(folder, day=21, shadow=True).result["unchanged"]
    outcome = retrain(folder, day=21)
    assert outcome.result["promoted"]
    assert registry(folder).aliases() == {"champion": 2, "challenger": 2}


def test_a_shadow_goes_with_retrain_only(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="--shadow goes with task: retrain"):
        retrain(folder, "task=train", shadow=True)


def test_a_rollback_stays(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    retrain(folder, day=21)
    registry(folder).rollback(reason="looks odd")
    assert registry(folder).aliases()["champion"] == 1
    # the same rows do not bring it back
    assert retrain(folder, day=22).result["unchanged"]
    assert registry(folder).aliases()["champion"] == 1
    # ids of the version that was left are not used again
    deliver(folder, batch(3, 0.1))
    retrain(folder, "model.init=coreset", "model.n_clusters=5", "gates=off", day=23)
    model = registry(folder).load("champion")
    assert sorted(model.cluster_ids.tolist())[:4] == [0, 1, 2, 3]
    registry(folder).rollback(reason="again")
    deliver(folder, batch(4, 0.1))
    retrain(folder, "model.init=coreset", "model.n_clusters=5", "gates=off", day=24)
    assert max(registry(folder).load("champion").cluster_ids) == 5


@pytest.mark.parametrize("at", ["publish", "move"])
def test_a_run_that_is_killed_is_made_again(folder: Path, at: str) -> None:
    deliver(folder, batch(2, 0.1))
    script = f"""
import os, signal, sys
from pathlib import Path
from dkmeans.registry.registry import Registry
import tests.jobs.test_retrain as t
real = Registry.{at}
def killed(self, *args, **given):
    real(self, *args, **given)
    os.kill(os.getpid(), signal.SIGKILL)
Registry.{at} = killed
t.retrain(Path({str(folder)!r}), day=21)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    aliases = registry(folder).aliases()
    assert aliases == {"champion": 2 if at == "move" else 1, "challenger": 1}
    (record,) = latest(str(folder / "reg"), 1)[0]
    assert record.outcome == "lost"
    time.sleep(1.1)
    tally = Tally()
    with listening(tally):
        outcome = retrain(folder, "lock.stale=1s", day=22)
    assert tally.costs().passes == 0
    assert outcome.exit_code == 0
    assert outcome.result["promoted"] == (at == "publish")
    assert len(registry(folder).versions()) == 2
    assert registry(folder).aliases() == {"champion": 2, "challenger": 2}
    assert len(registry(folder).moves("champion")) == 2
    assert retrain(folder, day=22).result["unchanged"]


def test_a_refusal_that_nobody_has_heard_of_is_told_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(folder, few(np.random.default_rng(0)))

    def lost(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "move", lost)
        with pytest.raises(KeyboardInterrupt):
            retrain(folder, day=21)
    outcome = retrain(folder, day=21)
    assert (outcome.exit_code, outcome.result["version"]) == (5, 2)
    assert outcome.refusal is not None
    assert "rows" in outcome.refusal


def test_of_two_at_once_one_leaves_or_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LOOK_SECONDS", 0.1)
    deliver(folder, batch(2, 0.1))
    place = Place(str(folder / "reg"))
    with JobLock(place, "nightly", "other", who="anna@host", written="now"):
        with pytest.raises(JobRunning, match="anna@host"):
            retrain(folder, day=21)
        found: list[Outcome] = []
        waits = threading.Thread(
            target=lambda: found.append(retrain(folder, "lock={overlap: wait, wait: 60s}", day=21))
        )
        waits.start()
        waits.join(0.5)
        assert waits.is_alive()
        assert len(registry(folder).versions()) == 1
    waits.join(60)
    assert found[0].result["promoted"]
    codes = [one.exit_code for one in latest(str(folder / "reg"), 2)[0]]
    assert codes == [JobRunning.exit_code, 0]


def test_a_champion_that_somebody_else_moves_meanwhile_is_not_overwritten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(folder, batch(2, 0.1))
    retrain(folder, day=21, shadow=True)
    deliver(folder, batch(3, 0.1))
    real = judging.judge

    def meanwhile(*given: Any) -> Any:
        registry(folder).promote(2, reason="by hand", who="anna")
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(judging, "judge", meanwhile)
        with pytest.raises(AliasMoved):
            retrain(folder, day=22)
    found = registry(folder)
    assert found.aliases() == {"champion": 2, "challenger": 3}
    # the next run challenges the one that serves now
    outcome = retrain(folder, day=22)
    assert (outcome.result["version"], outcome.result["challenged"]) == (4, 2)
    assert registry(folder).aliases() == {"champion": 4, "challenger": 4}


def test_passes_are_those_of_the_fit_and_one(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    tally = Tally()
    with listening(tally):
        outcome = retrain(folder, "stage=memory", day=21)
    assert tally.costs().passes == outcome.result["n_passes"] + 1
    # the source is read once: blocks are kept
    assert tally.costs().bytes == outcome.result["bytes_read"]
    (record,) = latest(str(folder / "reg"), 1)[0]
    assert (record.passes, record.rows) == (outcome.result["n_passes"] + 1, tally.costs().rows)


def test_from_scratch_there_is_one_pass_more(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    tally = Tally()
    with listening(tally):
        outcome = retrain(folder, "model.init=scratch", day=21)
    assert tally.costs().passes == outcome.result["n_passes"] + 2
    assert outcome.result["promoted"]
    found = registry(folder)
    one, other = found.load(1), found.load(2)
    assert not np.array_equal(one.scaling.shift, other.scaling.shift)
    points = CENTERS.astype(np.float32)
    np.testing.assert_array_equal(
        one.cluster_ids[one.predict(points)], other.cluster_ids[other.predict(points)]
    )
    # measured where the champion measures
    X = one.scale(np.concatenate(_blocks(folder)))
    centers = one.scale(other.centers)
    nearest = ((X[:, None, :] - centers) ** 2).sum(axis=2).min(axis=1)
    assert outcome.result["figures"]["inertia_per_row"] == pytest.approx(nearest.mean(), rel=1e-3)


def _blocks(folder: Path) -> list[Array]:
    import pyarrow.parquet as pq

    return [
        np.column_stack([pq.read_table(file)[f"f{i}"].to_numpy() for i in range(4)])
        for file in sorted((folder / "in").glob("*.parquet"))
    ]


def test_figures_are_those_of_the_rows(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    outcome = retrain(folder, day=21)
    found, X = registry(folder), np.concatenate(_blocks(folder))
    one, other = found.load(1), found.load(2)
    figures = outcome.result["figures"]
    evaluated = dkmeans.evaluate(other, X, metrics=["inertia", "silhouette_simplified"])
    assert figures["inertia_per_row"] == pytest.approx(
        evaluated.figures["inertia"].value / N_ROWS, rel=1e-6
    )
    assert figures["silhouette"] == pytest.approx(
        evaluated.figures["silhouette_simplified"].value, rel=1e-6
    )
    ids = one.cluster_ids[one.predict(X)], other.cluster_ids[other.predict(X)]
    assert figures["churn"] == pytest.approx((ids[0] != ids[1]).mean())
    drifted = dkmeans.drift(one, X)
    assert figures["mean_shift"] == pytest.approx(drifted["mean_shift"], rel=1e-6)
    assert figures["outside_range"] == pytest.approx(drifted.shares.outside)
    assert figures["rows"] == 1.0


def test_rows_that_lack_values_are_filled_as_the_champion_has_it(tmp_path: Path) -> None:
    X = batch(1)
    X[::50, 2] = np.nan
    deliver(tmp_path, X)
    outcome = retrain(tmp_path, "data.missing=mean")
    assert outcome.result["figures"]["missing_share"] == pytest.approx(0.02)
    X = batch(2)
    X[::10, 2] = np.nan
    deliver(tmp_path, X)
    outcome = retrain(tmp_path, "data.missing=mean", day=21)
    assert outcome.exit_code == 5
    assert outcome.result["figures"]["missing_share"] == pytest.approx(0.1)
    assert "missing_share" in str(outcome.refusal)


def test_half_of_the_old_rows_is_forgotten_in_a_half_life(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    retrain(folder, "model.half_life=10d", day=30)
    assert registry(folder).load(2).weights.sum() == pytest.approx(1.5 * N_ROWS)
    deliver(folder, batch(3, 0.1))
    retrain(folder, "model.half_life=3000 rows", day=30)
    assert registry(folder).load(3).weights.sum() == pytest.approx(1.75 * N_ROWS)


def test_clusters_are_those_of_the_champion(folder: Path) -> None:
    sets = ("output.clusters=out",)
    deliver(folder, batch(2, 0.1))
    outcome = retrain(folder, *sets, day=21)
    assert outcome.result["rows_assigned"] == N_ROWS
    assert read_manifest(str(folder / "out"))["job"]["model_version"] == 2
    deliver(folder, few(np.random.default_rng(0)))
    assert retrain(folder, *sets, day=22).exit_code == 5
    manifest = read_manifest(str(folder / "out"))
    assert (manifest["job"]["model_version"], manifest["rows"]) == (2, N_ROWS // 10)
    tally = Tally()
    with listening(tally):
        retrain(folder, *sets, day=23)
    assert tally.costs().passes == 0


def test_what_somebody_else_has_written_is_left_alone(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    deliver(folder, batch(2, 0.1))
    with pytest.raises(OutputExists):
        retrain(folder, "output.clusters=out", day=21)
    assert len(registry(folder).versions()) == 1


def test_other_features_or_numbers_of_clusters_are_refused(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    with pytest.raises(FeaturesMismatch, match="begin another registry"):
        retrain(folder, "data.columns=[f0, f1]", day=21)
    with pytest.raises(ArgumentError, match="n_clusters: 5 is not the number"):
        retrain(folder, "model.n_clusters=5", day=21)


@pytest.mark.parametrize("init", ["champion", "coreset", "scratch"])
def test_one_cluster_is_followed_and_garbage_refused(tmp_path: Path, init: str) -> None:
    sets = ("model.n_clusters=1", f"model.init={init}", "data.columns=[f0, f1, f2, f3]")
    for day, seed in enumerate((1, 2, 3), 20):
        deliver(tmp_path, batch(seed, 0.05 * seed))
        outcome = retrain(tmp_path, *sets, day=day)
        assert outcome.result["promoted"], outcome.refusal
    assert outcome.result["figures"]["silhouette"] == 0.0
    deliver(tmp_path, batch(4) * np.float32(3))
    outcome = retrain(tmp_path, *sets, day=23)
    assert outcome.exit_code == 5
    assert "silhouette" not in str(outcome.refusal)


def test_old_versions_go_if_retention_says_so(folder: Path) -> None:
    for day, seed in enumerate(range(2, 5), 21):
        deliver(folder, batch(seed, 0.1))
        outcome = retrain(folder, "retention={older_than: 0.001s, keep: 1}", day=day)
        time.sleep(0.05)
    assert outcome.result["removed_versions"] == [2] or outcome.result["removed_versions"] == [1]
    assert registry(folder).load("champion") is not None
    registry(folder).rollback(reason="one is possible")
    assert registry(folder).load("champion") is not None


def test_those_who_want_to_know_are_told(folder: Path, tmp_path: Path) -> None:
    deliver(folder, few(np.random.default_rng(0)))
    told = tmp_path / "told.json"
    command = json.dumps(
        [sys.executable, "-c", f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read())"]
    )
    outcome = retrain(
        folder,
        f"notify={{command: {command}}}",
        day=21,
        log_json=str(tmp_path / "log.jsonl"),
        metrics_file=tmp_path / "job.prom",
    )
    assert outcome.exit_code == 5
    message = json.loads(told.read_text())
    assert (message["outcome"], message["exit_code"], message["model_version"]) == ("refused", 5, 2)
    assert any("rows" in reason for reason in message["reasons"])
    metrics = (tmp_path / "job.prom").read_text()
    assert 'dkmeans_gate_passed{job_name="nightly",task="retrain"} 0' in metrics
    assert "dkmeans_run_exit_code" in metrics
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (record,) = latest(str(folder / "reg"), 1)[0]
    assert {event["run_id"] for event in events} == {record.run_id}
    assert [one["ok"] for one in record.notifications] == [True]


def test_on_an_object_store_it_is_the_same(tmp_path: Path, s3: dict[str, Any], bucket: str) -> None:
    import fsspec

    store = fsspec.filesystem("s3", **s3, skip_instance_cache=True)
    sets = (
        f"data.url={bucket}/in",
        f"data.storage_options={json.dumps(s3)}",
        f"registry={bucket}/reg",
        "lock.stale=1min",
    )
    for day, X in enumerate((batch(1), batch(2, 0.1), few(np.random.default_rng(0))), 20):
        deliver(tmp_path, X)
        for file in (tmp_path / "in").glob("*.parquet"):
            store.put_file(str(file), f"{bucket}/in/{file.name}")
        outcome = retrain(tmp_path, *sets, day=day)
        assert retrain(tmp_path, *sets, day=day).result["unchanged"]
    assert outcome.exit_code == 5
    assert Registry(f"{bucket}/reg", s3).aliases() == {"champion": 2, "challenger": 3}
    found, _ = latest(f"{bucket}/reg", 9, remember(s3))
    assert [one.exit_code for one in found] == [0, 0, 0, 0, 5, 0]
    stored = [store.cat_file(one) for one in store.find(bucket) if not one.endswith(".parquet")]
    assert stored
    assert not [one for one in stored if s3["secret"].encode() in one]


def test_a_checkpoint_of_other_rows_is_left_behind(folder: Path) -> None:
    sets = ("checkpoint=points", "model.tol=0")
    deliver(folder, noise(np.random.default_rng(0)))
    with pytest.raises(BudgetSpent):
        retrain(folder, *sets, "limits.max_passes=2", day=21)
    assert list((folder / "points").iterdir())
    (record,) = latest(str(folder / "reg"), 1)[0]
    assert (record.outcome, record.exit_code) == ("stopped", 7)
    deliver(folder, batch(2, 0.1))
    outcome = retrain(folder, *sets, day=21)
    assert outcome.result["promoted"]
    assert not [one for one in (folder / "points").rglob("*") if one.is_file()]


@pytest.mark.parametrize(
    "sets",
    [
        ("data.weight=w",),
        ("data.dtype=float64", "scale=none"),
        ("scale=normalize",),
        ("data.sample=0.5",),
        ("model={n_clusters: 4, algorithm: minibatch, init: scratch}",),
        ("model={sweep: 2:6, init: scratch, choose: elbow}",),
        ("model={n_clusters: 4, init: coreset}",),
    ],
    ids=str,
)
def test_whatever_is_asked_for_follows_honest_rows(tmp_path: Path, sets: tuple[str, ...]) -> None:
    columns = "data.columns=[f0, f1, f2, f3]"
    for day, X in enumerate((batch(1), batch(2, 0.1)), 20):
        write_parquet(tmp_path / "in", X, n_files=2, id=np.arange(len(X)), w=np.arange(len(X)) % 3)
        outcome = retrain(tmp_path, columns, *sets, day=day)
        assert outcome.result["promoted"], outcome.refusal
        assert retrain(tmp_path, columns, *sets, day=day).result["unchanged"]
    assert outcome.result["births"] == outcome.result["deaths"] == []
    assert outcome.result["figures"]["churn"] < 0.01
    found = registry(tmp_path)
    one, other, points = found.load(1), found.load(2), CENTERS.astype(np.float32)
    np.testing.assert_array_equal(
        one.cluster_ids[one.predict(points)], other.cluster_ids[other.predict(points)]
    )


def test_directions_and_distances_are_not_compared(folder: Path) -> None:
    deliver(folder, batch(2, 0.1))
    with pytest.raises(ArgumentError, match="measures the directions of rows"):
        retrain(folder, "model.init=scratch", "scale=normalize", day=21)
    assert len(registry(folder).versions()) == 1
