"""The files of a sweep: `sweep.json`, and each model in a folder of its own, as `k=12`.

`sweep.json` names each model by its hash. It is written last, and removed before models are
replaced, so that a sweep is whole or not there.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from dkmeans.errors import InputRefused, MissingInput, ModelRefused, OutputExists
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.evaluation.sweeps.scores import Scores
from dkmeans.models import files as model_files
from dkmeans.models.model import Model
from dkmeans.storage.atomic import is_unfinished, remove_unfinished, write_bytes
from dkmeans.storage.filesystem import absolute, join, redact, remember
from dkmeans.storage.objects import exists, names_at, read_bytes, remove

FORMAT = 1
_INDEX = "sweep.json"
_MOST_INDEX_BYTES = 64 * 2**20
_FOLDER = "k="


def save(
    sweep: Sweep, url: str, *, overwrite: bool, storage_options: Mapping[str, Any] | None
) -> None:
    """See `Sweep.save`."""
    url, options = absolute(url), remember(storage_options)
    refuse_existing_sweep(url, overwrite, options)
    before = _listed(url, options)
    remove(join(url, _INDEX), options)
    digests: dict[str, str] = {}
    for k, model in sweep.models.items():
        place = join(url, f"{_FOLDER}{k}")
        model.save(place, overwrite=True, storage_options=storage_options)
        digests[str(k)] = model_files.saved_digest(place, options)
    body = {
        "format": FORMAT,
        "kind": "dkmeans sweep",
        **sweep.to_dict(),
        "models": digests,
    }
    body["sha256"] = _digest(body)
    write_bytes(join(url, _INDEX), json.dumps(body, indent=1).encode(), options)
    for gone in before - set(digests):
        remove(join(url, f"{_FOLDER}{gone}"), options)
    remove_unfinished(url, options)


def load(url: str, *, storage_options: Mapping[str, Any] | None) -> Sweep:
    """See `Sweep.load`."""
    url, options = absolute(url), remember(storage_options)
    body, where = _read_index(url, options), redact(url)
    try:
        scores = tuple(Scores(**one) for one in body["scores"])
        counts = [one.n_clusters for one in scores]
        numbers = [getattr(one, field.name) for one in scores for field in fields(Scores)]
        found = Sweep(
            scores,
            {},
            body["elbow"],
            body["recommended"],
            body["reason"],
            body["rows"],
            body["passes"],
            body["bytes_read"],
        )
        is_sound = (
            counts == sorted(set(counts))
            and {str(k) for k in counts} == body["models"].keys()
            and {found.elbow, found.recommended} <= {*counts, None}
            and all(one is None or type(one) in (int, float) for one in numbers)
            and all(type(k) is int for k in counts)
        )
    except (TypeError, KeyError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ModelRefused(f"the sweep at {where} is damaged: {_INDEX} contradicts itself.")
    models: dict[int, Model] = {}
    for k in counts:
        place = join(url, f"{_FOLDER}{k}")
        if model_files.saved_digest(place, options) != body["models"][str(k)]:
            raise ModelRefused(
                f"the sweep at {where} is damaged: its model for k={k} was replaced; load that "
                "model by itself, or sweep again."
            )
        models[k] = Model.load(place, storage_options=storage_options)
    return replace(found, models=models)


def refuse_existing_sweep(
    url: str, overwrite: bool, options: str, run_id: str | None = None
) -> None:
    """Raise if a sweep lies at `url` and may not be replaced, or something else lies there.

    What the run of `run_id` has saved may always be replaced.
    """
    url = absolute(url)
    where = redact(url)
    has_index = exists(join(url, _INDEX), options)
    names = [name for name in names_at(url, options) if not is_unfinished(name)]
    if any(not _is_folder(name) and name != _INDEX for name in names):
        raise OutputExists(f"{where} exists and is not a sweep; pass another place.")
    folders = [join(url, name) for name in names if name != _INDEX]
    for folder in folders:
        # another thing than a model in it is nobody's to replace
        model_files.refuse_existing(folder, True, options)
    if (has_index or folders) and not overwrite:
        if run_id is not None and all(_is_of(run_id, folder, options) for folder in folders):
            return
        what = "a sweep lies" if has_index else "models of a sweep lie"
        raise OutputExists(
            f"{what} at {where} already; pass --overwrite (overwrite=True) to replace it, or "
            "another place."
        )


def _is_folder(name: str) -> bool:
    number = name.removeprefix(_FOLDER)
    return name.startswith(_FOLDER) and number.isascii() and number.isdigit()


def _is_of(run_id: str, folder: str, options: str) -> bool:
    try:
        return model_files.saved_run_id(folder, options) == run_id
    except MissingInput:
        # a save that was cut off before its index
        return True
    except InputRefused:
        return False


def _listed(url: str, options: str) -> set[str]:
    """Numbers of clusters of the sweep that lies there, if one does."""
    with suppress(InputRefused):
        return set(_read_index(url, options)["models"])
    return set()


def _read_index(url: str, options: str) -> dict[str, Any]:
    where = redact(url)
    try:
        data = read_bytes(join(url, _INDEX), options)
    except MissingInput:
        raise MissingInput(f"no sweep at {where}: there is no {_INDEX}; check the path.") from None
    if len(data) > _MOST_INDEX_BYTES:
        raise ModelRefused(f"the sweep at {where} has a {_INDEX} of {len(data)} bytes; too large.")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise ModelRefused(f"the sweep at {where} is damaged: {_INDEX} is not JSON.") from None
    if not isinstance(body, dict) or body.get("kind") != "dkmeans sweep":
        raise ModelRefused(f"{where} does not hold a dkmeans sweep.")
    if body.get("format") != FORMAT:
        raise ModelRefused(
            f"the sweep at {where} has format {body.get('format')!r}; this version of dkmeans "
            f"reads format {FORMAT}: load it with the version that wrote it."
        )
    if body.get("sha256") != _digest(body) or not isinstance(body.get("models"), dict):
        raise ModelRefused(
            f"the sweep at {where} is damaged: {_INDEX} has changed since it was saved."
        )
    return body


def _digest(body: Mapping[str, Any]) -> str:
    content = {name: value for name, value in body.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
