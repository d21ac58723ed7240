"""A model as a graph of ONNX: fill, scale, score, measure. No file is written here.

One input `X`, `(rows, n_features)` of the model's dtype, in the units of the data; features in the
order of `feature_names`, those of a vector column beside each other. Outputs by row:

- `label` int64, the index of the nearest center, the lowest of several; -1 for a row that
  `Model.predict` refuses, as graphs raise no errors: with infinite values, or with missing ones if
  the model does not fill them
- `cluster_id` int64, -1 with such a label
- `distance`, to that center, in scaled units and of the model's dtype; NaN with such a label
- `distances`, `(rows, n_clusters)`, to all centers. They come from the scores: of a center far
  nearer than others are, and not the nearest, digits are lost. NaN with such a label

Rows are rounded to the model's dtype where the model rounds them, and measured from the middle of
the centers; products are taken in float64 then, so that no offset of the data costs digits.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dkmeans.errors import TooLarge
from dkmeans.kernels.block import Array
from dkmeans.models.exports.moved import Moved
from dkmeans.models.exports.packages import needed
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization, Scaling

OPSET = 12
"""The first that has all of it; run by onnxruntime 1.7 and newer."""

_IR_VERSION = 7
"""The file format that came with it."""

_MOST_BYTES = 2**31 - 2**20
"""What a file of ONNX may take: protobuf's limit."""


def build(model: Model, version: str) -> Any:
    """Return a model as an `onnx.ModelProto`.

    Parameters
    ----------
    model
        The model.
    version
        Of dkmeans, for the metadata.

    Raises
    ------
    TooLarge
        If the centers take more than the 2 GiB of an ONNX file.
    ArgumentError
        If onnx is not installed.
    """
    n_bytes = model.scaled_centers.size * np.dtype(model.dtype).itemsize
    if n_bytes > _MOST_BYTES:
        raise TooLarge(
            f"{model.n_clusters} centers of {model.n_features} features take {n_bytes} bytes; an "
            "ONNX file may have 2 GiB. Export to MLflow or scikit-learn."
        )
    graph = _Graph(model)
    clean, is_bad = graph.filled()
    graph.assigned(graph.measured_from_middle(graph.scaled(clean)), is_bad)
    return graph.proto(_metadata(model, version), version)


def _metadata(model: Model, version: str) -> dict[str, str]:
    """What a reader of the graph alone could not know."""
    columns = model.columns
    names = None if model.feature_names is None else list(model.feature_names)
    described = None
    if columns is not None:
        described = [{"name": column.name, "width": column.width} for column in columns]
    return {
        "dkmeans.version": version,
        "dkmeans.model_id": model_id(model),
        "dkmeans.feature_names": json.dumps(names),
        "dkmeans.columns": json.dumps(described),
        "dkmeans.cluster_ids": json.dumps(model.cluster_ids.tolist()),
        "dkmeans.cluster_names": json.dumps(dict(model.cluster_names)),
        "dkmeans.scale": json.dumps(None if model.scaling is None else model.scaling.kind),
        "dkmeans.fills_missing": json.dumps(model.filling is not None),
    }


class _Graph:
    """Nodes and constants as they are added. Every method returns names of values."""

    def __init__(self, model: Model) -> None:
        self._onnx = needed("onnx", "onnx")
        needed("onnx.numpy_helper", "onnx")
        self._model, self._dtype = model, np.dtype(model.dtype)
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def filled(self) -> tuple[str, str]:
        """Rows without values that are no numbers, and which rows are refused, `(rows,)` bool."""
        missing, infinite = self._add("IsNaN", "X"), self._add("IsInf", "X")
        zero = self._constant("zero", np.zeros((), self._dtype))
        if self._model.filling is None:
            is_bad_value = self._add("Or", missing, infinite)
            clean = self._add("Where", is_bad_value, zero, "X")
        else:
            is_bad_value = infinite
            values = self._model.filling.values.astype(self._dtype)
            filled = self._add("Where", missing, self._constant("filling", values), "X")
            clean = self._add("Where", infinite, zero, filled)
        counted = self._cast(is_bad_value, np.dtype(np.float32))
        any_bad = self._add("ReduceMax", counted, axes=[1], keepdims=0)
        return clean, self._cast(any_bad, np.dtype(np.bool_))

    def scaled(self, X: str) -> str:
        """Rows in scaled units, of the model's dtype: computed in float64, then rounded."""
        scaling = self._model.scaling
        if scaling is None:
            return X
        wide = self._cast(X, np.dtype(np.float64))
        if isinstance(scaling, Scaling):
            shifted = self._add("Sub", wide, self._constant("scaling_shift", scaling.shift))
            factor = self._constant("scaling_factor", scaling.factor)
            return self._cast(self._add("Div", shifted, factor), self._dtype)
        norms = self._norms(wide, scaling)
        least = self._constant("least_norm", np.array(10 * np.finfo(self._dtype).eps, np.float64))
        is_zero = self._add("Less", norms, least)
        norms = self._add("Where", is_zero, self._constant("one", np.ones((), np.float64)), norms)
        return self._cast(self._add("Div", wide, norms), self._dtype)

    def _norms(self, X: str, scaling: Normalization) -> str:
        """Norms of rows, `(rows, 1)` float64."""
        if scaling.norm == "l2":
            return self._add("Sqrt", self._add("ReduceSumSquare", X, axes=[1], keepdims=1))
        reduce = "ReduceSum" if scaling.norm == "l1" else "ReduceMax"
        return self._add(reduce, self._add("Abs", X), axes=[1], keepdims=1)

    def measured_from_middle(self, X: str) -> str:
        """Rows about the middle of the centers: rounded as the kernels do, then float64."""
        self._moved = Moved.of(self._model)
        middle = self._constant("middle", self._moved.middle)
        return self._cast(self._add("Sub", X, middle), np.dtype(np.float64))

    def assigned(self, X: str, is_bad: str) -> None:
        """Add what the graph puts out."""
        wide = np.dtype(np.float64)
        centers = self._cast(self._constant("centers", self._moved.centers), wide)
        sq_norms = np.square(self._moved.centers.astype(np.float64)).sum(axis=1)
        # the norm, less twice the product
        norms = self._constant("sq_norms", sq_norms)
        scores = self._add("Gemm", X, centers, norms, alpha=-2.0, transB=1)
        ranked = scores
        if self._moved.is_repeat.any():
            # however a product is rounded, the first of equal centers is the nearest
            never = np.where(self._moved.is_repeat, np.inf, 0.0)
            ranked = self._add("Add", scores, self._constant("repeats", never))
        label = self._add("ArgMin", ranked, axis=1, keepdims=0)
        own = self._add("Sub", X, self._add("Gather", centers, label, axis=0))
        nearest = self._add("Sqrt", self._add("ReduceSumSquare", own, axes=[1], keepdims=0))
        distances = self._all_distances(X, scores, label, nearest)
        ids = self._constant("cluster_ids", self._model.cluster_ids.astype(np.int64))
        cluster_id = self._add("Gather", ids, label, axis=0)
        none = self._constant("none", np.array(-1, np.int64))
        nan = self._constant("nan", np.array(np.nan, self._dtype))
        self._add("Where", is_bad, none, label, name="label")
        self._add("Where", is_bad, none, cluster_id, name="cluster_id")
        self._add("Where", is_bad, nan, self._cast(nearest, self._dtype), name="distance")
        bad_row = self._add("Unsqueeze", is_bad, axes=[1])
        self._add("Where", bad_row, nan, self._cast(distances, self._dtype), name="distances")

    def _all_distances(self, X: str, scores: str, label: str, nearest: str) -> str:
        """Distances to all centers, `(rows, n_clusters)` float64; that to the nearest as it is."""
        sq = self._add("Add", scores, self._add("ReduceSumSquare", X, axes=[1], keepdims=1))
        floor = self._constant("no_distance", np.zeros((), np.float64))
        distances = self._add("Sqrt", self._add("Max", sq, floor))
        numbers = self._constant("labels", np.arange(self._model.n_clusters, dtype=np.int64))
        is_own = self._add("Equal", self._add("Unsqueeze", label, axes=[1]), numbers)
        return self._add("Where", is_own, self._add("Unsqueeze", nearest, axes=[1]), distances)

    def proto(self, metadata: Mapping[str, str], version: str) -> Any:
        """Return the finished graph."""
        helper, (n, k, d) = self._onnx.helper, ("rows", *self._model.scaled_centers.shape)
        kind, whole = self._kind(self._dtype), self._kind(np.dtype(np.int64))
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "dkmeans",
            [value("X", kind, [n, d])],
            [
                value("label", whole, [n]),
                value("cluster_id", whole, [n]),
                value("distance", kind, [n]),
                value("distances", kind, [n, k]),
            ],
            list(self._constants.values()),
        )
        proto = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="dkmeans",
            producer_version=version,
        )
        helper.set_model_props(proto, dict(metadata))
        return proto

    def _add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node and return the name of what it gives."""
        out = name or f"{operator.lower()}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(operator, list(inputs), [out], **attributes)
        self._nodes.append(node)
        return out

    def _constant(self, name: str, array: Array) -> str:
        self._constants[name] = self._onnx.numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def _cast(self, value: str, dtype: "np.dtype[Any]") -> str:
        return self._add("Cast", value, to=self._kind(dtype))

    def _kind(self, dtype: "np.dtype[Any]") -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(dtype))
