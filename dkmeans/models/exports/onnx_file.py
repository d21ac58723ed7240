"""A model as bytes of an ONNX file, run on sample rows before anybody gets them."""

from typing import Any

from dkmeans.kernels.block import Array
from dkmeans.models.exports.check import check_same, sample_rows
from dkmeans.models.exports.onnx_graph import build
from dkmeans.models.exports.packages import OURS, found, installed, needed
from dkmeans.models.model import Model

OUTPUTS = ("label", "cluster_id", "distance", "distances")
"""What the graph gives, in order."""


def to_onnx(model: Model) -> tuple[bytes, str]:
    """Return a model as the bytes of an ONNX file, and what has run them.

    They are run by onnxruntime where it is installed, else by the reference implementation that
    comes with onnx.

    Raises
    ------
    ExportRefused
        If they give other labels or distances than the model.
    TooLarge
        If they take more than the 2 GiB of an ONNX file.
    ArgumentError
        If onnx is not installed.
    """
    proto = build(model, OURS)
    needed("onnx.checker", "onnx").check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString()
    X = sample_rows(model)
    ran_by, (labels, _, distances, _) = _run(data, X)
    check_same(model, X, labels, distances, f"the ONNX graph, run by {ran_by},")
    return data, ran_by


def _run(data: bytes, X: Array) -> tuple[str, list[Any]]:
    runtime = found("onnxruntime")
    if runtime is not None:
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
        return installed("onnxruntime"), session.run(list(OUTPUTS), {"X": X})
    reference = needed("onnx.reference", "onnx").ReferenceEvaluator(data)
    return f"the reference of {installed('onnx')}", reference.run(list(OUTPUTS), {"X": X})
