"""`export`: a model in another form, at any URL. Checked first, then written in one step."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from dkmeans.errors import ArgumentError
from dkmeans.models.exports.mlflow_registry import Registered, refuse_taken, register
from dkmeans.models.exports.places import (
    publish_folder,
    refuse_existing_file,
    refuse_existing_folder,
)
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.storage.atomic import new_file, write_bytes
from dkmeans.storage.filesystem import absolute, redact, remember

Format = Literal["sklearn", "onnx", "mlflow"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""What a model can be exported to."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    format: Format
    """Which form."""

    url: str
    """Where it lies."""

    n_bytes: int
    """How large it is."""

    model_id: str
    """Short name of what the model predicts, as `dkmeans inspect` shows it."""

    checked_by: str
    """What ran it on sample rows before it was published, and found what the model finds."""

    registered: Registered | None = None
    """The version that it became in a registry of MLflow's; None where none was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def export(
    model: Model,
    url: str,
    format: Format,
    *,
    storage_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    registered_model_name: str | None = None,
    aliases: Sequence[str] = (),
    version: int | None = None,
) -> Exported:
    """Write a model in a form that others read.

    It is run on sample rows first, and published only if it gives their labels and distances as the
    model does. Readers see it whole or not at all.

    Parameters
    ----------
    model
        The model.
    url
        Where to write, on any store: a file for scikit-learn (skops) and ONNX, a folder for MLflow.
    format
        "sklearn" (a Pipeline in a file of skops, without pickle), "onnx" (scaler and k-means in one
        graph) or "mlflow" (a pyfunc model with a signature).
    storage_options
        Options for fsspec; never stored.
    overwrite
        Whether to replace what lies there.
    registered_model_name
        Of "mlflow": register it under this name in MLflow's registry, which MLflow's own settings
        name.
    aliases
        Of "mlflow": aliases that are to stand for that version there.
    version
        Of "mlflow": the model's number in our own registry, if it has one.

    Raises
    ------
    OutputExists
        If something lies there and `overwrite` is false.
    ExportRefused
        If the exported model would assign rows in another way.
    TooLarge
        If ONNX has no room for the centers.
    ArgumentError
        If the format is unknown, a package is not installed, or MLflow refuses the name.
    """
    _check(format, registered_model_name, aliases, version)
    url, options = absolute(url), remember(storage_options)
    shown, name = redact(url), model_id(model)
    if format == "mlflow":
        from dkmeans.models.exports.mlflow_folder import write_mlflow

        refuse_existing_folder(url, overwrite, options)
        with tempfile.TemporaryDirectory(prefix="dkmeans-") as aside:
            folder = Path(aside, "exported")
            checked_by = write_mlflow(model, folder, Path(aside))
            (data,) = (folder / "data").iterdir()
            digest = data.name
            if registered_model_name is not None:
                refuse_taken(registered_model_name, shown, digest)
            n_bytes = publish_folder(folder, url, options)
        registered = None
        if registered_model_name is not None:
            registered = register(
                registered_model_name,
                shown,
                digest=digest,
                model_id=name,
                version=version,
                aliases=aliases,
            )
        return Exported(format, shown, n_bytes, name, checked_by, registered)
    refuse_existing_file(url, overwrite, options)
    if format == "onnx":
        from dkmeans.models.exports.onnx_file import to_onnx

        found, checked_by = to_onnx(model)
        write_bytes(url, found, options)
        return Exported(format, shown, len(found), name, checked_by)
    from dkmeans.models.exports.skops_file import write_skops

    with new_file(url, options) as path:
        checked_by = write_skops(model, path)
        n_bytes = path.stat().st_size
    return Exported(format, shown, n_bytes, name, checked_by)


def _check(
    format: str, registered_model_name: str | None, aliases: Sequence[str], version: int | None
) -> None:
    if format not in FORMATS:
        raise ArgumentError(f"format={format!r} is none of {', '.join(FORMATS)}.")
    if format != "mlflow" and registered_model_name is not None:
        raise ArgumentError(
            f"registered_model_name={registered_model_name!r} goes with format mlflow, not "
            f"{format}."
        )
    if registered_model_name is None and (aliases or version is not None):
        raise ArgumentError("aliases and version go with registered_model_name.")
