"""The clock of a publisher may be a day ahead or back: nothing is ordered or removed by it."""

import time
from datetime import UTC, datetime

import pytest

from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import is_of_seed


@pytest.mark.parametrize("first", [+1, -1])
def test_the_clock_of_a_publisher_orders_nothing(store: Store, monkeypatch, first: int) -> None:
    real, registry = time.time, store.registry()
    for number, days in ((1, 0), (2, first), (3, -first)):
        monkeypatch.setattr(time, "time", lambda days=days: real() + 86400 * days)
        assert registry.publish(make_model(seed=number), run_id=f"run {number}") == number
        registry.promote(number, reason=f"day {days}")
    monkeypatch.undo()

    written = [one.written for one in registry.versions()]
    assert sorted(written) != written
    assert [one.run_id for one in registry.versions()] == ["run 1", "run 2", "run 3"]
    assert registry.resolve("champion") == 3
    assert [move.version for move in registry.moves("champion")] == [1, 2, 3]
    assert registry.rollback(reason="r").version == 2
    for one in (*registry.versions(), registry.version(2)):
        assert abs((datetime.now(UTC) - one.published).total_seconds()) < 120

    # nor is anything a day older because the clock of who cleans up says so
    registry.promote(3, reason="r")
    monkeypatch.setattr(time, "time", lambda: real() + 86400)
    assert registry.gc(older_than_days=0.5, keep=0).versions == ()
    assert is_of_seed(registry.load(1), 1)
