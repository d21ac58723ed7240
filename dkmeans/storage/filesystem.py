"""From a URL to a filesystem, without letting credentials travel.

Options that a user passed (keys, tokens, endpoints) stay in a table of this process under a random
reference. Tasks, plans and models carry the reference; the cluster storey copies the table to
workers.
"""

import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.core import url_to_fs

from dkmeans.errors import ArgumentError, DkmeansError, MissingInput, StoreUnreachable
from dkmeans.storage.access import access_of, fsspec_options

_options: dict[str, Mapping[str, Any]] = {}
_lock = threading.Lock()

NO_OPTIONS = ""
"""The reference of empty storage options."""


def remember(options: Mapping[str, Any] | None) -> str:
    """Keep storage options in this process and return the reference that stands for them."""
    if not options:
        return NO_OPTIONS
    access_of(options)
    with _lock:
        for reference, known in _options.items():
            if known == options:
                return reference
        reference = uuid.uuid4().hex
        _options[reference] = dict(options)
        return reference


def remember_as(reference: str, options: Mapping[str, Any]) -> None:
    """Keep storage options under a reference that another process made."""
    with _lock:
        _options[reference] = dict(options)


def recall(reference: str) -> Mapping[str, Any]:
    """Return the storage options that a reference stands for."""
    if reference == NO_OPTIONS:
        return {}
    try:
        return _options[reference]
    except KeyError:
        raise StoreUnreachable(
            "the storage options of this job are unknown to this process; run the job again."
        ) from None


def known_options() -> list[Mapping[str, Any]]:
    """Return all storage options that this process keeps, to find out what must not be shown."""
    with _lock:
        return list(_options.values())


def open_filesystem(url: str, options: str = NO_OPTIONS) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the filesystem of `url` and the path of `url` on it.

    Parameters
    ----------
    url
        A local path or anything that fsspec knows the protocol of.
    options
        Reference of the storage options.

    Raises
    ------
    ArgumentError
        If the protocol is unknown or its package is not installed.
    """
    protocol = fsspec.utils.get_protocol(url)
    known = {} if protocol == "file" else fsspec_options(protocol, recall(options))
    with store_errors(url):
        try:
            fs, path = url_to_fs(str(url), **known)
        except (ImportError, ValueError, TypeError) as error:
            raise ArgumentError(f"cannot open {redact(url)}: {error}") from None
    if hasattr(fs, "_call_s3"):
        # one attempt: trying again is for `request`
        fs.retries = 1
    return fs, path


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether paths of `fs` are paths of this machine."""
    return "file" in _protocols(fs)


def as_url(fs: fsspec.AbstractFileSystem, path: str) -> str:
    """Return the URL, or local path, of a path on `fs`."""
    return path if is_local(fs) else f"{_protocols(fs)[0]}://{path}"


def join(url: str, *names: str) -> str:
    """Append path segments to a URL or local path."""
    return "/".join([str(url).rstrip("/"), *names])


def absolute(url: str) -> str:
    """Make a local path absolute, so that workers in other folders read the same file."""
    return url if "://" in url or "::" in url else str(Path(url).expanduser().absolute())


def redact(url: str) -> str:
    """Return `url` without user, password and query, as it may be shown and stored."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def one_line(error: object) -> str:
    """The text of an error without line breaks."""
    return " ".join(str(error).split())


@contextmanager
def store_errors(url: str, n_retries: int = 0) -> Iterator[None]:
    """Turn what stores raise into errors that name `url` and hold no secrets."""
    try:
        yield
    except DkmeansError:
        raise
    except FileNotFoundError:
        raise MissingInput(f"{redact(url)} does not exist; check the path.") from None
    except PermissionError:
        raise StoreUnreachable(
            f"access to {redact(url)} is denied; check the credentials and the bucket's policy."
        ) from None
    except IsADirectoryError:
        raise ArgumentError(f"{redact(url)} is a folder; a file is needed.") from None
    except ValueError as error:
        if "Invalid endpoint" not in str(error):
            raise
        raise ArgumentError(
            f"the endpoint for {redact(url)} is no URL; write it as http://host:port."
        ) from None
    except TypeError as error:
        # fsspec hands options on, and only the first request finds out that nobody takes one
        if "unexpected keyword argument" not in str(error):
            raise
        raise ArgumentError(
            f"the store of {redact(url)} does not take a storage option: {error}."
        ) from None
    except Exception as error:
        if isinstance(error, OSError) or _is_from_a_store(error):
            raise StoreUnreachable(
                f"the store of {redact(url)} failed{_after(n_retries)}: {type(error).__name__}: "
                f"{_short(error)}; "
                "check the endpoint, the credentials and the network, then run again."
            ) from None
        raise


def _after(n_retries: int) -> str:
    return f" ({n_retries + 1} attempts)" if n_retries else ""


def _is_from_a_store(error: Exception) -> bool:
    package = type(error).__module__.partition(".")[0]
    return package in {"botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "adlfs", "fsspec"}


def _short(error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
    first = re.sub(r"://[^\s/@]+@", "://", first)
    return re.sub(
        r"(?i)(key|secret|token|password|signature)[^\s=:]*\s*[=:]\s*\S+", r"\1=...", first
    )


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
