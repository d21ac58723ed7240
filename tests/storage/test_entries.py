"""Listings with sizes and times, and files that are read up to a limit, on each kind of store."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dkmeans.errors import InputRefused, MissingInput
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.entries import entries_at, entries_below, modified, store_time
from dkmeans.storage.filesystem import remember
from dkmeans.storage.objects import read_at_most


@pytest.fixture(params=["disk", "memory", "s3"])
def place(request, tmp_path: Path) -> tuple[str, str]:
    """A folder that is not there yet, and the reference of its options."""
    if request.param == "memory":
        return f"memory://{tmp_path.name}/new", ""
    if request.param == "s3":
        options = remember(request.getfixturevalue("s3"))
        return f"{request.getfixturevalue('bucket')}/new", options
    return f"{tmp_path}/new", ""


def is_now(moment: datetime | None) -> bool:
    return moment is not None and abs((datetime.now(UTC) - moment).total_seconds()) < 60


def test_a_folder_is_listed_with_sizes_and_times(place: tuple[str, str]) -> None:
    url, options = place
    assert entries_at(url, options) == entries_below(url, options) == []
    for name, size in (("b", 3), ("a/x", 5), ("a/y/z", 0), ("ab", 1)):
        write_bytes(f"{url}/{name}", b"x" * size, options)
    found = entries_at(url, options)
    assert [(one.name, one.size, one.is_folder) for one in found] == [
        ("a", 0, True), ("ab", 1, False), ("b", 3, False),
    ]  # fmt: skip
    below = entries_below(url, options)
    assert [(one.name, one.size) for one in below] == [
        ("a/x", 5),
        ("a/y/z", 0),
        ("ab", 1),
        ("b", 3),
    ]
    assert all(is_now(one.modified) for one in below)
    assert is_now(modified(f"{url}/b", options))
    # a listing that was made before hides nothing
    write_bytes(f"{url}/c", b"", options)
    assert [one.name for one in entries_at(url, options)] == ["a", "ab", "b", "c"]
    assert entries_at(f"{url}/b", options) == []


def test_the_time_is_the_store_s_own(place: tuple[str, str], monkeypatch) -> None:
    url, options = place
    write_bytes(f"{url}/a", b"", options)
    real = time.time
    if not url.startswith("memory://"):  # which is of this process, as its clock
        monkeypatch.setattr(time, "time", lambda: real() + 86400)
    assert is_now(store_time(url, options))
    assert [one.name for one in entries_at(url, options)] == ["a"]


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_a_file_within_the_limit_is_read_whole(place: tuple[str, str], size: int) -> None:
    url, options = place
    write_bytes(f"{url}/a", b"x" * size, options)
    assert read_at_most(f"{url}/a", 10, options) == b"x" * size


def test_a_larger_file_is_refused(place: tuple[str, str]) -> None:
    url, options = place
    write_bytes(f"{url}/a", b"x" * 11, options)
    with pytest.raises(InputRefused, match="a has more than 10 bytes"):
        read_at_most(f"{url}/a", 10, options)
    with pytest.raises(MissingInput):
        read_at_most(f"{url}/b", 10, options)
