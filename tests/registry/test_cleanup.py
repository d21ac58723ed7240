"""What is cleaned up: what nothing needs and is old, by the store's clock."""

import os
import time
from pathlib import Path

import pytest

from dkmeans.errors import ArgumentError, MissingInput, ModelRefused
from dkmeans.registry import cleanup, moves, publish
from dkmeans.registry.registry import Registry
from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import fill, is_of_seed

DAY = 86400


def age(folder: Path, days: float) -> None:
    """Have all files of a folder be written some days earlier."""
    for path in folder.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - days * DAY
            os.utime(path, (then, then))


@pytest.fixture
def old(registry: Registry, tmp_path: Path) -> Registry:
    """Eight versions, 40 days old. Aliases have led from 1 over 3 and 5 to 6; 2 has a tag."""
    fill(registry, 8)
    for number in (1, 3, 5, 6):
        registry.promote(number, reason="r")
    registry.tag(2, "audited")
    registry.move("challenger", 7, reason="r")
    age(tmp_path / "registry", 40)
    return registry


def test_what_aliases_rollbacks_and_tags_need_stays(old: Registry) -> None:
    assert old.gc(keep=0, dry_run=True).versions == (1, 3, 4, 5, 8)
    assert old.gc(keep=1, dry_run=True).versions == (1, 3, 4, 8)
    assert old.gc(keep=2, dry_run=True).versions == (1, 4, 8)
    assert old.gc(dry_run=True).versions == (4, 8)
    assert old.gc(older_than_days=41, keep=0).versions == ()
    assert all(is_of_seed(old.load(number), number) for number in range(1, 9))

    planned = old.gc(keep=2, dry_run=True)
    removed = old.gc(keep=2)
    assert removed.versions == planned.versions == (1, 4, 8)
    assert removed.n_bytes == planned.n_bytes > 1000
    assert old.gc(keep=2).versions == ()
    for number in (2, 3, 5, 6, 7):
        assert is_of_seed(old.load(number), number)
    for number in (1, 4, 8):
        with pytest.raises(MissingInput, match=f"version {number} of .* are gone: .*removed them"):
            old.load(number)
        with pytest.raises(MissingInput, match="are gone"):
            old.promote(number, reason="r")
    with pytest.raises(MissingInput, match="are gone"):
        old.tag(1, "late")


def test_numbers_and_runs_are_never_used_again(old: Registry) -> None:
    old.gc(keep=0)
    assert [one.number for one in old.versions()] == list(range(1, 9))
    assert [one.number for one in old.versions() if one.is_removed] == [1, 3, 4, 5, 8]
    assert old.version(8).is_removed
    assert old.publish(make_model(seed=8), run_id="run 8") == 8
    assert old.publish(make_model(seed=9), run_id="run 9") == 9
    with pytest.raises(MissingInput, match=r"version 5 of .* are gone"):
        old.rollback(reason="r")


def test_what_unfinished_publishings_left_goes_when_it_is_old(
    old: Registry, tmp_path: Path, monkeypatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publish, "_claim", stop)
        for run in ("cut long ago", "cut now"):
            with pytest.raises(KeyboardInterrupt):
                old.publish(make_model(seed=20), run_id=run)
    models = tmp_path / "registry" / "models"
    for left in models.glob("cut-long-ago-*"):
        age(left, 40)
    part = tmp_path / "registry" / "versions" / f".000009.json.{'0' * 32}.part"
    part.write_bytes(b"half")
    age(part.parent, 40)
    removed = old.gc(keep=100)
    assert [name.partition("-")[0] for name in removed.unfinished] == [
        "models/cut", f"versions/.000009.json.{'0' * 32}.part"
    ]  # fmt: skip
    assert not part.exists()
    assert [path.name[:7] for path in models.glob("cut-*")] == ["cut-now"]
    # and goes on
    assert old.publish(make_model(seed=20), run_id="cut now") == 9
    assert old.publish(make_model(seed=20), run_id="cut long ago") == 10
    assert is_of_seed(old.load(10), 20)


def test_a_version_that_an_alias_comes_to_need_meanwhile_stays(old: Registry, monkeypatch) -> None:
    real = cleanup.write_bytes

    def write(url: str, data: bytes, options: str) -> None:
        if "removed/000004" in url and not old.moves("late"):
            old.move("late", 4, reason="just now")
        real(url, data, options)

    monkeypatch.setattr(cleanup, "write_bytes", write)
    assert old.gc(keep=0).versions == (1, 3, 5, 8)
    assert is_of_seed(old.load("late"), 4)
    assert not old.version(4).is_removed


def test_an_alias_that_comes_too_late_moves_back(old: Registry, monkeypatch) -> None:
    real = moves.append

    def after_the_cleanup(*arguments, **options):
        monkeypatch.setattr(moves, "append", real)
        assert 4 in old.gc(keep=100).versions
        return real(*arguments, **options)

    monkeypatch.setattr(moves, "append", after_the_cleanup)
    with pytest.raises(MissingInput, match="were being removed"):
        old.promote(4, reason="r")
    assert is_of_seed(old.load("champion"), 6)


def test_a_cleanup_that_was_cut_short_is_finished_by_the_next(
    old: Registry, tmp_path: Path, monkeypatch
) -> None:
    real = cleanup.remove

    def stop(url: str, options: str) -> None:
        if "/models/" in url:
            raise KeyboardInterrupt
        real(url, options)

    with monkeypatch.context() as patch:
        patch.setattr(cleanup, "remove", stop)
        with pytest.raises(KeyboardInterrupt):
            old.gc(keep=100)
    folder = tmp_path / "registry" / "models" / old.version(4).folder
    assert folder.exists()
    age(tmp_path / "registry" / "removed", 40)
    assert f"models/{folder.name}" in old.gc(keep=100).unfinished
    assert not folder.exists()


def test_nothing_goes_while_a_record_is_damaged(old: Registry, tmp_path: Path) -> None:
    (tmp_path / "registry" / "versions" / "000003.json").write_text("{}")
    with pytest.raises(ModelRefused, match=r"000003\.json"):
        old.gc(keep=0)
    assert is_of_seed(old.load(4), 4)


def test_a_dry_run_leaves_everything_as_it_was(old: Registry, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    before = files()
    assert old.gc(keep=0, dry_run=True).versions
    assert files() == before


@pytest.mark.parametrize("wrong", [{"keep": -1}, {"older_than_days": -1.0},
                                   {"older_than_days": float("nan")},
                                   {"older_than_days": float("inf")}])  # fmt: skip
def test_impossible_ages_are_refused(old: Registry, wrong: dict) -> None:
    with pytest.raises(ArgumentError, match="should be from 0"):
        old.gc(**wrong)


def test_every_store_is_cleaned_up_by_its_own_clock(store: Store) -> None:
    registry = store.registry()
    fill(registry, 3)
    registry.promote(3, reason="r")
    # S3 tells times in seconds
    time.sleep(1.1)
    assert registry.gc(older_than_days=0.01, keep=0).versions == ()
    assert registry.gc(older_than_days=0, keep=0).versions == (1, 2)
    assert is_of_seed(registry.load("champion"), 3)
    with pytest.raises(MissingInput, match="are gone"):
        registry.load(1)
