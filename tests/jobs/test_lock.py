"""One run of a job at a time: it waits or leaves, and what was killed is no obstacle for long."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psutil
import pytest

from dkmeans.errors import JobRunning, LockLost
from dkmeans.jobs import lock as module
from dkmeans.jobs.lock import JobLock
from dkmeans.registry.records import Place
from dkmeans.storage.filesystem import remember
from dkmeans.storage.objects import names_at


@pytest.fixture(params=["disk", "s3"])
def place(request, tmp_path):
    if request.param == "disk":
        return Place(str(tmp_path))
    bucket = request.getfixturevalue("bucket")
    return Place(f"{bucket}/registry", remember(request.getfixturevalue("s3")))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)


def turn(place, run_id, **options):
    return JobLock(place, "nightly", run_id, who="ann@host", written="2026-11-20", **options)


def test_another_run_leaves_with_who_is_at_it_and_comes_in_afterwards(place):
    with turn(place, "one") as lock:
        lock.check()
        with pytest.raises(
            JobRunning, match=r"'nightly' is run by ann@host since 2026-11-20 .*one"
        ):
            turn(place, "two").__enter__()
        # other jobs are others' business
        with JobLock(place, "weekly", "three", who="", written=""):
            pass
    with turn(place, "two") as lock:
        lock.check()


@pytest.mark.usefixtures("quick")
def test_another_run_waits_for_its_turn(place):
    order = []

    def second():
        with turn(place, "two", wait_seconds=60):
            order.append("two")

    with ThreadPoolExecutor(1) as pool:
        with turn(place, "one"):
            done = pool.submit(second)
            # leaves with a message when its wait is over
            with pytest.raises(JobRunning):
                turn(place, "three", wait_seconds=0.3).__enter__()
            assert not done.done()
            order.append("one")
        done.result(timeout=60)
    assert order == ["one", "two"]


@pytest.mark.usefixtures("quick")
def test_of_many_runs_one_has_the_turn_at_any_time(place):
    inside, most, count = 0, 0, 0
    guard = threading.Lock()

    def run(i):
        nonlocal inside, most, count
        with turn(place, f"run {i}", wait_seconds=60) as lock:
            with guard:
                inside += 1
                most, count = max(most, inside), count + 1
            time.sleep(0.02)
            lock.check()
            with guard:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert (most, count) == (1, 8)
    # turns that are over leave nothing but the last two
    left = names_at(place.at("locks", "nightly"), place.options)
    assert {name.partition(".")[0] for name in left} == {"000007", "000008"}


def hold(url, ready):
    with turn(Place(url), "killed", lease_seconds=1):
        ready.set()
        time.sleep(60)


@pytest.fixture
def killed(tmp_path):
    """The place of a turn whose process was killed in the middle of it."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(str(tmp_path), ready))
    holder.start()
    assert ready.wait(60)
    place = Place(str(tmp_path))
    # while it lives, it has the turn
    with pytest.raises(JobRunning):
        turn(place, "next").__enter__()
    os.kill(holder.pid, signal.SIGKILL)
    # nobody has asked for it yet
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    yield place
    holder.join()


def test_a_run_that_was_killed_here_is_no_obstacle(killed):
    with turn(killed, "next") as lock:
        lock.check()


def test_a_run_that_was_killed_elsewhere_is_none_once_its_lease_is_over(killed, monkeypatch):
    monkeypatch.setattr(module.socket, "gethostname", lambda: "elsewhere")
    with pytest.raises(JobRunning):
        turn(killed, "next").__enter__()
    time.sleep(1.1)
    with turn(killed, "next", lease_seconds=1) as lock:
        lock.check()


def test_a_run_that_is_alive_keeps_its_turn_for_longer_than_a_lease(place):
    with turn(place, "long", lease_seconds=2) as lock:
        time.sleep(3)
        with pytest.raises(JobRunning):
            turn(place, "next", lease_seconds=2).__enter__()
        lock.check()


def test_a_run_that_was_taken_for_dead_learns_of_it_before_it_publishes(place):
    with turn(place, "frozen", lease_seconds=1) as lock:
        # as if its process had been stopped: no signs of life
        lock._ended.set()
        lock._signs.join()
        time.sleep(2.1)
        with turn(place, "next", lease_seconds=1) as other:
            other.check()
            with pytest.raises(LockLost, match="run frozen of job 'nightly' has lost its turn"):
                lock.check()


def test_a_run_that_had_looked_long_ago_gets_no_turn_that_is_over(place, monkeypatch):
    seen = module.entries_at(place.at("locks", "nightly"), place.options)
    for run_id in ("one", "two", "three"):
        with turn(place, run_id):
            pass
    # the first two turns are gone, so that the number of the first one is free
    looks = iter([seen])
    now = module.entries_at
    monkeypatch.setattr(module, "entries_at", lambda *at: next(looks, None) or now(*at))
    with turn(place, "late") as late:
        late.check()
        with pytest.raises(JobRunning, match="late"):
            turn(place, "next").__enter__()


@pytest.fixture
def restarted(monkeypatch):
    """Have this process look as if its container had been started again."""

    def restart():
        monkeypatch.setattr(module, "_here", lambda: "pod boot pid:[2]")

    monkeypatch.setattr(module, "_here", lambda: "pod boot pid:[1]")
    return restart


@pytest.mark.usefixtures("quick")
def test_a_container_that_was_started_again_waits_for_its_earlier_life_to_be_over(place, restarted):
    killed = turn(place, "killed", lease_seconds=2).__enter__()
    killed._ended.set()
    killed._signs.join()
    restarted()
    # without a wait: as `lock: {overlap: leave}` has it
    began = time.monotonic()
    with turn(place, "next", lease_seconds=2) as lock:
        assert time.monotonic() - began < 30
        lock.check()
    with pytest.raises(LockLost):
        killed.check()


@pytest.mark.usefixtures("quick")
def test_it_leaves_at_the_first_sign_of_a_run_beside_it(place, restarted):
    with turn(place, "alive", lease_seconds=6) as lock:
        restarted()
        with pytest.raises(JobRunning, match="alive"):
            turn(place, "next", lease_seconds=6).__enter__()
        lock.check()


@pytest.mark.usefixtures("quick")
def test_the_lease_that_counts_is_that_of_the_holder_if_it_is_longer(place):
    with turn(place, "slow", lease_seconds=60):
        time.sleep(2.1)
        with pytest.raises(JobRunning, match="slow"):
            turn(place, "next", lease_seconds=1).__enter__()


def test_a_store_that_was_away_makes_no_run_look_dead(place, monkeypatch):
    # times of object stores are whole seconds
    lease = 1.5 if place.options else 0.3
    with turn(place, "long", lease_seconds=lease) as lock:
        real, back = lock._sign, threading.Event()
        monkeypatch.setattr(lock, "_sign", lambda: (back.wait(60), real()))
        # for longer than a lease, no sign gets through; then the store is back
        time.sleep(2 * lease + 0.1)
        waits = time.sleep

        def sleep(seconds):
            back.set()
            waits(seconds + 1.1)

        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
        with pytest.raises(JobRunning, match="long"):
            turn(place, "next", lease_seconds=lease).__enter__()
        assert back.is_set()
        lock.check()


def test_a_process_that_may_not_be_looked_at_is_not_taken_for_dead(monkeypatch):
    """Under systemd's ProtectProc=invisible, processes of others are not to be seen."""
    own = os.getpid()
    holder = {"host": module._here(), "pid": own, "started": module._started(own)}
    assert not module._has_died(holder)
    assert module._has_died({**holder, "started": holder["started"] - 100})

    def invisible(pid):
        raise psutil.NoSuchProcess(pid)

    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(psutil, "Process", invisible)
    # it is ours, and not there
    assert module._has_died(holder)
    monkeypatch.setattr(os, "kill", refused)
    assert not module._has_died(holder)

    def denied(pid):
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(psutil, "Process", denied)
    assert not module._has_died(holder)
