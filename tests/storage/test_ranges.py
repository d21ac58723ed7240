"""Ranges of pinned files: the bytes that were asked for, once each, of the file that was pinned."""

import itertools
import threading
from dataclasses import replace

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from dkmeans.errors import InputChanged, MissingInput, StoreUnreachable
from dkmeans.storage.errands import Errand
from dkmeans.storage.filesystem import remember
from dkmeans.storage.listing import list_parquet
from dkmeans.storage.ranges import check_unchanged, count_requests, fetch, fetch_ahead
from tests.fault_proxy import FaultProxy

CONTENT = np.random.default_rng(0).bytes(100_000)
RANGES = [(50_000, 50_001), (0, 10), (99_000, 100_000), (5, 60_000), (5, 60_000)]
MIB = 2**20
SHORT_TIMES = {"config_kwargs": {"read_timeout": 1}}


@pytest.fixture(params=["local", "memory", "s3fs", "arrow"])
def stored(request, tmp_path):
    """A pinned file, the reference of its options, and a function that puts other content there."""
    options = {}
    if request.param == "local":
        url, fs = f"{tmp_path}/a.parquet", fsspec.filesystem("file")
    elif request.param == "memory":
        url, fs = f"memory://{tmp_path.name}/a.parquet", fsspec.filesystem("memory")
    else:
        s3 = request.getfixturevalue("s3")
        url, fs = request.getfixturevalue("bucket") + "/a.parquet", fsspec.filesystem("s3", **s3)
        options = {**s3, "dkmeans": {"client": request.param}}

    def put(content):
        fs.pipe_file(fs._strip_protocol(url), content)

    put(CONTENT)
    (file,) = list_parquet(url, remember(options))
    return file, remember(options), put


def test_the_bytes_of_each_range_come_in_the_order_of_asking(stored):
    file, options, _ = stored
    assert fetch(file, options, RANGES) == [CONTENT[start:stop] for start, stop in RANGES]
    assert fetch(file, options, []) == []
    assert fetch(file, options, [(0, len(CONTENT))]) == [CONTENT]


def test_ranges_fetched_ahead_are_the_same(stored):
    file, options, _ = stored
    futures = [fetch_ahead(file, options, RANGES[i:], Errand()) for i in range(5)]
    for i, future in enumerate(futures):
        assert future.result(60) == [CONTENT[start:stop] for start, stop in RANGES[i:]]


@pytest.mark.parametrize("other", [CONTENT[:50_000], CONTENT + b"more", CONTENT[::-1]])
def test_a_file_of_other_content_is_refused(stored, other, request):
    file, options, put = stored
    check_unchanged(file, options)
    put(other)
    with pytest.raises(InputChanged, match=r"a\.parquet has changed since it was planned"):
        check_unchanged(file, options)
    if "local" not in request.node.name:
        with pytest.raises(InputChanged, match=r"a\.parquet has changed"):
            fetch(file, options, RANGES)
        with pytest.raises(InputChanged):
            fetch_ahead(file, options, RANGES, Errand()).result(60)


def test_a_file_that_is_gone_is_missing(stored):
    file, options, _ = stored
    gone = replace(file, url=file.url.replace("a.parquet", "b.parquet"))
    with pytest.raises(MissingInput, match=r"b\.parquet does not exist"):
        check_unchanged(gone, options)
    if "://" in file.url:
        with pytest.raises(MissingInput):
            fetch(gone, options, [(0, 10)])


@pytest.fixture
def asked(monkeypatch):
    """The ranges that a memory filesystem is asked for; `short` of them come a byte short."""

    class Asked(list):
        short = 0

    asked, lock, real = Asked(), threading.Lock(), MemoryFileSystem.cat_file

    def cat_file(self, path, start=None, end=None):
        with lock:
            asked.append((start, end))
            end -= asked.short > 0
            asked.short -= 1
        return real(self, path, start, end)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    return asked


def in_memory(name, content):
    fsspec.filesystem("memory").pipe(f"/{name}/a.parquet", content)
    (file,) = list_parquet(f"memory://{name}/a.parquet")
    return file


def test_each_byte_is_asked_for_once_in_pieces_that_are_counted(asked, tmp_path):
    content = np.random.default_rng(1).bytes(40 * MIB)
    file = in_memory(tmp_path.name, content)
    ranges = [(1, 10), (100, 100 + 16 * MIB), (3, 17 * MIB), (0, 40 * MIB)]
    for one in ranges:
        asked.clear()
        (found,) = fetch(file, "", [one])
        assert found == content[slice(*one)]
        pieces = sorted(asked)
        assert [pieces[0][0], pieces[-1][1]] == list(one)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(pieces))
        assert max(stop - start for start, stop in pieces) <= 16 * MIB
        assert len(pieces) == count_requests([one])
    assert [count_requests([one]) for one in ranges] == [1, 1, 2, 3]
    assert count_requests(ranges) == 7
    assert count_requests([]) == 0


def test_a_short_reply_is_asked_for_again(asked, tmp_path):
    file = in_memory(tmp_path.name, CONTENT)
    asked.short = 2
    assert fetch(file, "", [(10, 20)]) == [CONTENT[10:20]]
    assert asked == [(10, 20)] * 3


def test_a_file_that_is_always_short_fails_and_is_never_returned(asked, tmp_path):
    file = in_memory(tmp_path.name, CONTENT)
    asked.short = 10**9
    options = remember({"dkmeans": {"retry_seconds": 0.3}})
    with pytest.raises(StoreUnreachable, match="9 bytes came where 10 were asked for"):
        fetch(file, options, [(10, 20)])
    assert len(asked) > 1


@pytest.fixture(scope="module")
def behind(s3):
    """A file behind a proxy, the storage options for it, and the proxy: one for all tests."""
    fs = fsspec.filesystem("s3", **s3)
    fs.call_s3("create_bucket", Bucket="ranges")
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        yield "s3://ranges/a.parquet", proxy.options(s3) | SHORT_TIMES, proxy


@pytest.fixture
def proxied(behind, s3):
    """The pinned file, options that allow 8 requests at a time, and the proxy, well again."""
    url, options, proxy = behind
    fsspec.filesystem("s3", **s3).pipe_file(url, CONTENT)
    proxy.clear()
    (file,) = list_parquet(url, remember(options))
    proxy.forget()
    return file, {**options, "dkmeans": {"requests": 8, "retry_seconds": 60}}, proxy


def slices(n):
    return [(i * 100, i * 100 + 100) for i in range(n)]


def test_several_requests_are_under_way_but_no_more_than_the_option_allows(proxied):
    file, options, proxy = proxied
    proxy.fail("delay", seconds=0.1)
    found = [fetch_ahead(file, remember(options), slices(16), Errand()) for _ in range(3)]
    assert all(len(one.result(60)) == 16 for one in found)
    assert proxy.count("GET", outcome="delay") == 48
    assert 4 <= proxy.most_in_flight <= 8


def test_fewer_are_under_way_after_the_store_asked_to_slow_down(proxied):
    file, options, proxy = proxied
    proxy.fail("slow_down", times=1)
    fetch(file, remember(options), slices(1))
    proxy.clear()
    proxy.forget()
    proxy.fail("delay", seconds=0.1)
    assert fetch(file, remember(options), slices(8)) == [CONTENT[a:b] for a, b in slices(8)]
    assert 2 <= proxy.most_in_flight <= 5
    fetch(file, remember(options), slices(60))
    proxy.forget()
    fetch(file, remember(options), slices(16))
    assert proxy.most_in_flight > 5


FAULTS = [
    *("slow_down", "internal_error", "reset", "drop_reply", "reset_body", "truncate", "short"),
    *("hang", "hang_body"),
]


# arrow's own time limit is half a minute
@pytest.mark.parametrize(
    ("client", "fault"),
    [("s3fs", fault) for fault in FAULTS]
    + [("arrow", fault) for fault in FAULTS[:-3]]
    + [
        pytest.param(
            *("arrow", "short"),
            marks=pytest.mark.xfail(reason="arrow takes a short reply for a whole one"),
        )
    ],
)
def test_a_fault_is_survived_by_asking_again(proxied, client, fault):
    file, options, proxy = proxied
    options = {**options, "dkmeans": {"client": client, "retry_seconds": 60}}
    rule = proxy.fail(fault, method="GET", path=r"^/[^?]*\.parquet", times=2)
    assert fetch(file, remember(options), [(100, 5000)]) == [CONTENT[100:5000]]
    assert rule.hits == 2


@pytest.mark.parametrize("client", ["s3fs", "arrow"])
def test_a_refusal_is_not_asked_again(proxied, client, s3):
    file, options, proxy = proxied
    options = {**options, "dkmeans": {"client": client, "retry_seconds": 60}}
    rule = proxy.fail("access_denied")
    with pytest.raises(StoreUnreachable, match=r"(?i)denied") as caught:
        fetch(file, remember(options), [(100, 5000)])
    assert rule.hits == 1
    assert s3["secret"] not in str(caught.value)


@pytest.mark.parametrize("client", ["s3fs", "arrow"])
def test_expired_keys_that_were_passed_end_it(proxied, client, s3):
    file, options, proxy = proxied
    options = {**options, "dkmeans": {"client": client, "retry_seconds": 60}}
    rule = proxy.fail("expired_token", method="GET")
    with pytest.raises(StoreUnreachable, match=r"credentials for .* have expired") as caught:
        fetch(file, remember(options), [(100, 5000)])
    assert rule.hits <= 2  # arrow does not tell the code: it may be asked for once more
    assert s3["secret"] not in str(caught.value)
    assert s3["key"] not in str(caught.value)


def test_a_put_by_another_writer_between_two_ranges_is_noticed(proxied, s3):
    file, options, _ = proxied
    fetch(file, remember(options), [(0, 10)])
    fsspec.filesystem("s3", **s3).pipe_file(file.url, CONTENT[::-1])
    with pytest.raises(InputChanged):
        fetch(file, remember(options), [(10, 20)])
