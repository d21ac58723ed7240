"""What is served follows its alias; whatever goes wrong on the way leaves the old one serving."""

import dataclasses
import json
import logging
import math
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dkmeans.errors import ArgumentError, MissingInput, ModelRefused, StoreUnreachable
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.model import Model
from dkmeans.registry import probe
from dkmeans.registry.registry import Registry
from dkmeans.service import following
from dkmeans.service.following import FollowedModel
from dkmeans.service.trial import try_out
from tests.conftest import wait_until
from tests.fault_proxy import FaultProxy
from tests.models.test_model import make_model
from tests.registry.helpers import fill, is_of_seed

EVERY = 0.02


@pytest.fixture(autouse=True)
def stores_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(probe, "ROUNDS", 2)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Versions 1 to 3, of which the champion is the first."""
    registry = Registry(str(tmp_path / "registry"))
    fill(registry, 3)
    registry.promote(1, reason="r")
    return registry


@pytest.fixture
def followed(registry: Registry, tmp_path: Path) -> Iterator[FollowedModel]:
    with FollowedModel(f"{tmp_path}/registry@champion", every=EVERY) as followed:
        yield followed


def parts_of(tmp_path: Path, version: int) -> list[Path]:
    record = json.loads((tmp_path / f"registry/versions/{version:06d}.json").read_text())
    return sorted((tmp_path / "registry/models" / record["folder"]).glob("*.npy"))


def damage(tmp_path: Path, version: int) -> bytes:
    """Turn a byte of a part of a version around, and return what it was before."""
    path = parts_of(tmp_path, version)[0]
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 255]))
    return before


def is_served(followed: FollowedModel, version: int) -> bool:
    return followed.served is not None and followed.served.version == version


def test_it_follows_the_alias_forth_and_back(followed, registry, tmp_path) -> None:
    first = followed.served
    assert (first.version, first.name) == (1, f"{tmp_path}/registry@champion")
    assert first.registry == f"{tmp_path}/registry"
    assert is_of_seed(first.model, 1)
    assert first.loaded_at == pytest.approx(time.time(), abs=60)
    registry.promote(2, reason="r")
    wait_until(lambda: is_served(followed, 2), seconds=10)
    registry.promote(3, reason="r")
    wait_until(lambda: is_served(followed, 3), seconds=10)
    registry.rollback(reason="r")
    wait_until(lambda: is_served(followed, 2), seconds=10)
    assert is_of_seed(followed.served.model, 2)
    assert (followed.n_swaps, followed.problem, followed.n_failures) == (3, None, 0)
    # whoever began on the first one ends on it
    assert is_of_seed(first.model, 1)


def test_a_move_to_where_it_points_already_is_no_swap(followed, registry) -> None:
    registry.promote(1, reason="again")
    n_looks = followed.n_looks
    wait_until(lambda: followed.n_looks > n_looks + 3, seconds=10)
    assert followed.n_swaps == 0


def test_moves_that_came_together_lead_to_the_last_one(followed, registry) -> None:
    for version in (2, 3, 2, 3):
        registry.promote(version, reason="r")
    wait_until(lambda: is_served(followed, 3), seconds=10)


def test_a_version_is_never_looked_for_again(registry, tmp_path) -> None:
    with FollowedModel(f"{tmp_path}/registry@2", every=EVERY) as followed:
        assert followed.served.version == 2
        registry.promote(3, reason="r")
        time.sleep(0.1)
        assert (followed.n_looks, followed.served.version) == (0, 2)
    assert not [one for one in threading.enumerate() if one.name == "dkmeans-follow"]


@pytest.mark.parametrize("what", ["part", "missing part", "newer format", "not whole"])
def test_a_damaged_champion_leaves_the_old_one_serving(
    followed, registry, tmp_path, caplog, what
) -> None:
    before = followed.served
    path = parts_of(tmp_path, 3)[0]
    whole = path.read_bytes()
    # a promotion looks at all files, so it is damaged after it was promoted
    hold = threading.Event()
    load = followed._source.load
    followed._source.load = lambda target: (hold.wait(10), load(target))[1]
    with caplog.at_level(logging.INFO, "dkmeans.service"):
        registry.promote(3, reason="r")
        index = path.with_name("model.json")
        saved = index.read_bytes()
        if what == "part":
            damage(tmp_path, 3)
        elif what == "missing part":
            path.unlink()
        elif what == "newer format":
            index.write_bytes(saved.replace(b'"format": 3', b'"format": 9'))
        else:
            path.write_bytes(whole[:100])
        hold.set()
        wait_until(lambda: followed.n_failures > 2, seconds=20)
        assert followed.served is before
        assert "version 3 cannot be served" in followed.problem
        assert [one for one in caplog.messages if "cannot be served" in one] == [
            f"{followed.problem} The model before goes on serving."
        ]
        # put right, it is served without anybody's doing
        path.write_bytes(whole)
        index.write_bytes(saved)
        wait_until(lambda: is_served(followed, 3), seconds=30)
        wait_until(lambda: followed.problem is None, seconds=10)


def test_a_champion_that_is_whole_and_cannot_answer_is_not_served(followed, registry) -> None:
    whole = make_model(dtype="float32", scale=None)
    centers = whole.scaled_centers.copy()
    # the files hold what the dtype of rows does not
    centers[2] = 1e39
    bad = dataclasses.replace(whole, scaled_centers=centers)
    before = followed.served
    registry.promote(registry.publish(bad, run_id="bad"), reason="r")
    wait_until(lambda: followed.problem is not None, seconds=10)
    assert "cannot assign its own centers" in followed.problem
    assert followed.served is before


def test_a_bad_one_is_tried_at_growing_intervals_while_moves_are_seen_at_once(
    followed, registry, tmp_path, monkeypatch
) -> None:
    times: list[float] = []

    def load(target: object) -> Model:
        times.append(time.monotonic())
        raise ModelRefused("it is bad.")

    real = followed._source.load
    monkeypatch.setattr(followed._source, "load", load)
    registry.promote(3, reason="r")
    wait_until(lambda: len(times) == 5, seconds=30)
    apart = np.diff(times)
    assert (apart > EVERY * 2.0 ** np.arange(1, 5) * 0.75).all()
    monkeypatch.setattr(followed._source, "load", real)
    # a rollback to what is served needs no loading, another move no waiting
    registry.promote(1, reason="r")
    wait_until(lambda: followed.problem is None, seconds=5)
    assert followed.n_swaps == 0


def test_a_registry_that_goes_away_is_a_problem_until_it_is_back(
    followed, registry, tmp_path
) -> None:
    shutil.move(tmp_path / "registry", tmp_path / "elsewhere")
    wait_until(lambda: followed.problem is not None, seconds=20)
    assert "no registry at" in followed.problem
    assert is_served(followed, 1)
    shutil.move(tmp_path / "elsewhere", tmp_path / "registry")
    wait_until(lambda: followed.problem is None, seconds=20)
    registry.promote(2, reason="r")
    wait_until(lambda: is_served(followed, 2), seconds=10)


def test_a_damaged_move_is_a_problem_until_the_next_one(followed, registry, tmp_path) -> None:
    move = tmp_path / "registry/aliases/champion/000002.json"
    move.write_text("{")
    wait_until(lambda: followed.problem is not None, seconds=10)
    assert is_served(followed, 1)
    move.unlink()
    registry.promote(2, reason="r")
    wait_until(lambda: is_served(followed, 2) and followed.problem is None, seconds=10)


def test_a_folder_that_is_overwritten_is_followed(tmp_path) -> None:
    url = str(tmp_path / "model")
    make_model(seed=1).save(url)
    with FollowedModel(url, every=EVERY) as followed:
        assert (followed.served.version, followed.served.registry) == (None, None)
        os.utime(tmp_path / "model/model.json", (1, 1))
        n_looks = followed.n_looks
        wait_until(lambda: followed.n_looks > n_looks + 3, seconds=10)
        assert followed.n_swaps == 0
        make_model(seed=2).save(url, overwrite=True)
        wait_until(lambda: is_of_seed(followed.served.model, 2), seconds=10)
        assert followed.n_swaps == 1
        (tmp_path / "model/model.json").write_text("{}")
        wait_until(lambda: followed.problem is not None, seconds=10)
        assert is_of_seed(followed.served.model, 2)


def test_nothing_is_served_where_nothing_is(registry, tmp_path) -> None:
    for reference in (f"{tmp_path}/none", f"{tmp_path}/registry@nobody", f"{tmp_path}/registry@9"):
        followed = FollowedModel(reference)
        with pytest.raises(MissingInput):
            followed.start()
        assert followed.served is None
        assert followed.served is None
    damage(tmp_path, 1)
    with pytest.raises(ModelRefused):
        FollowedModel(f"{tmp_path}/registry@champion").start()


def test_other_columns_are_served_and_said(followed, registry, caplog) -> None:
    other = make_model(seed=9, names=("a", "b", "other"))
    version = registry.publish(other, run_id="other")
    with caplog.at_level(logging.WARNING, "dkmeans.service"):
        registry.promote(version, reason="r")
        wait_until(lambda: is_served(followed, version), seconds=10)
    assert ["has other columns" in one for one in caplog.messages] == [True]


def test_a_look_that_hangs_is_a_problem_and_keeps_nobody_from_stopping(
    followed, monkeypatch
) -> None:
    monkeypatch.setattr(following, "_STALLED_SECONDS", 0.1)
    monkeypatch.setattr(following, "_STOP_SECONDS", 0.1)
    hangs = threading.Event()
    monkeypatch.setattr(followed._source, "look", lambda **_: hangs.wait(20))
    wait_until(lambda: followed.problem is not None, seconds=5)
    assert "has not answered" in followed.problem
    began = time.monotonic()
    followed.stop()
    assert time.monotonic() - began < 5
    hangs.set()
    followed._thread.join(5)


class TestOnS3:
    @pytest.fixture
    def behind(self, bucket: str, s3: dict) -> Iterator[tuple[FaultProxy, Registry, FollowedModel]]:
        """A proxy before the server, the registry as others see it, and a model that follows."""
        url = f"{bucket}/registry"
        registry = Registry(url, s3)
        fill(registry, 2)
        registry.promote(1, reason="r")
        with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
            options = {**proxy.options(s3), "dkmeans": {"retry_seconds": 0.2}}
            followed = FollowedModel(f"{url}@champion", options, every=EVERY)
            followed.start()
            yield proxy, registry, followed
            proxy.clear()
            followed.stop()

    def test_a_look_is_one_small_request(self, behind) -> None:
        proxy, registry, followed = behind
        proxy.forget()
        began = followed.n_looks
        wait_until(lambda: followed.n_looks >= began + 30, seconds=30)
        seen, n_looks = list(proxy.requests), followed.n_looks - began
        gets = [one for one in seen if "aliases/champion/000002.json" in one.path]
        # one look in twelve lists the moves, and reads the last one
        others = [one for one in seen if one not in gets]
        assert len(gets) == pytest.approx(n_looks, abs=2)
        assert len(others) == pytest.approx(2 * n_looks / 12, abs=3)
        assert proxy.bytes_sent < 1000 * len(seen)
        registry.promote(2, reason="r")
        wait_until(lambda: is_served(followed, 2), seconds=10)

    def test_a_store_that_is_away_for_a_while_is_a_problem_for_as_long(self, behind) -> None:
        proxy, registry, followed = behind
        for fault in ("slow_down", "reset", "access_denied"):
            proxy.fail(fault)
            wait_until(lambda: followed.problem is not None, seconds=20)
            assert "cannot be followed" in followed.problem
            assert "test-secret-canary" not in followed.problem
            assert followed.served is not None
            proxy.clear()
            wait_until(lambda: followed.problem is None, seconds=20)
        registry.promote(2, reason="r")
        wait_until(lambda: is_served(followed, 2), seconds=10)

    def test_an_outage_does_not_make_it_ask_in_a_tight_loop(self, behind) -> None:
        proxy, _, followed = behind
        proxy.fail("access_denied")
        proxy.forget()
        wait_until(lambda: followed.n_failures >= 6, seconds=20)
        # waits double: without them it would have come to hundreds
        time.sleep(0.5)
        assert followed.n_failures <= 9

    def test_a_store_that_never_answers_ends_the_start(self, s3) -> None:
        with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
            proxy.fail("access_denied")
            with pytest.raises(StoreUnreachable):
                FollowedModel("s3://nobody/registry@champion", proxy.options(s3)).start()


class TestTrial:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("scale", [None, "standard", "normalize"])
    @pytest.mark.parametrize("k", [1, 2, 700])
    def test_whole_models_pass(self, dtype, scale, k) -> None:
        try_out(make_model(k=k, scale=scale, dtype=dtype))

    def test_centers_on_one_another_pass(self) -> None:
        model = make_model(k=6, dtype="float32")
        centers = model.scaled_centers[[0, 0, 1, 1, 2, 2]] + 1e-9 * np.arange(6)[:, None]
        try_out(dataclasses.replace(model, scaled_centers=centers))

    def test_centers_that_the_dtype_does_not_hold_are_refused(self) -> None:
        model = make_model(scale=None, dtype="float32")
        centers = model.scaled_centers.copy()
        centers[3] = 1e39
        with pytest.raises(ModelRefused, match="cannot assign its own centers"):
            try_out(dataclasses.replace(model, scaled_centers=centers))

    def test_wrong_answers_are_refused(self, monkeypatch) -> None:
        model = make_model()
        assign = Model.assign

        def wrongly(self: Model, X: object, **more: object) -> object:
            found = assign(self, X, **more)
            return dataclasses.replace(found, labels=(found.labels + 1) % 6)

        monkeypatch.setattr(Model, "assign", wrongly)
        with pytest.raises(ModelRefused, match="6 of 6 of its own centers wrongly"):
            try_out(model)

    def test_columns_of_lists_pass(self) -> None:
        try_out(make_model(columns=(FeatureColumn("a"), FeatureColumn("b", 2))))


def test_seconds_between_looks_are_a_number_above_0():
    for every in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ArgumentError, match=r"^every=.* above 0\.$"):
            FollowedModel("registry@champion", every=every)
