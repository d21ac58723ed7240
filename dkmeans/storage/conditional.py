"""Writes that one of several writers makes: put if absent, with lost replies settled.

On local disks by a hard link, or by exclusive creation where there are none; on object stores by a
conditional PUT (`If-None-Match: *` on S3). Some stores answer such a PUT without keeping writers
apart: whoever relies on it has to try them first.
"""

import errno
import os
import uuid
from pathlib import Path

import fsspec

from dkmeans.errors import MissingInput, StoreUnfit
from dkmeans.storage.atomic import sync, write_bytes
from dkmeans.storage.filesystem import NO_OPTIONS, is_local, redact
from dkmeans.storage.objects import read_at_most
from dkmeans.storage.requests import request
from dkmeans.storage.verdicts import Verdict, judge

_MOST_BYTES = 2**20
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NOT_KNOWN = {"NotImplemented", "501"}


def put_if_absent(
    url: str, data: bytes, options: str = NO_OPTIONS, *, is_alone: bool = False
) -> bytes:
    """Write `data` to `url` if nothing lies there, and return what lies there then.

    The writer has won if that is `data`, which must differ from what any other writer would put
    there. A write whose reply was lost is settled so, too.

    Parameters
    ----------
    url
        Where to write.
    data
        At most 1 MiB.
    options
        Reference of the storage options.
    is_alone
        Whether nobody else writes there: then a look and a plain write do.

    Raises
    ------
    StoreUnfit
        If the store knows no conditional writes.
    InputRefused
        If what lies there is larger than `data` may be.
    """
    while True:
        if is_alone:
            try:
                return read_at_most(url, _MOST_BYTES, options)
            except MissingInput:
                write_bytes(url, data, options)
                return data
        if request(url, options, lambda fs, path: _create(fs, path, data)):
            return data
        try:
            return read_at_most(url, _MOST_BYTES, options)
        except MissingInput:
            # whoever had it has removed it again
            continue


def _create(fs: fsspec.AbstractFileSystem, path: str, data: bytes) -> bool:
    """Whether the file was created; False if there is one."""
    if is_local(fs):
        return _create_local(Path(path), data)
    try:
        fs.pipe_file(path, data, mode="create")
    except FileExistsError:
        return False
    except NotImplementedError:
        raise _unfit(fs, path) from None
    except Exception as error:
        # s3fs knows a refused PUT for what it is only if the store names the condition
        if judge(error) is Verdict.CHANGED:
            return False
        if _is_not_known(error):
            raise _unfit(fs, path) from None
        raise
    return True


def _create_local(path: Path, data: bytes) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        sync(part)
        try:
            # not a rename, which would replace what is there
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _create_exclusively(path, data)
        sync(path.parent)
        return True
    finally:
        part.unlink(missing_ok=True)


def _create_exclusively(path: Path, data: bytes) -> bool:
    """Create a file where there are no links; a killed writer may leave a part of it."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    sync(path.parent)
    return True


def _is_not_known(error: Exception) -> bool:
    cause = error if hasattr(error, "response") else error.__cause__
    response = getattr(cause, "response", None)
    code = str(response.get("Error", {}).get("Code")) if isinstance(response, dict) else ""
    return code in _NOT_KNOWN or (isinstance(error, OSError) and error.errno == errno.ENOSYS)


def _unfit(fs: fsspec.AbstractFileSystem, path: str) -> StoreUnfit:
    return StoreUnfit(
        f"the store of {redact(str(fs.unstrip_protocol(path)))} knows no conditional writes; use "
        "another store, or have a single writer only."
    )
