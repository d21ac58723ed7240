"""Packages that only exports need: imported when asked for, or the extra that brings them named."""

import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dkmeans.errors import ArgumentError

OURS = version("dkmeans")
"""The version of dkmeans."""


def needed(module: str, extra: str) -> Any:
    """Import a module that an extra of dkmeans brings.

    Raises
    ------
    ArgumentError
        If it cannot be imported.
    """
    try:
        with warnings.catch_warnings():
            # what packages say of their own code is nothing to our users
            warnings.simplefilter("ignore")
            return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ArgumentError(
            f"this export needs {package}: {error}; run `pip install dkmeans[{extra}]`."
        ) from None


def found(module: str) -> Any | None:
    """Import a module if it is installed; None if it is not."""
    try:
        return import_module(module)
    except ImportError:
        return None


def installed(package: str) -> str:
    """Return a package and its version, as "onnx 1.19.0"."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
