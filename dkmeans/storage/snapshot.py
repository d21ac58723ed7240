"""Values with arrays in them as one file: JSON and `.npy` in a zip archive, never pickle.

Dataclasses are stored by name and read back as the classes that the reader knows by these names.
"""

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from dkmeans.errors import InputRefused
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.filesystem import NO_OPTIONS, redact
from dkmeans.storage.objects import read_bytes

_BODY = "body.json"
_MOST_BYTES = 2**32


def write_snapshot(url: str, value: Any, options: str = NO_OPTIONS) -> None:
    """Store dictionaries, lists, tuples, dataclasses, arrays and plain values, in one step."""
    write_bytes(url, snapshot_of(value), options)


def snapshot_of(value: Any) -> bytes:
    """Return what `write_snapshot` stores: the same bytes for the same value."""
    arrays: list[Any] = []
    body = json.dumps(_encoded(value, arrays)).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # without a date, which would be the present one
        archive.writestr(zipfile.ZipInfo(_BODY), body)
        for number, array in enumerate(arrays):
            member = zipfile.ZipInfo(f"{number}.npy")
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def read_snapshot(url: str, types: Mapping[str, type], options: str = NO_OPTIONS) -> Any:
    """Read what `write_snapshot` stored.

    Parameters
    ----------
    url
        Where it lies.
    types
        The dataclasses that may be in it, by name.
    options
        Reference of the storage options.

    Raises
    ------
    MissingInput
        If nothing lies there.
    InputRefused
        If it is damaged, or holds something else.
    """
    return value_of(read_bytes(url, options), types, url)


def value_of(data: bytes, types: Mapping[str, type], url: str) -> Any:
    """`read_snapshot`, of bytes that were read from a URL already."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MOST_BYTES:
                raise ValueError("it is too large")
            body = json.loads(archive.read(_BODY))
            arrays = [
                _array(archive.read(f"{number}.npy"))
                for number in range(len(archive.namelist()) - 1)
            ]
        return _decoded(body, arrays, types)
    except Exception as error:
        # a damaged archive raises whatever its damage leads to
        raise InputRefused(
            f"{redact(url)} is damaged or was not written by dkmeans: {error}; remove it to start "
            "afresh."
        ) from None


def _array(data: bytes) -> Any:
    """An array from the content of a `.npy` file, which must be as long as its head says."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError("an array has another size than it says")
    return np.load(io.BytesIO(data), allow_pickle=False)


def _encoded(value: Any, arrays: list[Any]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"$array": len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value) and not isinstance(value, type):
        inside = {one.name: _encoded(getattr(value, one.name), arrays) for one in fields(value)}
        return {"$type": type(value).__name__, "fields": inside}
    if isinstance(value, tuple):
        return {"$tuple": [_encoded(one, arrays) for one in value]}
    if isinstance(value, list):
        return [_encoded(one, arrays) for one in value]
    if isinstance(value, Mapping):
        if any(str(key).startswith("$") for key in value):
            raise TypeError("keys that begin with $ cannot be stored")
        return {str(key): _encoded(one, arrays) for key, one in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _decoded(value: Any, arrays: list[Any], types: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return [_decoded(one, arrays, types) for one in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$tuple" in value:
        return tuple(_decoded(one, arrays, types) for one in value["$tuple"])
    if "$type" in value:
        inside = {name: _decoded(one, arrays, types) for name, one in value["fields"].items()}
        return types[value["$type"]](**inside)
    return {key: _decoded(one, arrays, types) for key, one in value.items()}
