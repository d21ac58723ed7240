"""Small files on any store."""

import fsspec
import pytest
from botocore.exceptions import ClientError

from dkmeans.errors import ArgumentError, MissingInput
from dkmeans.storage.filesystem import remember
from dkmeans.storage.objects import exists, names_at, read_bytes, remove, size_of


@pytest.fixture(params=["local", "memory", "s3"])
def place(request, tmp_path):
    """A URL, the reference of its options, and a function that puts content below it."""
    options = {}
    if request.param == "local":
        url, fs = str(tmp_path / "root"), fsspec.filesystem("file")
    elif request.param == "memory":
        url, fs = f"memory://{tmp_path.name}", fsspec.filesystem("memory")
    else:
        options, url = request.getfixturevalue("s3"), request.getfixturevalue("bucket") + "/root"
        # another instance than the one under test, whose listings are cached
        fs = fsspec.filesystem("s3", **options, use_listings_cache=False)

    def put(**contents):
        for name, content in contents.items():
            path = fs._strip_protocol(f"{url}/{name.replace('__', '/')}")
            if request.param == "local":
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            fs.pipe_file(path, content)

    return url, remember(options), put


def test_files_are_read_measured_and_seen(place):
    url, options, put = place
    put(a=b"content", d__b=b"", d__c=b"xyz")
    assert read_bytes(f"{url}/a", options) == b"content"
    assert read_bytes(f"{url}/d/b", options) == b""
    assert (size_of(f"{url}/a", options), size_of(f"{url}/d/b", options)) == (7, 0)
    assert exists(f"{url}/a", options)
    assert exists(f"{url}/d", options)
    assert not exists(f"{url}/b", options)


def test_what_is_not_there_is_missing_input(place):
    url, options, put = place
    put(a=b"content")
    for function in (read_bytes, size_of):
        with pytest.raises(MissingInput, match="/b does not exist"):
            function(f"{url}/b", options)
    assert names_at(f"{url}/b", options) == []


def test_names_are_those_directly_in_a_folder(place):
    url, options, put = place
    put(a=b"1", d__b=b"2", d__e__c=b"3")
    assert sorted(names_at(url, options)) == ["a", "d"]
    assert sorted(names_at(f"{url}/d", options)) == ["b", "e"]
    assert sorted(names_at(f"{url}/d/", options)) == ["b", "e"]
    (whole,) = names_at(f"{url}/a", options)
    assert whole.endswith("/a")


def test_files_and_folders_are_removed_with_all_that_is_in_them(place):
    url, options, put = place
    put(a=b"1", d__b=b"2", d__e__c=b"3", da=b"4")
    remove(f"{url}/a", options)
    assert not exists(f"{url}/a", options)
    remove(f"{url}/d", options)
    assert not exists(f"{url}/d/e/c", options)
    assert names_at(url, options) == ["da"]


def test_removing_what_is_gone_is_no_error(place):
    url, options, put = place
    put(a=b"1")
    remove(f"{url}/a", options)
    remove(f"{url}/a", options)
    remove(f"{url}/nothing/here", options)


def test_what_others_did_meanwhile_is_seen(place):
    url, options, put = place
    put(a=b"1")
    assert names_at(url, options) == ["a"]
    assert not exists(f"{url}/b", options)
    put(b=b"22", a=b"333")
    assert sorted(names_at(url, options)) == ["a", "b"]
    assert exists(f"{url}/b", options)
    assert size_of(f"{url}/a", options) == 3


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ArgumentError, match="is a folder; a file is needed"):
        read_bytes(str(tmp_path))


@pytest.mark.parametrize("function", [read_bytes, exists, size_of, names_at, remove])
def test_every_operation_is_tried_again(function, monkeypatch, tmp_path):
    """A memory filesystem of which each call fails the first time."""
    fs = fsspec.filesystem("memory")
    failed = set()
    for name in ("cat_file", "exists", "info", "ls", "rm"):
        real = getattr(fs, name)

        def once(*args, _name=name, _real=real, **kwargs):
            if _name not in failed:
                failed.add(_name)
                reply = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {}}
                raise ClientError(reply, _name)
            return _real(*args, **kwargs)

        monkeypatch.setattr(fs, name, once)
    fs.store[f"/{tmp_path.name}/a"] = fsspec.implementations.memory.MemoryFile(
        fs, f"/{tmp_path.name}/a", b"content"
    )
    expected = {read_bytes: b"content", exists: True, size_of: 7, remove: None}
    found = function(f"memory://{tmp_path.name}/a")
    assert failed
    if function is names_at:
        assert [one.rpartition("/")[2] for one in found] == ["a"]
    else:
        assert found == expected[function]
    assert (f"/{tmp_path.name}/a" in fs.store) == (function is not remove)
