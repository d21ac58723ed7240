"""`retrain`: models that follow new rows, what they record, and fits that go on."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import dkmeans
from dkmeans import KMeans, Model, Rows, retrain
from dkmeans.algorithms import retraining
from dkmeans.errors import ArgumentError, FeaturesMismatch, InputChanged
from dkmeans.models.files import model_id
from dkmeans.rows import progress
from tests.conftest import write_parquet

K = 4


def rows_around(seed: int, n: int, moved: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(0).uniform(-2, 2, size=(K, 3)) + moved
    return (centers[rng.integers(0, K, n)] + rng.normal(size=(n, 3))) * [1.0, 100.0, 0.01]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(rows_around(1, 1500), columns=["f0", "f1", "f2"])


@pytest.fixture(scope="module")
def champion(frame: pd.DataFrame) -> Model:
    return KMeans(K, scale="standard", random_state=0).fit(frame).model_


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    X = rows_around(2, 900, moved=0.5)
    return str(write_parquet(tmp_path_factory.mktemp("new") / "in", X, n_files=6))


def read(folder: str, **options: object) -> Rows:
    return dkmeans.read_parquet(folder, dtype="float64", block_rows=100, **options)


def test_a_challenger_keeps_what_is_the_champions_and_says_what_it_came_of(champion, folder):
    challenger = retrain(champion, read(folder), decay=0.25)
    assert challenger.scaling is champion.scaling
    assert challenger.columns == champion.columns
    np.testing.assert_array_equal(challenger.cluster_ids, champion.cluster_ids)
    assert not np.allclose(challenger.scaled_centers, champion.scaled_centers)
    assert challenger.weights.sum() == pytest.approx(900 + 0.25 * 1500)
    found = challenger.provenance
    run_id = champion.provenance["run_id"]
    assert found["parent"] == {"run_id": run_id, "model_id": model_id(champion)}
    assert found["run_id"] != run_id
    assert found["rows"] == 900
    assert found["input"] is None
    assert len(found["files"]) == 6
    told = found["retrained"]
    assert (told["decay"], told["rows"], told["weight"]) == (0.25, 900, 900.0)
    X = rows_around(2, 900, moved=0.5)
    assert told["inertia"] == pytest.approx(-challenger.score(X), rel=1e-9)
    assert challenger.inertia > told["inertia"]
    assert challenger.parameters["scale"] == "standard"
    assert (challenger.parameters["init"], challenger.parameters["decay"]) == ("champion", 0.25)


def test_forgetting_twice_is_forgetting_by_the_product(champion, frame):
    labels = champion.predict(frame)
    first = frame[labels == 0]
    again = retrain(retrain(champion, first, decay=0.5), first, decay=0.5)
    of_other = champion.weights[1:]
    np.testing.assert_allclose(again.weights[1:], 0.25 * of_other)
    n = len(first)
    assert again.weights[0] == pytest.approx(0.25 * n + 0.5 * n + n)


def test_rows_of_all_kinds_lead_to_the_same_model(champion, folder):
    X = rows_around(2, 900, moved=0.5)
    frame = pd.DataFrame(X[:, ::-1], columns=["f2", "f1", "f0"])
    expected = retrain(champion, read(folder)).centers
    np.testing.assert_allclose(retrain(champion, frame).centers, expected, rtol=1e-9)
    np.testing.assert_allclose(retrain(champion, folder).centers, expected, rtol=1e-4)
    doubled = retrain(champion, frame, sample_weight=np.full(900, 2.0), decay=1.0)
    half = retrain(champion, frame, decay=0.5)
    np.testing.assert_allclose(doubled.centers, half.centers, rtol=1e-9)


def test_a_saved_challenger_comes_back_and_can_be_followed_up(champion, folder, tmp_path):
    challenger = retrain(champion, read(folder), decay=0.5)
    challenger.save(str(tmp_path / "m"))
    loaded = Model.load(str(tmp_path / "m"))
    assert model_id(loaded) == model_id(challenger)
    a, b = (retrain(one, read(folder), decay=0.5) for one in (loaded, challenger))
    np.testing.assert_array_equal(a.scaled_centers, b.scaled_centers)
    assert a.provenance["parent"] == b.provenance["parent"]


def test_other_features_and_impossible_values_are_refused(champion, frame):
    with pytest.raises(FeaturesMismatch, match="'f2'"):
        retrain(champion, frame[["f0", "f1"]])
    bare = KMeans(2, random_state=0).fit(frame.to_numpy()).model_
    with pytest.raises(FeaturesMismatch, match="2 features"):
        retrain(bare, frame.to_numpy()[:, :2])
    for decay in (0, -0.5, 1.5, float("nan"), "half", True):
        with pytest.raises(ArgumentError, match=r"decay=.* should be above 0 and at most 1"):
            retrain(champion, frame, decay=decay)
    with pytest.raises(ArgumentError, match="max_iter=0"):
        retrain(champion, frame, max_iter=0)


def test_missing_values_are_filled_with_the_champions_means():
    X = rows_around(3, 500)
    holes = X.copy()
    holes[::7, 1] = np.nan
    rows = Rows.from_array(holes, missing="mean")
    champion = KMeans(K, random_state=0).fit(rows).model_
    new = rows_around(4, 200)
    new[::5, 0] = np.nan
    filled = np.where(np.isnan(new), champion.filling.values, new)
    challenger = retrain(champion, new)
    np.testing.assert_array_equal(challenger.filling.values, champion.filling.values)
    np.testing.assert_allclose(challenger.centers, retrain(champion, filled).centers, rtol=1e-12)


class Stopped(Exception):
    """A fit is to end here."""


class Before(progress.Silent):
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def began(self, kind, n_leaves, is_pass=True):
        if kind == self.kind:
            raise Stopped


@pytest.mark.parametrize("kind", ["iteration 1", "iteration 3", "final assignment"])
def test_an_interrupted_fit_goes_on_with_the_same_bits(
    champion, folder, tmp_path, monkeypatch, kind
):
    asked = {"tol": 0, "max_iter": 4, "decay": 0.5}
    quiet = retrain(champion, read(folder), **asked)
    place = str(tmp_path / "checkpoint")
    with monkeypatch.context() as patch:
        patch.setattr(progress, "_reporter", Before(kind))
        with pytest.raises(Stopped):
            retrain(champion, read(folder), checkpoint=place, **asked)
    resumed = retrain(champion, read(folder, stage="none"), checkpoint=place, **asked)
    for name in ("scaled_centers", "weights", "inertias", "scaled_means"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(quiet, name))
    assert resumed.provenance["n_passes"] == quiet.provenance["n_passes"] == 5
    assert resumed.provenance["retrained"] == quiet.provenance["retrained"]


def test_a_checkpoint_of_another_champion_or_decay_is_refused(champion, folder, tmp_path):
    place = str(tmp_path / "checkpoint")
    retrain(champion, read(folder), checkpoint=place, decay=0.5)
    with pytest.raises(InputChanged, match=r"parameter decay was 0\.5, is 0\.4"):
        retrain(champion, read(folder), checkpoint=place, decay=0.4)
    other = retrain(champion, read(folder))
    with pytest.raises(InputChanged, match="parameter champion was"):
        retrain(other, read(folder), checkpoint=place, decay=0.5)


def test_callbacks_see_and_stop_a_fit_and_an_interrupt_returns_what_is_known(champion, folder):
    seen = []

    def stop(event):
        seen.append(event)
        return event.number == 2

    model = retrain(champion, read(folder), tol=0, callbacks=[stop])
    assert [event.name for event in seen] == ["iteration 1", "iteration 2", "final assignment"]
    assert model.provenance["stopped_by"] == "callback"
    np.testing.assert_allclose(seen[-1].centers, model.centers)
    assert seen[-1].inertia == model.inertia

    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.warns(dkmeans.errors.FitInterrupted):
        model = retrain(champion, read(folder), tol=0, callbacks=[interrupt], on_interrupt="return")
    # what the first pass has found is about the champion's centers
    np.testing.assert_array_equal(model.scaled_centers, champion.scaled_centers)
    assert model.provenance["retrained"]["rows"] == 900


def test_one_pass_an_iteration(champion, folder):
    rows = read(folder)
    model = retrain(champion, rows, tol=0, max_iter=3)
    assert rows.n_passes == model.provenance["n_passes"] == 4


def test_names_of_champions_differ_by_their_ledgers(champion):
    other = dataclasses.replace(champion, weights=champion.weights * 2)
    a, b = (
        retraining.RetrainSettings.of(one, decay=1.0, max_iter=1, tol=0).champion
        for one in (champion, other)
    )
    assert a != b
