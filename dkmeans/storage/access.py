"""How a store is reached: what the user passed beside the options of fsspec, and our defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from dkmeans.errors import ArgumentError

OURS = "dkmeans"
"""The entry of storage options that is not for fsspec."""

S3Client = Literal["s3fs", "arrow"]


@dataclass(frozen=True)
class Access:
    """The `dkmeans` entry of storage options."""

    retry_seconds: float = 600.0
    """How long one object is tried again before the job stops."""

    requests: int = 32
    """Most requests of a process at a time; halved whenever the store asks to slow down."""

    client: S3Client = "s3fs"
    """What fetches ranges of objects on S3: s3fs, or pyarrow's own filesystem.

    pyarrow's takes a reply that is too short for a whole one if it announces its own length, and
    asks for the object's version in a request of its own.
    """


def access_of(options: Mapping[str, Any]) -> Access:
    """Return what storage options say of access.

    Raises
    ------
    ArgumentError
        If an entry is unknown, or has a value that it cannot have.
    """
    ours = options.get(OURS, {})
    known = {field.name for field in fields(Access)}
    if not isinstance(ours, Mapping) or not ours.keys() <= known:
        raise ArgumentError(
            f"storage option {OURS!r} should have entries among {', '.join(sorted(known))}."
        )
    try:
        access = Access(
            float(ours.get("retry_seconds", Access.retry_seconds)),
            int(ours.get("requests", Access.requests)),
            ours.get("client", Access.client),
        )
    except (TypeError, ValueError):
        access = Access(-1)
    if (
        not access.retry_seconds >= 0
        or access.requests < 1
        or access.client not in ("s3fs", "arrow")
    ):
        raise ArgumentError(
            f"storage option {OURS!r} needs retry_seconds from 0, requests from 1, and the client "
            "'s3fs' or 'arrow'."
        )
    return access


def fsspec_options(protocol: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what fsspec gets: the user's options, and for S3 no retries but ours."""
    known = {key: value for key, value in options.items() if key != OURS}
    if protocol in ("s3", "s3a"):
        config = {
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "connect_timeout": 10,
            "read_timeout": 30,
            "max_pool_connections": 64,
        }
        known["config_kwargs"] = {**config, **known.get("config_kwargs", {})}
    return known
