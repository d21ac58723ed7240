"""The files of a model: `model.json` and, named by their hashes, the `.npy` files that it lists.

`model.json` is written last and replaced in one step, so that it is the model: parts that it does
not list are leftovers. To change the format, raise `FORMAT`, teach `_build` the new one, and keep a
saved model of the old one under test.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dkmeans.errors import DkmeansError, MissingInput, ModelRefused, OutputExists
from dkmeans.kernels.block import Array
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.filesystem import (
    absolute,
    exists,
    join,
    open_filesystem,
    read_bytes,
    redact,
    remember,
    store_errors,
)

FORMAT = 1
_INDEX = "model.json"
_MOST_INDEX_BYTES = 64 * 2**20
_ARRAYS = ("scaled_centers", "cluster_ids", "weights", "inertias")


def save(
    model: Model, url: str, *, overwrite: bool, storage_options: Mapping[str, Any] | None
) -> None:
    """See `Model.save`."""
    url, options = absolute(url), remember(storage_options)
    refuse_existing(url, overwrite, options)
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    if model.scaling is not None:
        arrays |= {"scaling_shift": model.scaling.shift, "scaling_factor": model.scaling.factor}
    parts: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        data = _npy(array)
        digest = hashlib.sha256(data).hexdigest()
        parts[name] = {"file": f"{name}-{digest[:12]}.npy", "sha256": digest, "bytes": len(data)}
        write_bytes(join(url, parts[name]["file"]), data, options)
    body = {
        "format": FORMAT,
        "kind": "dkmeans model",
        "n_clusters": model.n_clusters,
        "n_features": model.n_features,
        "dtype": model.dtype,
        "scaling": None if model.scaling is None else model.scaling.kind,
        "columns": None
        if model.columns is None
        else [{"name": column.name, "width": column.width} for column in model.columns],
        "parameters": dict(model.parameters),
        "provenance": dict(model.provenance),
        "parts": parts,
    }
    body["sha256"] = _digest(body)
    write_bytes(join(url, _INDEX), json.dumps(body, indent=1).encode(), options)
    _remove_leftovers(url, {part["file"] for part in parts.values()}, options)


def load(url: str, *, storage_options: Mapping[str, Any] | None) -> Model:
    """See `Model.load`."""
    url, options = absolute(url), remember(storage_options)
    body = _read_index(url, options)
    try:
        return _build(url, body, options)
    except MissingInput:
        # a writer may have replaced the model between our two reads
        return _build(url, _read_index(url, options), options)


def refuse_existing(url: str, overwrite: bool, options: str) -> None:
    """Raise if a model lies at `url` and may not be replaced, or something else lies there."""
    url = absolute(url)
    if exists(join(url, _INDEX), options):
        if not overwrite:
            raise OutputExists(
                f"a model lies at {redact(url)} already; pass --overwrite (overwrite=True) to "
                "replace it, or another place."
            )
        return
    fs, path = open_filesystem(url, options)
    with store_errors(url):
        if fs.exists(path) and (fs.isfile(path) or fs.ls(path)):
            raise OutputExists(f"{redact(url)} exists and is not a model; pass another place.")


def model_id(model: Model) -> str:
    """Return a short name of what the model predicts: equal for models that assign rows alike."""
    digest = hashlib.sha256()
    for array in (model.scaled_centers, model.cluster_ids):
        digest.update(_npy(array))
    if model.scaling is not None:
        digest.update(_npy(model.scaling.shift) + _npy(model.scaling.factor))
    digest.update(repr((model.columns, model.dtype)).encode())
    return digest.hexdigest()[:16]


def _read_index(url: str, options: str) -> dict[str, Any]:
    where = redact(url)
    try:
        data = read_bytes(join(url, _INDEX), options)
    except MissingInput:
        raise MissingInput(f"no model at {where}: there is no {_INDEX}; check the path.") from None
    if len(data) > _MOST_INDEX_BYTES:
        raise ModelRefused(f"the model at {where} has a {_INDEX} of {len(data)} bytes; too large.")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise ModelRefused(f"the model at {where} is damaged: {_INDEX} is not JSON.") from None
    if not isinstance(body, dict) or body.get("kind") != "dkmeans model":
        raise ModelRefused(f"{where} does not hold a dkmeans model.")
    if body.get("format") != FORMAT:
        raise ModelRefused(
            f"the model at {where} has format {body.get('format')!r}; this version of dkmeans "
            f"reads format {FORMAT}: load it with the version that wrote it."
        )
    if body.get("sha256") != _digest(body):
        raise ModelRefused(
            f"the model at {where} is damaged: {_INDEX} has changed since it was saved."
        )
    return body


def _build(url: str, body: dict[str, Any], options: str) -> Model:
    try:
        k, d = int(body["n_clusters"]), int(body["n_features"])
        shapes = {
            "scaled_centers": (k, d),
            "cluster_ids": (k,),
            "weights": (k,),
            "inertias": (k,),
        }
        if body["scaling"] is not None:
            shapes |= {"scaling_shift": (d,), "scaling_factor": (d,)}
        arrays = {
            name: _read_part(url, body["parts"][name], shape, options)
            for name, shape in shapes.items()
        }
        scaling = None
        if body["scaling"] is not None:
            scaling = Scaling(
                body["scaling"], arrays.pop("scaling_shift"), arrays.pop("scaling_factor")
            )
        columns = body["columns"]
        return Model(
            **arrays,
            scaling=scaling,
            columns=None
            if columns is None
            else tuple(FeatureColumn(str(column["name"]), column["width"]) for column in columns),
            dtype=str(np.dtype(body["dtype"])),
            parameters=body["parameters"],
            provenance=body["provenance"],
        )
    except DkmeansError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelRefused(
            f"the model at {redact(url)} is damaged: {type(error).__name__}: {error}"
        ) from None


def _read_part(url: str, part: Mapping[str, Any], shape: tuple[int, ...], options: str) -> Array:
    file, where = str(part["file"]), redact(url)
    if "/" in file or "\\" in file or not file.endswith(".npy"):
        raise ModelRefused(f"the model at {where} lists a part with the name {file!r}.")
    data = read_bytes(join(url, file), options)
    if len(data) != part["bytes"] or hashlib.sha256(data).hexdigest() != part["sha256"]:
        raise ModelRefused(
            f"the model at {where} is damaged: {file} has changed since it was saved."
        )
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.shape != shape or array.dtype not in (np.float64, np.int64):
        raise ModelRefused(
            f"the model at {where} is damaged: {file} holds {array.dtype} of shape {array.shape}, "
            f"not of {shape}."
        )
    return np.asarray(array)


def _npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _digest(body: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in body.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _remove_leftovers(url: str, keep: set[str], options: str) -> None:
    fs, path = open_filesystem(url, options)
    with store_errors(url):
        fs.invalidate_cache()
        for name in fs.ls(path, detail=False):
            base = name.rpartition("/")[2]
            if base.endswith(".npy") and base not in keep:
                fs.rm_file(name)
