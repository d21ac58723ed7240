"""Naming clusters of a served model: a version, a move, and nothing else changes."""

import numpy as np
import pytest

from dkmeans.errors import AliasMoved, ArgumentError
from dkmeans.registry.naming import name_clusters
from dkmeans.registry.registry import Registry
from tests.cli.command import run
from tests.models.test_model import make_model, rows


@pytest.fixture
def served(registry):
    registry.publish(make_model(k=3), run_id="one")
    registry.promote(1, reason="the first one")
    return registry


def test_the_alias_moves_to_the_same_model_with_names(served):
    move = name_clusters(served, {1: "owls"}, {1: "#1f77b4"})
    assert (move.alias, move.previous, move.version) == ("champion", 1, 2)
    before, after = served.load(1), served.load("champion")
    assert (before.cluster_names, after.cluster_names) == ({}, {1: "owls"})
    assert after.cluster_colors == {1: "#1f77b4"}
    np.testing.assert_array_equal(after.predict(rows()), before.predict(rows()))
    assert served.version(2).parents == (1,)
    # a name taken away, and one more
    name_clusters(served, {1: None, 2: "larks"})
    assert served.load("champion").cluster_names == {2: "larks"}
    assert served.rollback(reason="a drill").version == 2


def test_made_again_it_publishes_nothing_more(served, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr(Registry, "move", killed)
        name_clusters(served, {1: "owls"})
    assert served.aliases() == {"champion": 1}
    assert name_clusters(served, {1: "owls"}).version == 2
    assert [one.number for one in served.versions()] == [1, 2]


def test_somebody_else_who_moves_the_alias_meanwhile_is_not_overruled(served, monkeypatch):
    publish = Registry.publish

    def slow(self, *arguments, **options):
        number = publish(self, *arguments, **options)
        other = publish(self, make_model(k=3), run_id="other")
        self.promote(other, reason="meanwhile")
        return number

    monkeypatch.setattr(Registry, "publish", slow)
    with pytest.raises(AliasMoved):
        name_clusters(served, {1: "owls"})
    assert served.resolve("champion") == 3


@pytest.mark.parametrize("names", [{}, {9: "nobody"}, {1: "two\nlines"}])
def test_what_cannot_be_named_publishes_nothing(served, names):
    with pytest.raises(ArgumentError):
        name_clusters(served, names)
    assert len(served.versions()) == 1


def test_on_the_command_line(served, tmp_path):
    url = tmp_path / "registry"
    done = run("models", "name", url, "1=night owls", "--color", "1=#1f77b4", "--json")
    assert done.code == 0, done.err
    assert done.json["version"] == 2
    shown = run("inspect", f"{url}@champion", "--json").json
    assert {one["cluster_id"]: one["name"] for one in shown["clusters"]}[1] == "night owls"
    for wrong in ("owls", "one=owls", "=owls"):
        assert run("models", "name", url, wrong).code == 2
    assert run("models", "name", url).code == 2
