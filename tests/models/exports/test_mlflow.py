"""A model as a folder of MLflow's, loaded by MLflow; versions and aliases in its registry."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import dkmeans
from dkmeans.errors import ArgumentError, ExportRefused, OutputExists
from dkmeans.models.exports import mlflow_folder
from dkmeans.models.exports.mlflow_folder import LOADER, rows_as_given, write_mlflow
from dkmeans.models.exports.mlflow_registry import set_aliases
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from tests.models.exports.every import ExportLaws, model_of, rows_of, vector_model, with_gaps
from tests.models.test_model import make_model

pyfunc = pytest.importorskip("mlflow.pyfunc", reason="MLflow is not installed (extra mlflow)")

FILES = {
    *("MLmodel", "conda.yaml", "data", "python_env.yaml", "requirements.txt"),
    *("input_example.json", "serving_input_example.json"),
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch):
    """A client of MLflow with a store of its own."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)


class TestMLflow(ExportLaws):
    @staticmethod
    def predict(model: Model, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with tempfile.TemporaryDirectory() as aside:
            folder = Path(aside, "exported")
            write_mlflow(model, folder, Path(aside))
            found = pyfunc.load_model(str(folder)).predict(rows_as_given(model, X))
        return tuple(found[name].to_numpy() for name in ("label", "cluster_id", "distance"))


def test_frames_keep_their_index_and_may_have_more_columns(tmp_path: Path) -> None:
    model = model_of("standard", "float32", names=True, fills=True)
    model.export(str(tmp_path / "m"), "mlflow")
    X = with_gaps(rows_of("standard", 50))
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=np.arange(50) * 3)
    expected = model.assign(frame)
    found = pyfunc.load_model(str(tmp_path / "m")).predict(
        frame.assign(z=1.0)[["c", "z", "a", "b"]]
    )
    assert found.index.tolist() == frame.index.tolist()
    assert found["cluster_id"].tolist() == expected.cluster_ids.tolist()
    np.testing.assert_array_equal(found["distance"], expected.distances.astype(float))


def test_what_the_signature_does_not_allow_is_refused(tmp_path: Path) -> None:
    make_model().export(str(tmp_path / "m"), "mlflow")
    loaded = pyfunc.load_model(str(tmp_path / "m"))
    with pytest.raises(Exception, match=r"missing inputs \['b'\]"):
        loaded.predict(pd.DataFrame({"a": [1.0], "c": [1.0]}))


def test_the_folder_holds_our_format_a_signature_and_no_code(tmp_path: Path) -> None:
    model = vector_model("float32")
    made = model.export(str(tmp_path / "m"), "mlflow")
    assert made.checked_by.startswith("mlflow")
    assert {path.name for path in (tmp_path / "m").iterdir()} == FILES
    files = [path for path in (tmp_path / "m").rglob("*") if path.is_file()]
    assert made.n_bytes == sum(path.stat().st_size for path in files)
    assert {path.suffix for path in files} == {".json", ".npy", ".yaml", ".txt", ""}
    body = yaml.safe_load((tmp_path / "m" / "MLmodel").read_text())
    flavor = body["flavors"]["python_function"]
    assert flavor["loader_module"] == LOADER
    assert flavor.get("code") is None
    assert model_id(Model.load(str(tmp_path / "m" / flavor["data"]))) == model_id(model)
    inputs = json.loads(body["signature"]["inputs"])
    number = {"type": "double", "required": True}
    assert [one["name"] for one in inputs] == ["age", "emb", "pay"]
    assert inputs[0] == {"name": "age", **number}
    assert (inputs[1]["type"], inputs[1]["items"]) == ("array", {"type": "double"})
    outputs = json.loads(body["signature"]["outputs"])
    assert [one["name"] for one in outputs] == ["label", "cluster_id", "distance"]
    needs = (tmp_path / "m" / "requirements.txt").read_text().split()
    assert f"dkmeans=={dkmeans.__version__}" in needs
    assert {need.partition("=")[0] for need in needs} <= {"dkmeans", "mlflow", "mlflow-skinny"}
    example = json.loads((tmp_path / "m" / "input_example.json").read_text())
    row = np.array(example["data"][0][0:1] + example["data"][0][1] + example["data"][0][2:])
    np.testing.assert_allclose(row, model.centers[0])
    assert body["metadata"]["dkmeans_model_id"] == model_id(model)


def test_damage_is_found_when_it_is_loaded(tmp_path: Path) -> None:
    make_model().export(str(tmp_path / "m"), "mlflow")
    (part,) = (tmp_path / "m").rglob("scaled_centers-*.npy")
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    with pytest.raises(dkmeans.errors.ModelRefused, match="has changed since it was saved"):
        pyfunc.load_model(str(tmp_path / "m"))


def test_another_model_replaces_the_first_when_asked_to(tmp_path: Path) -> None:
    first, second, url = make_model(names=None), make_model(names=None, seed=9), str(tmp_path / "m")
    first.export(url, "mlflow")
    with pytest.raises(OutputExists, match=r"MLflow's lies at .* already; pass --overwrite"):
        second.export(url, "mlflow")
    X = rows_of("standard", 100)
    assert (pyfunc.load_model(url).predict(X)["label"] == first.predict(X)).all()
    second.export(url, "mlflow", overwrite=True)
    assert (pyfunc.load_model(url).predict(X)["label"] == second.predict(X)).all()
    assert len(list((tmp_path / "m" / "data").iterdir())) == 1


def test_what_a_killed_export_left_is_no_model_and_is_replaced(tmp_path: Path, monkeypatch) -> None:
    from dkmeans.models.exports import places

    real, left = places.write_bytes, [4]

    def dies(url: str, data: bytes, options: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(url, data, options)

    url = str(tmp_path / "m")
    monkeypatch.setattr(places, "write_bytes", dies)
    with pytest.raises(KeyboardInterrupt):
        make_model(seed=3).export(url, "mlflow")
    assert len([path for path in (tmp_path / "m").rglob("*") if path.is_file()]) == 4
    with pytest.raises(Exception, match="MLmodel"):
        pyfunc.load_model(url)
    monkeypatch.undo()
    make_model().export(url, "mlflow")
    assert len(list((tmp_path / "m" / "data").iterdir())) == 1
    assert pyfunc.load_model(url)


@pytest.mark.parametrize("names", [["data/rows.parquet", "requirements.txt"], ["notes.txt"]])
def test_a_folder_of_something_else_is_left_alone(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_text("mine")
    with pytest.raises(OutputExists, match=r"exists and is not a model of MLflow's"):
        make_model().export(str(tmp_path / "m"), "mlflow", overwrite=True)
    assert sorted(path.read_text() for path in (tmp_path / "m").rglob("*.*") if path.is_file()) == [
        "mine"
    ] * len(names)


def test_a_model_that_differs_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_folder, "sample_rows", lambda _: rows_of("standard", 300))
    monkeypatch.setattr(
        mlflow_folder, "rows_as_given", lambda model, X: rows_as_given(model, X + (len(X) == 300))
    )
    with pytest.raises(ExportRefused, match="nothing was published"):
        make_model().export(str(tmp_path / "m"), "mlflow")
    assert not (tmp_path / "m").exists()


def test_without_mlflow_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    with pytest.raises(ArgumentError, match=r"needs mlflow: .*; run `pip install dkmeans\[mlflow"):
        make_model().export(str(tmp_path / "m"), "mlflow")


# in a registry of MLflow's


def export_version(model: Model, url: Path, version: int | None = None, *aliases: str):
    made = model.export(
        str(url), "mlflow", registered_model_name="groups", aliases=aliases, version=version
    )
    assert made.registered is not None
    return made.registered


def test_an_export_becomes_a_version_with_its_aliases(registry, tmp_path: Path) -> None:
    model = make_model(names=None)
    made = export_version(model, tmp_path / "1", 17, "champion", "nightly")
    assert (made.name, made.version, made.aliases) == ("groups", 1, ("champion", "nightly"))
    known = registry.get_model_version_by_alias("groups", "champion")
    assert (known.version, known.tags["dkmeans.model_id"]) == (1, model_id(model))
    assert known.tags["dkmeans.version"] == "17"
    X = rows_of("standard", 50)
    loaded = pyfunc.load_model("models:/groups@champion")
    assert loaded.predict(X)["label"].tolist() == model.predict(X).tolist()


def test_an_export_that_is_repeated_is_one_version(registry, tmp_path: Path) -> None:
    export_version(make_model(), tmp_path / "1", 17)
    again = make_model().export(
        str(tmp_path / "1"), "mlflow", overwrite=True, registered_model_name="groups", version=17
    )
    assert again.registered is not None
    assert again.registered.version == 1
    assert len(registry.search_model_versions("name='groups'")) == 1
    assert export_version(make_model(seed=4), tmp_path / "2", 18).version == 2


def test_the_place_of_a_version_is_not_written_to_again(registry, tmp_path: Path) -> None:
    export_version(make_model(names=None), tmp_path / "1", 17)
    with pytest.raises(ArgumentError, match=r"is version 1 of 'groups' in MLflow; export to anoth"):
        make_model(names=None, seed=4).export(
            str(tmp_path / "1"), "mlflow", overwrite=True, registered_model_name="groups"
        )
    X = rows_of("standard", 50)
    found = pyfunc.load_model("models:/groups/1").predict(X)["label"]
    assert found.tolist() == make_model(names=None).predict(X).tolist()


def test_aliases_are_set_to_ours_and_those_of_others_stay(registry, tmp_path: Path) -> None:
    for number in (17, 18):
        export_version(make_model(seed=number), tmp_path / str(number), number)
    registry.create_model_version("groups", str(tmp_path / "other"))
    registry.set_registered_model_alias("groups", "theirs", "3")
    assert set_aliases("groups", {"champion": 17, "challenger": 18}) == {
        "champion": 1,
        "challenger": 2,
    }
    set_aliases("groups", {"champion": 18})
    aliases = registry.get_registered_model("groups").aliases
    assert {name: int(version) for name, version in aliases.items()} == {
        "champion": 2,
        "theirs": 3,
    }
    with pytest.raises(ArgumentError, match=r"^'groups' of MLflow has no version 19 of this"):
        set_aliases("groups", {"champion": 19})
    with pytest.raises(ArgumentError, match=r"^MLflow refuses 'nobody'"):
        set_aliases("nobody", {"champion": 17})
