"""Fetch ranges of a pinned file: each byte once, several requests at a time."""

import asyncio
import itertools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import fsspec
import fsspec.asyn
import pyarrow.fs

from dkmeans.errors import InputChanged
from dkmeans.storage.access import OURS, access_of
from dkmeans.storage.errands import Errand, call_all
from dkmeans.storage.filesystem import is_local, open_filesystem, recall, redact
from dkmeans.storage.listing import StoredFile, version_of
from dkmeans.storage.requests import request
from dkmeans.storage.verdicts import ShortRead

_REQUEST_BYTES = 16 * 2**20
"""Longer ranges are fetched in several requests."""

_pool = ThreadPoolExecutor(16, thread_name_prefix="dkmeans-fetch")
_ahead = ThreadPoolExecutor(4, thread_name_prefix="dkmeans-ahead")

Range = tuple[int, int]
"""First byte, and the byte after the last."""


def fetch(file: StoredFile, options: str, ranges: Sequence[Range]) -> list[bytes]:
    """Return the bytes of some ranges of a file, as it was when it was pinned.

    Raises
    ------
    InputChanged
        If the file is another one now.
    StoreUnreachable
        If the store fails for too long.
    """
    pieces = [_pieces(one) for one in ranges]
    flat = [piece for some in pieces for piece in some]
    get = partial(_get_one, file, options)
    parts = [get(flat[0])] if len(flat) == 1 else call_all(_pool, get, flat)
    parts.reverse()
    # what is joined is let go of
    return [b"".join([parts.pop() for _ in some]) for some in pieces]


def fetch_ahead(
    file: StoredFile, options: str, ranges: Sequence[Range], errand: Errand
) -> "Future[list[bytes]]":
    """Begin to fetch ranges in the background, until `errand` is over."""
    return _ahead.submit(errand.call, fetch, file, options, ranges)


def count_requests(ranges: Sequence[Range]) -> int:
    """Return how many requests `fetch` makes for some ranges, when none fails."""
    return sum(len(_pieces(one)) for one in ranges)


def check_unchanged(file: StoredFile, options: str) -> None:
    """Raise `InputChanged` if the file is another one now. One request, where it is not local."""

    def look(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, Any]:
        fs.invalidate_cache(fs._parent(path))
        info: dict[str, Any] = fs.info(path)
        return info

    info = request(file.url, options, look, has_answered=True)
    version = version_of(info) if file.version else ""
    if (int(info["size"]), version) != (file.size, file.version):
        raise InputChanged(
            f"{redact(file.url)} has changed since it was planned ({file.size} bytes then, "
            f"{info['size']} now); run again on data that do not change."
        )


def _pieces(one: Range) -> list[Range]:
    start, stop = one
    n = max(1, -(-(stop - start) // _REQUEST_BYTES))
    cuts = [start + (stop - start) * i // n for i in range(n + 1)]
    return list(itertools.pairwise(cuts))


def _get_one(file: StoredFile, options: str, one: Range) -> bytes:
    start, stop = one
    fs, _ = open_filesystem(file.url, options)
    ask = partial(request, file.url, options, has_answered=True)
    if is_local(fs):
        data = ask(partial(_get_local, start, stop))
    elif hasattr(fs, "_call_s3") and access_of(recall(options)).client == "s3fs":
        data = ask(partial(_get_of_s3, file, start, stop))
    elif hasattr(fs, "_call_s3"):
        arrow = arrow_filesystem(options)
        check_unchanged(file, options)
        data = ask(partial(_get_by_arrow, arrow, start, stop))
    else:
        check_unchanged(file, options)
        data = ask(partial(_get_by_fsspec, start, stop))
    return data


def _get_local(start: int, stop: int, fs: fsspec.AbstractFileSystem, path: str) -> bytes:
    with open(path, "rb") as opened:
        opened.seek(start)
        return opened.read(stop - start)


def _get_of_s3(
    file: StoredFile, start: int, stop: int, fs: fsspec.AbstractFileSystem, path: str
) -> bytes:
    """One GET that S3 itself refuses if the object has another ETag by now."""
    data: bytes = fsspec.asyn.sync(fs.loop, _get_object, fs, path, start, stop, file.version)
    return _whole(data, start, stop)


async def _get_object(
    fs: fsspec.AbstractFileSystem, path: str, start: int, stop: int, version: str
) -> bytes:
    bucket, key, _ = fs.split_path(path)
    match = {"IfMatch": f'"{version}"'} if version else {}
    reply = await fs._call_s3(
        "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}", **match
    )
    body = reply["Body"]
    try:
        data: bytes = await asyncio.wait_for(body.read(), fs.read_timeout * 4)
        return data
    finally:
        body.close()


def _get_by_fsspec(start: int, stop: int, fs: fsspec.AbstractFileSystem, path: str) -> bytes:
    return _whole(bytes(fs.cat_file(path, start=start, end=stop)), start, stop)


def _get_by_arrow(
    arrow: pyarrow.fs.FileSystem, start: int, stop: int, fs: fsspec.AbstractFileSystem, path: str
) -> bytes:
    with arrow.open_input_file(path) as opened:
        return _whole(opened.read_at(stop - start, start), start, stop)


def _whole(data: bytes, start: int, stop: int) -> bytes:
    if len(data) != stop - start:
        raise ShortRead(f"{len(data)} bytes came where {stop - start} were asked for")
    return data


@lru_cache(maxsize=8)
def arrow_filesystem(options: str) -> pyarrow.fs.FileSystem:
    """Return pyarrow's own S3 filesystem for storage options that s3fs takes."""
    known = {key: value for key, value in recall(options).items() if key != OURS}
    client = known.get("client_kwargs", {})
    endpoint = known.get("endpoint_url") or client.get("endpoint_url")
    return pyarrow.fs.S3FileSystem(
        access_key=known.get("key"),
        secret_key=known.get("secret"),
        session_token=known.get("token"),
        anonymous=bool(known.get("anon", False)),
        region=client.get("region_name"),
        endpoint_override=endpoint,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=1),
        request_timeout=30,
        connect_timeout=10,
    )
