"""One BLAS thread while anybody asks for it, and as many as before afterwards."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dkmeans.kernels import threads
from dkmeans.kernels.threads import one_blas_thread

NUMPYS_BLAS = """
import numpy, threadpoolctl
pools = threadpoolctl.threadpool_info()
print(*[pool["filepath"] for pool in pools if pool["user_api"] == "blas"], sep="\\n")
"""


@pytest.fixture(scope="module")
def blas_threads() -> Callable[[], set[int]]:
    """Return a function that tells how many threads NumPy's BLAS may use.

    Other libraries may have loaded a BLAS of their own into this process, which no kernel calls.
    """
    run = subprocess.run(
        [sys.executable, "-c", NUMPYS_BLAS], capture_output=True, text=True, timeout=60, check=True
    )
    paths = run.stdout.split("\n")[:-1]
    if not any(paths):
        pytest.skip("the number of threads of this NumPy's BLAS can be neither read nor set")
    return lambda: {p["num_threads"] for p in threadpool_info() if p.get("filepath") in paths}


def set_blas_threads(n_threads: int) -> None:
    """Set the number from a thread that ends: threadpoolctl lets only one living thread set it."""
    setter = threading.Thread(target=threadpool_limits, kwargs={"limits": n_threads})
    setter.start()
    setter.join()


@pytest.fixture(autouse=True)
def two_blas_threads(
    blas_threads: Callable[[], set[int]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Give BLAS two threads, on machines of one core too."""
    # tasks of other tests may still wait for a store that never answers, and hold the limit
    monkeypatch.setattr(threads, "_users", 0)
    monkeypatch.setattr(threads, "_limiter", None)
    before = blas_threads()
    set_blas_threads(2)
    assert blas_threads() == {2}
    yield
    set_blas_threads(max(before))


def test_the_limit_holds_inside_and_is_lifted_after(blas_threads):
    with one_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_an_inner_use_does_not_lift_the_limit_of_the_outer(blas_threads):
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_an_error_inside_lifts_the_limit(blas_threads):
    def fail():
        with one_blas_thread():
            raise RuntimeError("kernel failed")

    with pytest.raises(RuntimeError, match="kernel failed"):
        fail()
    assert blas_threads() == {2}


def test_the_limit_can_be_set_again(blas_threads):
    for _ in range(3):
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {2}


def test_a_use_in_one_thread_leaves_the_limit_to_the_next(blas_threads):
    def inside():
        with one_blas_thread():
            return blas_threads()

    # both live on, as a scheduler's threads do
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for pool in (first, second, first):
            assert pool.submit(inside).result(60) == {1}
            assert blas_threads() == {2}
        assert inside() == {1}
    assert blas_threads() == {2}


def test_the_first_of_two_concurrent_users_to_leave_does_not_lift_the_limit(blas_threads):
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with one_blas_thread():
            entered.set()
            assert leave.wait(60)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(hold)
        assert entered.wait(60)
        with one_blas_thread():
            leave.set()
            first.result(60)
            assert blas_threads() == {1}
        assert blas_threads() == {2}


def test_many_concurrent_users_see_one_thread_and_leave_no_limit_behind(blas_threads):
    start = threading.Barrier(8)

    def work():
        start.wait(60)
        seen = set()
        for _ in range(20):
            with one_blas_thread():
                seen |= blas_threads()
        return seen

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(work) for _ in range(8)]
        assert [future.result(120) for future in futures] == [{1}] * 8
        assert blas_threads() == {2}


def test_a_limit_that_the_user_holds_comes_back(blas_threads):
    def inside():
        with one_blas_thread():
            return blas_threads()

    with threadpool_limits(limits=2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result(60) == {1}
        assert blas_threads() == {2}
