"""How many requests are under way: never above the limit, fewer when a store is short of breath."""

import threading
from types import SimpleNamespace

import pytest

from dkmeans.storage.gate import Gate


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("dkmeans.storage.gate.time", clock)
    return clock


class Users:
    """Threads that each hold one place of a gate until they are let go."""

    def __init__(self, gate, n):
        self.within = self.most = 0
        self._lock, self._let_go = threading.Lock(), threading.Semaphore(0)
        self._entered = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._use, args=(gate,), daemon=True) for _ in range(n)
        ]
        for thread in self._threads:
            thread.start()

    def _use(self, gate):
        with gate.one():
            with self._lock:
                self.within += 1
                self.most = max(self.most, self.within)
            self._entered.release()
            self._let_go.acquire()
            with self._lock:
                self.within -= 1

    def wait_for(self, n):
        """Wait until `n` more have entered."""
        for _ in range(n):
            assert self._entered.acquire(timeout=20)

    def no_more_enter(self):
        return not self._entered.acquire(timeout=0.1)

    def let_go(self, n):
        self._let_go.release(n)

    def join(self):
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


def test_no_more_than_the_limit_are_within_and_all_get_in():
    users = Users(Gate(3), 9)
    users.wait_for(3)
    assert users.no_more_enter()
    users.let_go(9)
    users.wait_for(6)
    users.join()
    assert users.most == 3


def test_a_place_is_given_back_when_its_holder_fails():
    gate = Gate(1)
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), gate.one():
            raise error
    with gate.one():
        pass


def test_slowing_down_halves_and_leaves_one(clock):
    gate = Gate(32)
    limits = []
    for _ in range(7):
        gate.slow_down()
        limits.append(gate.limit)
        clock.now += 5
    assert limits == [16, 8, 4, 2, 1, 1, 1]
    with gate.one():
        pass


def test_what_was_under_way_together_is_heard_once(clock):
    gate = Gate(32)
    for _ in range(20):
        gate.slow_down()
        clock.now += 0.01
    assert gate.limit == 16
    clock.now += 2
    gate.slow_down()
    assert gate.limit == 8


def test_a_round_of_successes_gives_one_place_back_up_to_the_most(clock):
    gate = Gate(16)
    gate.slow_down()
    assert gate.limit == 8
    for _ in range(8):
        gate.succeeded()
    assert 8.8 < gate.limit <= 9
    for _ in range(1000):
        gate.succeeded()
    assert gate.limit == 16


def test_those_under_way_finish_and_newcomers_wait_after_slowing_down(clock):
    gate = Gate(4)
    users = Users(gate, 7)
    users.wait_for(4)
    gate.slow_down()
    users.let_go(2)
    assert users.no_more_enter(), "two are still within, which is the new limit"
    users.let_go(1)
    users.wait_for(1)
    assert users.no_more_enter()
    users.let_go(4)
    users.wait_for(2)
    users.join()


def test_those_who_wait_get_in_when_the_limit_recovers(clock):
    gate = Gate(2)
    gate.slow_down()
    users = Users(gate, 2)
    users.wait_for(1)
    assert users.no_more_enter()
    gate.succeeded()
    users.wait_for(1)
    users.let_go(2)
    users.join()
    assert users.most == 2
