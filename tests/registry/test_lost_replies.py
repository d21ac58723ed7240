"""Stores that lose replies, fail for a while, or know no conditions: each write is made once."""

from collections.abc import Iterator

import pytest

from dkmeans.errors import StoreUnfit, StoreUnreachable
from dkmeans.registry.registry import Registry
from tests.fault_proxy import FaultProxy
from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import fill, is_of_seed


@pytest.fixture
def proxied(bucket: str, s3: dict) -> Iterator[tuple[FaultProxy, Store]]:
    """A registry that is reached through a proxy; its store has been tried."""
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        store = Store(f"{bucket}/registry", proxy.options(s3))
        assert store.registry().check().passed
        yield proxy, store


@pytest.mark.parametrize("path", ["versions/", "aliases/", "runs/", "models/", ""])
def test_a_write_whose_reply_was_lost_is_made_once(proxied, path: str) -> None:
    proxy, store = proxied
    registry = store.registry()
    rule = proxy.fail("drop_reply", method="PUT", path=f"registry/{path}", times=2)
    fill(registry, 2)
    registry.promote(1, reason="r")
    registry.promote(2, reason="r", expected=1)
    assert rule.hits == 2
    assert [one.run_id for one in registry.versions()] == ["run 1", "run 2"]
    assert [move.version for move in registry.moves("champion")] == [1, 2]
    assert is_of_seed(registry.load("champion"), 2)


@pytest.mark.parametrize("fault", ["conflict", "slow_down", "internal_error", "reset"])
def test_a_claim_that_fails_for_now_is_made_again(proxied, fault: str) -> None:
    proxy, store = proxied
    rule = proxy.fail(fault, method="PUT", path="versions/|aliases/", times=2)
    registry = store.registry()
    fill(registry, 1)
    registry.promote(1, reason="r")
    assert rule.hits == 2
    assert len(registry.versions()) == len(registry.moves("champion")) == 1


def test_a_run_that_never_learned_of_its_success_finds_its_version(proxied) -> None:
    proxy, store = proxied
    impatient = Store(store.url, {**store.options, "dkmeans": {"retry_seconds": 0}})
    for number in (1, 2):
        proxy.fail("drop_reply", method="PUT", path="versions/")
        with pytest.raises(StoreUnreachable):
            impatient.registry().publish(make_model(seed=number), run_id=f"run {number}")
        proxy.clear()
    assert store.registry().publish(make_model(seed=1), run_id="run 1") == 1
    assert store.registry().publish(make_model(seed=2), run_id="run 2") == 2
    assert len(store.registry().versions()) == 2


def test_a_store_that_knows_no_conditions_is_refused_with_the_remedy(proxied, bucket: str) -> None:
    proxy, store = proxied
    # plain writes carry no condition, and go through
    proxy.wanted = lambda method, path, headers: (
        "not_implemented" if "if-none-match" in headers else None
    )
    other = Store(f"{bucket}/other", store.options).registry()
    check = other.check()
    assert (check.passed, check.second_refused) == (False, False)
    with pytest.raises(StoreUnfit, match="--single-writer"):
        other.publish(make_model(), run_id="a")
    other.check(single_writer=True)
    fill(other, 2)
    assert is_of_seed(other.load(2), 2)


def test_an_outage_is_not_taken_for_an_unfit_store(bucket: str, s3: dict) -> None:
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        options = {**proxy.options(s3), "dkmeans": {"retry_seconds": 0}}
        registry = Registry(f"{bucket}/registry", options)
        proxy.fail("internal_error", method="PUT")
        with pytest.raises(StoreUnreachable):
            registry.check()
        proxy.clear()
        fill(registry, 1)
        assert registry.check().passed
