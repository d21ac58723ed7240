"""Many writers at a time: each version and each move is somebody's, and none is lost."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dkmeans.errors import AliasMoved, StoreUnfit
from dkmeans.registry import moves, probe
from dkmeans.registry.registry import Registry
from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import fill, is_of_seed
from tests.swift_server import SwiftServer

WRITERS = 8


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftServer]:
    with SwiftServer() as server:
        yield server


def together(work: Callable[[int], object]) -> list:
    """Have eight threads begin at the same time."""
    start = threading.Barrier(WRITERS)

    def one(number: int) -> object:
        start.wait(60)
        return work(number)

    with ThreadPoolExecutor(WRITERS) as threads:
        return list(threads.map(one, range(WRITERS)))


def publishing_together(store: Store, n_rounds: int) -> None:
    assert store.registry().check().passed
    for turn in range(n_rounds):

        def publish(number: int, turn: int = turn) -> int:
            registry = store.registry()
            run = f"{turn}-{number}"
            version = registry.publish(make_model(seed=number), run_id=run)
            registry.promote(version, reason=run)
            return version

        numbers = together(publish)
        first = turn * WRITERS + 1
        assert sorted(numbers) == list(range(first, first + WRITERS))
        registry = store.registry()
        versions = {version.number: version for version in registry.versions()}
        assert sorted(versions) == list(range(1, first + WRITERS))
        for number, version in enumerate(numbers):
            assert versions[version].run_id == f"{turn}-{number}"
            assert is_of_seed(registry.load(version), number)
        moves = registry.moves("champion")
        assert [move.number for move in moves] == list(range(1, first + WRITERS))
        # each begins where the one before it ended
        assert [move.previous for move in moves[1:]] == [move.version for move in moves[:-1]]
        assert sorted(move.version for move in moves[first - 1 :]) == sorted(numbers)
        assert registry.resolve("champion") == moves[-1].version


def test_eight_publishers_get_eight_versions(store: Store) -> None:
    publishing_together(store, 1 if store.options else 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_publishers_get_eight_versions_twenty_times(store: Store) -> None:
    publishing_together(store, 20)


def test_one_run_that_publishes_many_times_together_has_one_version(store: Store) -> None:
    fill(store.registry(), 2)
    # another model each, as if nothing could be repeated exactly
    numbers = together(lambda i: store.registry().publish(make_model(seed=i), run_id="the one"))
    assert numbers == [3] * WRITERS
    assert [one.run_id for one in store.registry().versions()] == ["run 1", "run 2", "the one"]
    assert any(is_of_seed(store.registry().load(3), seed) for seed in range(WRITERS))


def test_of_many_that_expect_the_same_one_moves_the_alias(registry: Registry) -> None:
    fill(registry, WRITERS + 1)
    registry.promote(WRITERS + 1, reason="start")

    def move(number: int) -> bool:
        try:
            registry.promote(number + 1, reason="mine", expected=WRITERS + 1)
        except AliasMoved:
            return False
        return True

    assert sum(together(move)) == 1
    assert len(registry.moves("champion")) == 2


def test_rollbacks_at_the_same_time_go_back_once(registry: Registry, monkeypatch) -> None:
    fill(registry, 3)
    for number in (1, 2, 3):
        registry.promote(number, reason="r")
    real = moves.append

    def after_another(*arguments, **options):
        monkeypatch.setattr(moves, "append", real)
        registry.rollback(reason="faster")
        return real(*arguments, **options)

    monkeypatch.setattr(moves, "append", after_another)
    with pytest.raises(AliasMoved, match="points to version 2"):
        registry.rollback(reason="slower")
    assert registry.resolve("champion") == 2


def test_a_store_that_keeps_writers_apart_passes(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(probe, "ROUNDS", 8)
    check = store.registry().check()
    assert check.passed
    assert check.winners == (1,) * 8
    assert check.reason == ""
    if not store.options:
        assert [path.name for path in Path(store.url).iterdir()] == ["registry.json"]


def test_a_store_is_tried_once_before_the_first_write(registry: Registry, monkeypatch) -> None:
    tried = []
    real = probe.probe
    monkeypatch.setattr(probe, "probe", lambda *a, **o: (tried.append(1), real(*a, **o))[1])
    fill(registry, 3)
    registry.promote(3, reason="r")
    assert tried == [1]


def test_swift_is_refused_until_a_single_writer_is_declared(
    swift: SwiftServer, monkeypatch
) -> None:
    monkeypatch.setattr(probe, "ROUNDS", 8)
    store = Store(f"{swift.create_bucket()}/models", swift.storage_options)
    registry = store.registry()
    with pytest.raises(StoreUnfit, match=r"does not keep writers apart.*--single-writer"):
        registry.publish(make_model(), run_id="a")
    assert registry.versions() == []
    check = probe.last_check(registry._place)
    assert check is not None
    assert not check.passed
    assert check.second_refused
    assert max(check.winners) > 1
    # it is still refused, by what was found then
    with pytest.raises(StoreUnfit, match="were told that they had won"):
        store.registry().publish(make_model(), run_id="a")

    monkeypatch.setattr(probe, "ROUNDS", 1)
    assert registry.check(single_writer=True).is_single_writer
    # trying again does not take it back
    assert registry.check().is_single_writer
    fill(registry, 2)
    registry.promote(1, reason="r")
    registry.promote(2, reason="r")
    registry.rollback(reason="r")
    assert is_of_seed(store.registry().load("champion"), 1)
    assert registry.publish(make_model(seed=2), run_id="run 2") == 2


def test_a_store_that_ignores_conditions_is_refused(registry: Registry, monkeypatch) -> None:
    from dkmeans.storage.atomic import write_bytes

    def put(url: str, data: bytes, options: str = "", *, is_alone: bool = False) -> bytes:
        write_bytes(url, data, options)
        return data

    monkeypatch.setattr(probe, "put_if_absent", put)
    check = registry.check()
    assert (check.passed, check.second_refused, check.winners) == (False, False, ())
    with pytest.raises(StoreUnfit, match="does not refuse to create what is there already"):
        registry.publish(make_model(), run_id="a")
