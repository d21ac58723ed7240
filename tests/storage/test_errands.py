"""Requests whose errand is over: none waits, none begins, whatever thread makes it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from dkmeans.errors import MissingInput, StoreUnreachable
from dkmeans.storage.errands import Errand, call_all, current
from dkmeans.storage.listing import list_parquet
from dkmeans.storage.ranges import fetch, fetch_ahead
from dkmeans.storage.requests import request
from tests.conftest import threads_that_wait, wait_until

SOON = 10.0
"""Seconds in which all has to end that would be tried again for ten minutes."""


class Silent:
    """An operation that times out for ever."""

    def __init__(self):
        self.calls = 0

    def __call__(self, *_):
        self.calls += 1
        raise TimeoutError


def asks(operation):
    return request("memory://bucket/a", "", operation)


@pytest.mark.parametrize("within", [False, True])
def test_a_request_that_waits_fails_when_its_errand_is_over(within):
    silent, outer = Silent(), Errand()
    errand = outer.call(Errand) if within else outer
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(errand.call, asks, silent)
        wait_until(lambda: silent.calls > 3)
        assert not waiting.done()
        outer.end()
        with pytest.raises(StoreUnreachable, match=r"memory://bucket/a were given up"):
            waiting.result(SOON)


def test_a_request_of_an_errand_that_is_over_is_not_begun():
    silent = Silent()
    with Errand() as errand:
        pass
    with pytest.raises(StoreUnreachable, match="were given up"):
        errand.call(asks, silent)
    assert silent.calls == 0


def test_requests_of_other_errands_go_on():
    def answers(*_):
        return "done"

    with Errand() as over:
        assert over.call(current) is over
    assert current() is None
    assert asks(answers) == "done"
    assert Errand().call(asks, answers) == "done"


def test_an_errand_is_over_however_it_is_left():
    errand = Errand()
    with suppress(KeyboardInterrupt), errand:
        assert not errand.is_over
        raise KeyboardInterrupt
    assert errand.is_over


def test_results_come_in_order():
    with ThreadPoolExecutor(3) as pool:
        assert call_all(pool, lambda item: 2 * item, range(9)) == [2 * item for item in range(9)]
        assert call_all(pool, abs, []) == []


@pytest.fixture
def file(monkeypatch, tmp_path):
    """A file whose first bytes are asked for in vain, and which is gone for who then asks for
    others."""
    fsspec.filesystem("memory").pipe(f"/{tmp_path.name}/a.parquet", bytes(1000))
    (file,) = list_parquet(f"memory://{tmp_path.name}/a.parquet")

    def cat_file(self, path, start=None, end=None):
        if start == 0:
            raise TimeoutError
        wait_until(threads_that_wait)
        raise FileNotFoundError(path)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    return file


def test_a_piece_that_fails_for_good_ends_the_waiting_for_the_others(file):
    with pytest.raises(MissingInput):
        fetch(file, "", [(0, 10), (500, 510)])
    wait_until(lambda: not threads_that_wait(), seconds=SOON)


def test_what_is_fetched_ahead_can_be_given_up(file):
    errand = Errand()
    parts = fetch_ahead(file, "", [(0, 10)], errand)
    wait_until(threads_that_wait)
    errand.end()
    with pytest.raises(StoreUnreachable, match="were given up"):
        parts.result(SOON)
