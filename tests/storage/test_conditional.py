"""Put if absent: one writer wins, and knows it, whatever becomes of replies."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dkmeans.errors import StoreUnfit, StoreUnreachable
from dkmeans.storage.conditional import put_if_absent
from dkmeans.storage.entries import entries_at
from dkmeans.storage.filesystem import remember
from dkmeans.storage.objects import read_bytes
from tests.fault_proxy import FaultProxy


@pytest.fixture(params=["links", "no links", "memory", "s3"])
def place(request, tmp_path: Path, monkeypatch) -> tuple[str, str]:
    """A folder that is not there yet, and the reference of its options."""
    if request.param == "no links":

        def link(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", link)
    if request.param == "memory":
        return f"memory://{tmp_path.name}/new", ""
    if request.param == "s3":
        options = remember(request.getfixturevalue("s3"))
        return f"{request.getfixturevalue('bucket')}/new", options
    return f"{tmp_path}/new/deep", ""


def test_the_first_write_stays(place: tuple[str, str]) -> None:
    folder, options = place
    assert put_if_absent(f"{folder}/a", b"first", options) == b"first"
    assert put_if_absent(f"{folder}/a", b"second", options) == b"first"
    assert put_if_absent(f"{folder}/b", b"other", options) == b"other"
    assert read_bytes(f"{folder}/a", options) == b"first"
    assert [entry.name for entry in entries_at(folder, options)] == ["a", "b"]


@pytest.mark.parametrize("place", ["links", "no links", "s3"], indirect=True)
def test_one_of_eight_writers_wins(place: tuple[str, str]) -> None:
    folder, options = place
    for turn in range(5):
        start = threading.Barrier(8)

        def write(number: int, turn: int = turn, start: threading.Barrier = start) -> bytes:
            start.wait(30)
            data = str(number).encode()
            found = put_if_absent(f"{folder}/{turn}", data, options)
            return b"won" if found == data else found

        with ThreadPoolExecutor(8) as writers:
            found = list(writers.map(write, range(8)))
        winner = read_bytes(f"{folder}/{turn}", options)
        assert found.count(b"won") == 1
        assert found[int(winner)] == b"won"
        # on disks without links the others may see the first part of a file that is being written
        if options:
            assert set(found) == {b"won", winner}
    assert len(entries_at(folder, options)) == 5


def test_an_only_writer_needs_no_conditions(place: tuple[str, str]) -> None:
    folder, options = place
    assert put_if_absent(f"{folder}/a", b"first", options, is_alone=True) == b"first"
    assert put_if_absent(f"{folder}/a", b"second", options, is_alone=True) == b"first"


@pytest.mark.parametrize("fault", ["drop_reply", "conflict", "slow_down", "reset"])
def test_faults_make_neither_a_loss_nor_a_second_win(bucket: str, s3: dict, fault: str) -> None:
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        options = remember(proxy.options(s3))
        rule = proxy.fail(fault, method="PUT", times=2)
        assert put_if_absent(f"{bucket}/a", b"mine", options) == b"mine"
        assert put_if_absent(f"{bucket}/a", b"other", options) == b"mine"
        assert rule.hits == 2


def test_a_store_without_conditions_is_told_from_one_that_fails(bucket: str, s3: dict) -> None:
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        options = remember({**proxy.options(s3), "dkmeans": {"retry_seconds": 0}})
        proxy.fail("not_implemented", method="PUT")
        with pytest.raises(StoreUnfit, match=r"/a knows no conditional writes"):
            put_if_absent(f"{bucket}/a", b"mine", options)
        proxy.clear()
        proxy.fail("internal_error", method="PUT")
        with pytest.raises(StoreUnreachable):
            put_if_absent(f"{bucket}/a", b"mine", options)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreUnreachable, match="the disk is full"):
        put_if_absent(f"{tmp_path}/a", b"mine")
    assert list(tmp_path.iterdir()) == []
