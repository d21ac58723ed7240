"""A model as a folder of MLflow's: our own format, a signature, an example, and what to install.

`mlflow.pyfunc.load_model(url).predict(rows)` gives a frame of `label`, `cluster_id` and `distance`.
A model with column names takes frames: every column a double, a vector column an array of doubles.
(MLflow itself refuses columns of 64-bit integers there: cast them to float.) A model without names
takes arrays of its own dtype.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.exports.check import check_same, sample_rows
from dkmeans.models.exports.packages import OURS, installed, needed
from dkmeans.models.exports.places import data_name
from dkmeans.models.files import model_id, saved_digest
from dkmeans.models.model import Model

LOADER = "dkmeans.models.exports.mlflow_loader"
"""The module that MLflow imports."""

_MOST_EXAMPLES = 5


def write_mlflow(model: Model, folder: Path, aside: Path) -> str:
    """Write a model to a local folder, load it as users do, and return what has loaded it.

    Parameters
    ----------
    model
        The model.
    folder
        Where to write; not there yet.
    aside
        A folder for what is needed on the way.

    Raises
    ------
    ExportRefused
        If what was loaded gives other labels or distances than the model.
    ArgumentError
        If MLflow is not installed.
    """
    pyfunc = needed("mlflow.pyfunc", "mlflow")
    unnamed = aside / "model"
    model.save(str(unnamed))
    named = unnamed.with_name(data_name(saved_digest(str(unnamed), "")))
    unnamed.rename(named)
    with warnings.catch_warnings():
        # what MLflow does with frames is nothing that our users could change
        warnings.simplefilter("ignore", DeprecationWarning)
        pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            data_path=str(named),
            signature=_signature(model),
            input_example=rows_as_given(model, _examples(model)),
            pip_requirements=[f"dkmeans=={OURS}"],
            metadata={"dkmeans_version": OURS, "dkmeans_model_id": model_id(model)},
        )
    X = sample_rows(model)
    found = pyfunc.load_model(str(folder)).predict(rows_as_given(model, X))
    by = _mlflow_installed()
    check_same(
        model, X, found["label"].to_numpy(), found["distance"].to_numpy(), f"the model of {by}"
    )
    return by


def rows_as_given(model: Model, X: Array) -> Any:
    """Return rows `(n_rows, n_features)` as users of MLflow's give them: a frame if named.

    Vector columns hold a list in each row.
    """
    if model.columns is None:
        return X.astype(model.dtype)
    import pandas as pd

    wide, given, first = X.astype(np.float64), {}, 0
    for column in model.columns:
        if column.width is None:
            given[column.name] = wide[:, first]
        else:
            given[column.name] = wide[:, first : first + column.width].tolist()
        first += len(column.features)
    return pd.DataFrame(given)


def _examples(model: Model) -> Array:
    """A few centers in the units of the data: they look like rows, and are none."""
    return model.centers[:_MOST_EXAMPLES]


def _signature(model: Model) -> Any:
    types = needed("mlflow.types.schema", "mlflow")
    number, whole = types.DataType.double, types.DataType.long

    def spec(column: FeatureColumn) -> Any:
        kind = number if column.width is None else types.Array(number)
        return types.ColSpec(kind, column.name)

    if model.columns is None:
        inputs = [types.TensorSpec(np.dtype(model.dtype), (-1, model.n_features))]
    else:
        inputs = [spec(column) for column in model.columns]
    outputs = [
        types.ColSpec(types.DataType.integer, "label"),
        types.ColSpec(whole, "cluster_id"),
        types.ColSpec(number, "distance"),
    ]
    signature = needed("mlflow.models", "mlflow").ModelSignature
    return signature(inputs=types.Schema(inputs), outputs=types.Schema(outputs))


def _mlflow_installed() -> str:
    full = installed("mlflow")
    return installed("mlflow-skinny") if full == "mlflow" else full
