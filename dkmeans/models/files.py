"""The files of a model: `model.json` and, named by their hashes, the `.npy` files that it lists.

`model.json` is written last and replaced in one step, so that it is the model: parts that it does
not list are leftovers. To change the format, raise `FORMAT`, teach `_build` the new one, and keep a
saved model of the old one under test.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError, MissingInput, ModelRefused, OutputExists
from dkmeans.kernels.block import Array
from dkmeans.models.baseline import Baseline
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.npy import npy, parse_npy
from dkmeans.models.scaling import LINEAR, NORMS, AnyScaling, Normalization, Scaling
from dkmeans.storage.atomic import is_unfinished, remove_unfinished, write_bytes
from dkmeans.storage.filesystem import absolute, join, redact, remember
from dkmeans.storage.objects import exists, names_at, read_bytes, remove

FORMAT = 3
_INDEX = "model.json"
_MOST_INDEX_BYTES = 64 * 2**20
_ARRAYS = ("scaled_centers", "cluster_ids", "weights", "inertias", "scaled_means")
_SCALING_ARRAYS = ("scaling_shift", "scaling_factor")
_INDEX_KEYS = {
    *("n_clusters", "n_features", "dtype", "scaling", "columns", "baseline"),
    *("parameters", "provenance", "parts"),
    *("cluster_names", "cluster_colors", "next_cluster_id"),
}
_PART_NAMES = "|".join((*_ARRAYS, *_SCALING_ARRAYS, "filling", "baseline"))
_ID = re.compile("0|[1-9][0-9]{0,18}")
_PART_NAME = re.compile(rf"({_PART_NAMES})-[0-9a-f]{{12}}\.npy")


def save(
    model: Model, url: str, *, overwrite: bool, storage_options: Mapping[str, Any] | None
) -> None:
    """See `Model.save`."""
    url, options = absolute(url), remember(storage_options)
    refuse_existing(url, overwrite, options)
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    if isinstance(model.scaling, Scaling):
        arrays |= {"scaling_shift": model.scaling.shift, "scaling_factor": model.scaling.factor}
    if model.filling is not None:
        arrays["filling"] = model.filling.values
    if model.baseline is not None:
        arrays["baseline"] = model.baseline.to_numbers()
    parts: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        data = npy(array)
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
        "baseline": None if model.baseline is None else model.baseline.to_plain(),
        "parameters": dict(model.parameters),
        "provenance": dict(model.provenance),
        # JSON has no numbers for keys
        "cluster_names": {str(key): name for key, name in model.cluster_names.items()},
        "cluster_colors": {str(key): color for key, color in model.cluster_colors.items()},
        "next_cluster_id": model.next_cluster_id,
        "parts": parts,
    }
    if isinstance(model.scaling, Normalization):
        body["norm"] = model.scaling.norm
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
    names = names_at(url, options)
    # parts without an index are what a save that was cut off leaves
    if any(not (_PART_NAME.fullmatch(name) or is_unfinished(name)) for name in names):
        raise OutputExists(f"{redact(url)} exists and is not a model; pass another place.")


def saved_digest(url: str, options: str) -> str:
    """Return the hash of all of the model that lies at `url`, provenance included.

    Raises
    ------
    MissingInput
        If none lies there.
    ModelRefused
        If what lies there is none, or has changed.
    """
    return str(_read_index(url, options)["sha256"])


def saved_provenance(url: str, options: str) -> Mapping[str, Any]:
    """Return the provenance of the model at `url`, without its arrays; errors as `saved_digest`."""
    found: Mapping[str, Any] = _read_index(url, options)["provenance"]
    return found


def saved_run_id(url: str, options: str) -> str | None:
    """Return the name of the run that saved the model at `url`; errors as `saved_digest`."""
    run_id = saved_provenance(url, options).get("run_id")
    return None if run_id is None else str(run_id)


def model_id(model: Model) -> str:
    """Return a short name of what the model predicts: equal for models that assign rows alike."""
    digest = hashlib.sha256()
    for array in (model.scaled_centers, model.cluster_ids):
        digest.update(npy(array))
    if isinstance(model.scaling, Scaling):
        digest.update(npy(model.scaling.shift) + npy(model.scaling.factor))
    elif model.scaling is not None:
        digest.update(model.scaling.name.encode())
    if model.filling is not None:
        digest.update(npy(model.filling.values))
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
    where = redact(url)
    if not body.keys() >= _INDEX_KEYS:
        raise ModelRefused(f"the model at {where} is damaged: {_INDEX} lacks entries.")
    k, d, kind, dtype = (body[key] for key in ("n_clusters", "n_features", "scaling", "dtype"))
    columns, parts = body["columns"], body["parts"]
    fields = (body["parameters"], body["provenance"], parts)
    if (
        not (type(k) is int and type(d) is int and k >= 1 and d >= 1)
        or not (kind in (None, *LINEAR) or (kind == "normalize" and body.get("norm") in NORMS))
        or dtype not in ("float32", "float64")
        or not all(isinstance(field, dict) for field in fields)
    ):
        raise ModelRefused(f"the model at {where} is damaged: {_INDEX} contradicts itself.")
    shapes: dict[str, tuple[int, ...]] = {"scaled_centers": (k, d), "scaled_means": (k, d)}
    shapes |= {"cluster_ids": (k,), "weights": (k,), "inertias": (k,)}
    if kind in LINEAR:
        shapes |= dict.fromkeys(_SCALING_ARRAYS, (d,))
    if "filling" in parts:
        shapes["filling"] = (d,)
    if body["baseline"] is not None:
        n_numbers = Baseline.count_numbers(body["baseline"], k, d)
        if n_numbers is None:
            raise ModelRefused(f"the model at {where} is damaged: {_INDEX} tells of no baseline.")
        shapes["baseline"] = (n_numbers,)
    arrays = {name: _read_part(url, parts, name, shape, options) for name, shape in shapes.items()}
    scaling: AnyScaling | None = None
    if kind == "normalize":
        scaling = Normalization(body["norm"])
    elif kind is not None:
        scaling = Scaling(kind, arrays.pop("scaling_shift"), arrays.pop("scaling_factor"))
        if not scaling.factor.all():
            raise ModelRefused(f"the model at {where} is damaged: a scaling factor is zero.")
    filling = Filling(arrays.pop("filling")) if "filling" in parts else None
    baseline = None
    if "baseline" in arrays:
        baseline = Baseline.from_numbers(body["baseline"], arrays.pop("baseline"), k, d)
        if baseline is None:
            raise ModelRefused(f"the model at {where} is damaged: its baseline contradicts itself.")
    try:
        return Model(
            **arrays,
            scaling=scaling,
            filling=filling,
            baseline=baseline,
            columns=None if columns is None else _columns(columns, d, where),
            dtype=dtype,
            parameters=body["parameters"],
            provenance=body["provenance"],
            cluster_names=_by_id(body, "cluster_names"),
            cluster_colors=_by_id(body, "cluster_colors"),
            # 0 would stand for another number
            next_cluster_id=body["next_cluster_id"] or -1,
        )
    except ArgumentError as error:
        raise ModelRefused(f"the model at {where} is damaged: {error}") from None


def _by_id(body: Mapping[str, Any], key: str) -> dict[int, Any]:
    """What the index says of clusters, by id.

    Raises
    ------
    ArgumentError
        If a key is not written as ids are.
    """
    told = body[key]
    if not isinstance(told, dict) or not all(_ID.fullmatch(one) for one in told):
        raise ArgumentError(f"{key} should be by cluster id.")
    return {int(one): value for one, value in told.items()}


def _columns(columns: Any, n_features: int, where: str) -> tuple[FeatureColumn, ...]:
    try:
        pairs = [(column["name"], column["width"]) for column in columns]
    except (TypeError, KeyError):
        pairs = []
    known = all(
        isinstance(name, str) and (width is None or (type(width) is int and width >= 1))
        for name, width in pairs
    )
    if not known or sum(width or 1 for _, width in pairs) != n_features:
        raise ModelRefused(f"the model at {where} is damaged: its columns are not its features.")
    return tuple(FeatureColumn(name, width) for name, width in pairs)


def _read_part(
    url: str, parts: Mapping[str, Any], name: str, shape: tuple[int, ...], options: str
) -> Array:
    where = redact(url)
    part: Any = parts.get(name)
    file = part.get("file") if isinstance(part, dict) and "sha256" in part else None
    if not isinstance(file, str) or not _PART_NAME.fullmatch(file):
        raise ModelRefused(f"the model at {where} is damaged: it lists no file for {name}.")
    data = read_bytes(join(url, file), options)
    if hashlib.sha256(data).hexdigest() != part["sha256"]:
        raise ModelRefused(
            f"the model at {where} is damaged: {file} has changed since it was saved."
        )
    dtype = np.dtype(np.int64 if name == "cluster_ids" else np.float64)
    array = parse_npy(data, dtype, shape)
    if array is None or not np.isfinite(array).all():
        raise ModelRefused(
            f"the model at {where} is damaged: {file} should hold finite {dtype} of shape {shape}."
        )
    return array


def _digest(body: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in body.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _remove_leftovers(url: str, keep: set[str], options: str) -> None:
    remove_unfinished(url, options)
    for name in names_at(url, options):
        if _PART_NAME.fullmatch(name) and name not in keep:
            remove(join(url, name), options)
