"""A model as a graph of ONNX, run by onnxruntime and by ONNX's own reference."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from dkmeans.errors import ArgumentError, ExportRefused, TooLarge
from dkmeans.models.exports import onnx_file, onnx_graph
from dkmeans.models.exports.check import sample_rows
from dkmeans.models.exports.onnx_file import OUTPUTS, to_onnx
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from tests.models.exports.every import (
    SCALINGS,
    ExportLaws,
    each_dtype,
    model_of,
    rows_of,
    tied_model,
    vector_model,
    with_gaps,
)
from tests.models.test_model import make_model

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra onnx)")


def run_graph(data: bytes, X: np.ndarray) -> dict[str, np.ndarray]:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"X": X})))


def run_reference(data: bytes, X: np.ndarray) -> dict[str, np.ndarray]:
    from onnx.reference import ReferenceEvaluator

    return dict(zip(OUTPUTS, ReferenceEvaluator(data).run(list(OUTPUTS), {"X": X})))


class TestONNX(ExportLaws):
    @staticmethod
    def predict(model: Model, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = run_graph(to_onnx(model)[0], X)
        assert found["distance"].dtype == found["distances"].dtype == np.dtype(model.dtype)
        assert found["label"].dtype == found["cluster_id"].dtype == np.int64
        return found["label"], found["cluster_id"], found["distance"]


@each_dtype
@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_reference_finds_what_the_runtime_finds(scaling: str, dtype: str) -> None:
    model = model_of(scaling, dtype, fills=True)
    X, data = with_gaps(rows_of(scaling, 300)).astype(dtype), to_onnx(model)[0]
    ours, theirs = run_graph(data, X), run_reference(data, X)
    for name in OUTPUTS:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)


@each_dtype
def test_distances_are_those_to_all_centers(dtype: str) -> None:
    model, X = model_of("standard", dtype), rows_of("standard", 500).astype(dtype)
    found = run_graph(to_onnx(model)[0], X)
    np.testing.assert_allclose(
        found["distances"], model.transform(X), rtol=1e-5 if dtype == "float32" else 1e-12
    )
    own = found["distances"][np.arange(500), found["label"]]
    np.testing.assert_array_equal(own, found["distance"])


@pytest.mark.parametrize("fills", [False, True])
def test_rows_that_predict_refuses_get_label_minus_one(fills: bool) -> None:
    model = model_of("standard", "float64", fills=fills)
    X = rows_of("standard", 6)
    X[1, 0], X[3, 2], X[4, 1] = np.nan, np.inf, -np.inf
    refused = [3, 4] if fills else [1, 3, 4]
    fine = np.setdiff1d(np.arange(6), refused)
    found = run_graph(to_onnx(model)[0], X)
    assert found["label"][refused].tolist() == [-1] * len(refused)
    assert found["cluster_id"][refused].tolist() == [-1] * len(refused)
    assert np.isnan(found["distance"][refused]).all()
    assert np.isnan(found["distances"][refused]).all()
    np.testing.assert_array_equal(found["label"][fine], model.predict(X[fine]))
    assert np.isfinite(found["distances"][fine]).all()


def test_no_rows_give_no_labels() -> None:
    found = run_graph(to_onnx(model_of("standard", "float32"))[0], np.empty((0, 3), np.float32))
    assert {name: found[name].shape for name in OUTPUTS} == {
        "label": (0,),
        "cluster_id": (0,),
        "distance": (0,),
        "distances": (0, 6),
    }


def test_the_file_says_what_its_input_and_outputs_are() -> None:
    model = vector_model("float32")
    proto = onnx.load_from_string(to_onnx(model)[0])
    assert [(one.domain, one.version) for one in proto.opset_import] == [("", 12)]
    assert [one.name for one in proto.graph.input] == ["X"]
    assert [one.name for one in proto.graph.output] == list(OUTPUTS)
    kind = proto.graph.input[0].type.tensor_type
    assert kind.elem_type == onnx.TensorProto.FLOAT
    assert [dim.dim_value or dim.dim_param for dim in kind.shape.dim] == ["rows", 5]
    found = {one.key.removeprefix("dkmeans."): one.value for one in proto.metadata_props}
    assert json.loads(found["feature_names"]) == ["age", "emb[0]", "emb[1]", "emb[2]", "pay"]
    assert json.loads(found["columns"]) == [
        {"name": "age", "width": None},
        {"name": "emb", "width": 3},
        {"name": "pay", "width": None},
    ]
    assert json.loads(found["cluster_ids"]) == model.cluster_ids.tolist()
    assert found["model_id"] == model_id(model)


def test_a_center_that_is_there_twice_has_no_rows_the_second_time() -> None:
    model, X = tied_model("float64")
    found = run_graph(to_onnx(model)[0], X)
    first = {center.tobytes(): i for i, center in reversed(list(enumerate(model.scaled_centers)))}
    assert set(found["label"]) == set(first.values())
    assert len(first) == model.n_clusters - 5
    np.testing.assert_allclose(found["distances"], model.transform(X), atol=1e-6)


def test_without_onnxruntime_the_reference_checks(monkeypatch) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert to_onnx(make_model())[1].startswith("onnxruntime ")
    monkeypatch.setattr(onnx_file, "found", lambda _: None)
    assert to_onnx(make_model())[1].startswith("the reference of onnx ")


@pytest.mark.parametrize("part", ["label", "distance"])
def test_a_graph_that_differs_is_refused(part: str, monkeypatch) -> None:
    real = onnx_file._run

    def broken(data: bytes, X: np.ndarray) -> tuple[str, list[np.ndarray]]:
        by, found = real(data, X)
        at = OUTPUTS.index(part)
        found[at] = found[at].copy()
        found[at][17] += 1
        return by, found

    monkeypatch.setattr(onnx_file, "_run", broken)
    with pytest.raises(ExportRefused, match=r"1 of 2000 sample rows|and 1 another distance"):
        to_onnx(make_model())


def test_the_sample_meets_every_cluster() -> None:
    for scaling in SCALINGS:
        model = model_of(scaling, "float32", fills=True)
        X = sample_rows(model)
        assert X.dtype == np.float32
        assert 0.02 < np.isnan(X).mean() < 0.08
        # the centers of normalized models lie anywhere here, not at length 1
        least = 3 if scaling.startswith("normalize") else 6
        assert len(np.unique(model.predict(X))) >= least
        np.testing.assert_array_equal(X, sample_rows(model))


def test_centers_that_no_file_has_room_for_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(onnx_graph, "_MOST_BYTES", 100)
    model = dataclasses.replace(make_model(), dtype="float32")
    assert to_onnx(dataclasses.replace(make_model(k=2), dtype="float32"))
    monkeypatch.setattr(onnx_graph, "_MOST_BYTES", 71)
    with pytest.raises(TooLarge, match=r"^6 centers of 3 features take 72 bytes; an ONNX file"):
        to_onnx(model)


def test_without_onnx_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ArgumentError, match=r"needs onnx: .*; run `pip install dkmeans\[onnx\]`"):
        to_onnx(make_model())
