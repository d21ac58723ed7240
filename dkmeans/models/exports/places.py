"""Where exported models go: a file or a folder, which is never replaced unasked."""

import re
from pathlib import Path

from dkmeans.errors import OutputExists
from dkmeans.storage.atomic import is_unfinished, remove_unfinished, write_bytes
from dkmeans.storage.filesystem import join, redact
from dkmeans.storage.objects import exists, names_at, remove

_DATA, _INDEX = "data", "MLmodel"
_ASIDE = (
    *("conda.yaml", "python_env.yaml", "requirements.txt"),
    *("input_example.json", "serving_input_example.json"),
)
_DATA_NAME = re.compile(r"model-[0-9a-f]{16}")


def data_name(digest: str) -> str:
    """Name of the folder of our model inside MLflow's: other bytes, another name."""
    return f"model-{digest[:16]}"


def refuse_existing_file(url: str, overwrite: bool, options: str) -> None:
    """Raise if something lies at `url` and may not be replaced."""
    if not overwrite and exists(url, options):
        raise OutputExists(
            f"{redact(url)} exists already; pass --overwrite (overwrite=True) to replace it, or "
            "another place."
        )


def refuse_existing_folder(url: str, overwrite: bool, options: str) -> None:
    """Raise if a model of MLflow's lies at `url` and may not be replaced, or something else does.

    What an export that was cut off has left is none: it has no `MLmodel`.
    """
    if exists(join(url, _INDEX), options):
        if not overwrite:
            raise OutputExists(
                f"a model of MLflow's lies at {redact(url)} already; pass --overwrite "
                "(overwrite=True) to replace it, or another place."
            )
        return
    names = [name for name in names_at(url, options) if not is_unfinished(name)]
    if not names:
        return
    inside = names_at(join(url, _DATA), options) if _DATA in names else []
    ours = inside and all(_DATA_NAME.fullmatch(name) for name in inside)
    if not ours or not set(names) <= {_DATA, *_ASIDE}:
        raise OutputExists(
            f"{redact(url)} exists and is not a model of MLflow's; pass another place."
        )


def publish_folder(folder: Path, url: str, options: str) -> int:
    """Copy a model of MLflow's from a local folder to `url`, its `MLmodel` last; return the bytes.

    Readers see the whole model or the one before: its data lie in a folder named by what is in it,
    which `MLmodel` names. Files that are not MLflow's are left out.
    """
    found = sorted(path for path in (folder / _DATA).rglob("*") if path.is_file())
    found += [folder / name for name in _ASIDE if (folder / name).is_file()]
    n_bytes = 0
    for path in [*found, folder / _INDEX]:
        data = path.read_bytes()
        write_bytes(join(url, path.relative_to(folder).as_posix()), data, options)
        n_bytes += len(data)
    keep = {path.name for path in (folder / _DATA).iterdir()}
    remove_unfinished(url, options)
    for name in names_at(join(url, _DATA), options):
        if _DATA_NAME.fullmatch(name) and name not in keep:
            remove(join(url, _DATA, name), options)
    return n_bytes
