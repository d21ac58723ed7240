"""Writes of which readers see all or nothing."""

import fsspec
import pytest

from dkmeans.errors import StoreUnreachable
from dkmeans.storage.atomic import new_file, write_bytes
from dkmeans.storage.filesystem import remember
from dkmeans.storage.objects import exists, read_bytes


@pytest.fixture(params=["local", "memory", "s3"])
def target(request, tmp_path):
    """A URL that nothing lies at yet, the reference of its options, and its filesystem."""
    if request.param == "local":
        return f"{tmp_path}/new/deep/file.bin", "", fsspec.filesystem("file")
    if request.param == "memory":
        return f"memory://{tmp_path.name}/new/file.bin", "", fsspec.filesystem("memory")
    options = request.getfixturevalue("s3")
    url = request.getfixturevalue("bucket") + "/new/file.bin"
    return url, remember(options), fsspec.filesystem("s3", **options)


def everything_beside(fs, url):
    fs.invalidate_cache()
    folder = fs._strip_protocol(url).rpartition("/")[0]
    return [name.rpartition("/")[2] for name in fs.find(folder)] if fs.exists(folder) else []


def fail_midway(url, options, error):
    """Write something to `url`, then raise `error`."""
    with new_file(url, options) as path:
        path.write_bytes(b"half of something longer")
        raise error


def test_what_was_written_appears_when_it_is_whole(target):
    url, options, fs = target
    with new_file(url, options) as path:
        path.write_bytes(b"first ")
        with path.open("ab") as out:
            out.write(b"and second")
        assert not exists(url, options)
    assert read_bytes(url, options) == b"first and second"
    assert everything_beside(fs, url) == ["file.bin"]


def test_nothing_appears_if_the_writer_fails(target):
    url, options, fs = target
    with pytest.raises(RuntimeError, match="midway"):
        fail_midway(url, options, RuntimeError("midway"))
    assert not exists(url, options)
    assert everything_beside(fs, url) == []


def test_nothing_appears_on_an_interrupt(target):
    url, options, fs = target
    with pytest.raises(KeyboardInterrupt):
        fail_midway(url, options, KeyboardInterrupt())
    assert everything_beside(fs, url) == []


def test_the_old_content_stays_until_the_new_is_whole(target):
    url, options, fs = target
    write_bytes(url, b"old", options)
    with pytest.raises(RuntimeError, match="midway"):
        fail_midway(url, options, RuntimeError("midway"))
    assert read_bytes(url, options) == b"old"
    with new_file(url, options) as path:
        path.write_bytes(b"new and longer")
        assert read_bytes(url, options) == b"old"
    assert read_bytes(url, options) == b"new and longer"
    assert everything_beside(fs, url) == ["file.bin"]


def test_two_writers_at_a_time_leave_one_whole_file(target):
    url, options, fs = target
    with new_file(url, options) as first, new_file(url, options) as second:
        first.write_bytes(b"1" * 1000)
        second.write_bytes(b"2" * 900)
    assert read_bytes(url, options) == b"1" * 1000
    assert everything_beside(fs, url) == ["file.bin"]


def test_an_error_of_the_writer_is_not_blamed_on_the_store(target):
    url, options, _ = target
    with pytest.raises(FileNotFoundError, match="the writer's own input"):
        fail_midway(url, options, FileNotFoundError("the writer's own input"))


def test_a_writer_that_writes_nothing_leaves_no_file(target):
    url, options, fs = target
    with pytest.raises(OSError, match=r"file\.bin"), new_file(url, options):
        pass
    assert everything_beside(fs, url) == []


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnreachable, match="file/below"):
        write_bytes(f"{tmp_path}/file/below", b"x")
    assert (tmp_path / "file").read_bytes() == b""
