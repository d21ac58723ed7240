"""Versions and aliases: published once, read whole, moved on the record."""

import numpy as np
import pytest

from dkmeans.errors import AliasMoved, ArgumentError, MissingInput, ModelRefused
from dkmeans.registry.registry import Registry
from tests.models.test_files import assert_equal
from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import fill, is_of_seed


def test_what_is_published_is_loaded_by_number_and_by_alias(store: Store) -> None:
    registry = store.registry()
    model = make_model(seed=3)
    number = registry.publish(
        model,
        run_id="nightly/2026-11-20",
        tags={"audited": "by Ann", "kept": ""},
        attachments={"job.yaml": b"task: train\n", "gate.json": b""},
        who="ann",
    )
    assert number == 1
    move = registry.promote(1, reason="the first one", who="bob")
    assert (move.version, move.previous, move.who, move.reason) == (1, None, "bob", "the first one")

    other = store.registry()
    for ref in (1, "1", "champion"):
        assert_equal(other.load(ref), model)
    version = other.version("champion")
    assert (version.number, version.run_id, version.who) == (1, "nightly/2026-11-20", "ann")
    assert version.tags == {"audited": "by Ann", "kept": ""}
    assert version.summary["n_clusters"] == 6
    assert version.summary["inertia_per_row"] == model.inertia / model.weights.sum()
    assert version.published is not None
    assert other.attachments(1) == ["gate.json", "job.yaml"]
    assert other.attachment("champion", "job.yaml") == b"task: train\n"
    assert other.attachment(1, "gate.json") == b""
    assert other.aliases() == {"champion": 1}
    assert [one.number for one in other.versions()] == [1]
    assert other.versions()[0] == version


def test_a_run_that_has_published_returns_its_version_whatever_came_since(store: Store) -> None:
    registry = store.registry()
    fill(registry, 3)
    assert store.registry().publish(make_model(seed=2), run_id="run 2") == 2
    # also with another model: the version does not change
    assert registry.publish(make_model(seed=9), run_id="run 2") == 2
    assert is_of_seed(registry.load(2), 2)
    assert len(registry.versions()) == 3
    assert registry.publish(make_model(seed=2), run_id="run 4") == 4


def test_models_on_the_store_are_plain_models_too(registry: Registry) -> None:
    from dkmeans import Model

    fill(registry, 1)
    assert is_of_seed(Model.load(registry.model_url(1)), 1)


def test_parents_are_kept_and_must_exist(registry: Registry) -> None:
    fill(registry, 2)
    assert registry.publish(make_model(), run_id="child", parents=[2, 1]) == 3
    assert registry.version(3).parents == (2, 1)
    with pytest.raises(MissingInput, match="no version 7; its last one is 3"):
        registry.publish(make_model(), run_id="orphan", parents=[7])


def test_every_move_keeps_who_when_and_why(store: Store) -> None:
    registry = store.registry()
    fill(registry, 3)
    for number, who in ((1, "ann"), (3, "bob"), (2, "ann")):
        registry.move("champion", number, reason=f"to {number}", who=who)
    moves = store.registry().moves("champion")
    assert [move.number for move in moves] == [1, 2, 3]
    assert [(move.previous, move.version) for move in moves] == [(None, 1), (1, 3), (3, 2)]
    assert [move.who for move in moves] == ["ann", "bob", "ann"]
    assert [move.reason for move in moves] == ["to 1", "to 3", "to 2"]
    assert all(move.moved is not None and move.written for move in moves)
    assert registry.moves("challenger") == []


def test_the_last_move_is_found_from_any_that_is_known(store: Store) -> None:
    registry = store.registry()
    fill(registry, 3)
    assert registry.last_move("champion") is None
    known = [registry.promote(version, reason="r") for version in (1, 2, 3)]
    assert registry.last_move("champion").number == 3
    for move in known[:2]:
        later = registry.last_move("champion", after=move)
        assert (later.number, later.version) == (3, 3)
    assert registry.last_move("champion", after=known[2]) is None
    with pytest.raises(ArgumentError):
        registry.last_move("not/a name")


def test_rolling_back_twice_goes_further_back(registry: Registry) -> None:
    fill(registry, 4)
    for number in (1, 2, 3):
        registry.promote(number, reason="better")
    assert registry.rollback(reason="it fails").version == 2
    assert registry.rollback(reason="that one, too").version == 1
    assert registry.resolve("champion") == 1
    with pytest.raises(ArgumentError, match="pointed to nothing before version 1"):
        registry.rollback(reason="more")
    registry.promote(4, reason="mended")
    # not to 2 or 3, which were left because they failed
    back = registry.rollback(reason="not mended")
    assert (back.version, back.previous, back.is_rollback) == (1, 4, True)
    assert [move.version for move in registry.moves("champion")] == [1, 2, 3, 2, 1, 4, 1]


def test_moving_to_where_it_points_changes_nothing_for_rollbacks(registry: Registry) -> None:
    fill(registry, 2)
    for number in (1, 2, 2):
        registry.promote(number, reason="again")
    assert registry.rollback(reason="back").version == 1


def test_an_alias_is_moved_only_from_where_it_is_expected(registry: Registry) -> None:
    fill(registry, 3)
    with pytest.raises(AliasMoved, match="does not exist"):
        registry.promote(1, reason="r", expected=2)
    registry.promote(1, reason="r", expected=None)
    with pytest.raises(AliasMoved, match=r"points to version 1 and .* did not exist"):
        registry.promote(2, reason="r", expected=None)
    with pytest.raises(AliasMoved, match=r"points to version 1 and .* pointed to version 3"):
        registry.promote(2, reason="r", expected=3)
    assert registry.promote(2, reason="r", expected=1).previous == 1
    assert len(registry.moves("champion")) == 2


def test_an_alias_may_follow_another(registry: Registry) -> None:
    fill(registry, 2)
    registry.move("challenger", 2, reason="new")
    assert registry.promote("challenger", reason="it won").version == 2
    assert registry.aliases() == {"challenger": 2, "champion": 2}


def test_tags_are_set_replaced_and_taken_away(store: Store) -> None:
    registry = store.registry()
    registry.publish(make_model(), run_id="a", tags=["old", "v1.0"])
    registry.publish(make_model(), run_id="b")
    registry.tag(1, "old", "very")
    registry.tag(1, "new")
    registry.untag(1, "v1.0")
    registry.untag(1, "never")
    registry.tag(2, "old", "no")
    expected = [{"new": "", "old": "very"}, {"old": "no"}]
    assert [version.tags for version in registry.versions()] == expected
    assert [registry.version(number).tags for number in (1, 2)] == expected


def test_what_is_not_there_is_told_with_what_is(registry: Registry) -> None:
    for ref in (1, "champion"):
        with pytest.raises(MissingInput, match="no registry at"):
            registry.load(ref)
    assert registry.versions() == []
    assert registry.aliases() == {}
    with pytest.raises(MissingInput, match="no registry at"):
        registry.gc()
    fill(registry, 1)
    with pytest.raises(MissingInput, match="it has none yet"):
        registry.load("champion")
    registry.promote(1, reason="r")
    with pytest.raises(MissingInput, match="no alias 'prod'; it has champion"):
        registry.load("prod")
    for number in (0, -1, 2, 10**20):
        with pytest.raises(MissingInput, match=f"no version {number}; its last one is 1"):
            registry.load(number)
    with pytest.raises(MissingInput, match="no version 2"):
        registry.promote(2, reason="r")
    with pytest.raises(MissingInput, match="no attachment 'x'"):
        registry.attachment(1, "x")
    with pytest.raises(MissingInput, match="no alias 'prod'"):
        registry.rollback(alias="prod", reason="r")
    with pytest.raises(ArgumentError, match="the reason is empty"):
        registry.promote(1, reason=" ")
    assert len(registry.moves("champion")) == 1


def test_a_damaged_version_is_not_promoted(registry: Registry, tmp_path) -> None:
    fill(registry, 2)
    registry.promote(1, reason="r")
    folder = tmp_path / "registry" / "models" / registry.version(2).folder
    part = next(folder.glob("weights-*"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelRefused, match=f"version 2 of .* {part.name} has changed"):
        registry.promote(2, reason="r")
    assert registry.resolve("champion") == 1


def test_more_than_an_index_page_of_versions_is_listed_in_order(registry: Registry) -> None:
    fill(registry, 12)
    assert [version.number for version in registry.versions()] == list(range(1, 13))
    assert [version.run_id for version in registry.versions()][9:] == ["run 10", "run 11", "run 12"]
    np.testing.assert_array_equal(registry.load(12).cluster_ids, np.arange(6))


def test_what_a_registry_shows_of_itself_holds_no_secret() -> None:
    registry = Registry("s3://key:canary@bucket/models", {"secret": "canary"})
    assert "canary" not in repr(registry)
