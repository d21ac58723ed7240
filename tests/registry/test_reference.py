"""`URL@champion` and `URL@17`: what is a reference, and what only looks like one."""

from pathlib import Path

import pytest

from dkmeans.errors import MissingInput
from dkmeans.registry.reference import Located, Reference, load, locate, parse
from dkmeans.registry.registry import Registry
from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import fill, is_of_seed


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("models@champion", "models", "champion"),
        ("models@17", "models", 17),
        ("./a/models@v1.2_x-y", "./a/models", "v1.2_x-y"),
        ("/a/models/@champion", "/a/models", "champion"),
        ("/home/ann@work/models@champion", "/home/ann@work/models", "champion"),
        ("a@b@3", "a@b", 3),
        ("models@007", "models", "007"),
        ("s3://lake/models@champion", "s3://lake/models", "champion"),
        ("s3://lake/models@17", "s3://lake/models", 17),
        ("s3://lake@champion", "s3://lake", "champion"),
        ("gs://lake@3", "gs://lake", 3),
        ("s3://key:secret@host/models@champion", "s3://key:secret@host/models", "champion"),
        ("sftp://ann@host/models@2", "sftp://ann@host/models", 2),
        ("sftp://ann@host/@2", "sftp://ann@host", 2),
        ("http://host:9000/models@2", "http://host:9000/models", 2),
        ("http://[::1]:9000/models@2", "http://[::1]:9000/models", 2),
        ("abfs://box@account.dfs.core.windows.net/m@2",
         "abfs://box@account.dfs.core.windows.net/m", 2),
        ("simplecache::s3://lake/models@2", "simplecache::s3://lake/models", 2),
    ],
)  # fmt: skip
def test_what_follows_the_last_at_names_a_version(text: str, url: str, name) -> None:
    assert parse(text) == Reference(url, name)


@pytest.mark.parametrize(
    "text",
    [
        "models",
        "/home/ann@work/models",
        "/home/ann@work/",
        "models@champion/",
        "memory://models@2",
        "@champion",
        "/@champion",
        "models@",
        "models@a b",
        "models@.",
        "models@..",
        "models@" + "a" * 65,
        "models@ä",
        "s3://key:secret@host",
        "s3://key:secret@host/models",
        "s3://key:sec/ret@bucket",
        "s3://@champion",
        "ftp://ann@host",
        "ftp://ann:password@host/models",
        "abfs://box@account.dfs.core.windows.net/models",
        "abfs://box@account.dfs.core.windows.net",
        "http://host/models?user=ann@home",
        "",
        "@",
    ],
)
def test_other_ats_name_nothing(text: str) -> None:
    assert parse(text) == Reference(text, None)


def test_references_lead_to_the_model_of_the_version(store: Store) -> None:
    registry = store.registry()
    fill(registry, 2)
    registry.promote(1, reason="r")
    found = locate(f"{store.url}@champion", store.options)
    assert (found.version, found.registry) == (1, store.url)
    assert found == locate(f"{store.url}@1", store.options)
    assert is_of_seed(load(found.url, store.options), 1)
    for name, seed in (("champion", 1), ("1", 1), ("2", 2)):
        assert is_of_seed(load(f"{store.url}@{name}", store.options), seed)


def test_a_registry_may_be_all_of_a_bucket(bucket: str, s3: dict) -> None:
    registry = Registry(bucket, s3)
    fill(registry, 1)
    registry.promote(1, reason="r")
    assert is_of_seed(load(f"{bucket}@champion", s3), 1)
    with pytest.raises(MissingInput, match="no alias 'other'"):
        load(f"{bucket}@other", s3)


def test_a_model_whose_folder_looks_like_a_reference_is_still_found(store: Store) -> None:
    place = f"{store.url}/team@work"
    make_model(seed=5).save(place, storage_options=store.options)
    assert locate(place, store.options) == Located(place)
    assert is_of_seed(load(place, store.options), 5)
    # a registry beside it is meant by the same words; a slash tells them apart
    registry = Registry(f"{store.url}/team", store.options)
    fill(registry, 1)
    registry.move("work", 1, reason="r")
    assert is_of_seed(load(place, store.options), 1)
    assert is_of_seed(load(f"{place}/", store.options), 5)


def test_a_relative_folder_may_look_like_a_reference(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_model(seed=5).save("team@work")
    assert is_of_seed(load("team@work"), 5)


def test_what_is_nowhere_is_told_as_a_reference(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"no registry at .*/models; check the path"):
        load(f"{tmp_path}/models@champion")
    fill(Registry(f"{tmp_path}/models"), 1)
    with pytest.raises(MissingInput, match="no version 7; its last one is 1"):
        load(f"{tmp_path}/models@7")
