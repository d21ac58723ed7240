"""Which files a URL stands for."""

import fsspec
import numpy as np
import pytest

from dkmeans.errors import InputRefused, MissingInput
from dkmeans.storage.filesystem import remember
from dkmeans.storage.listing import StoredFile, list_parquet, version_at


@pytest.fixture(params=["local", "memory", "s3"])
def root(request, tmp_path):
    """A root URL, the reference of its options, and a function that puts files below it."""
    if request.param == "local":
        url, options, fs = str(tmp_path), {}, fsspec.filesystem("file")
    elif request.param == "memory":
        url, options = f"memory://{tmp_path.name}", {}
        fs = fsspec.filesystem("memory")
    else:
        options = request.getfixturevalue("s3")
        url = request.getfixturevalue("bucket")
        fs = fsspec.filesystem("s3", **options)

    def put(*names):
        for name in names:
            path = fs._strip_protocol(f"{url}/{name}")
            if request.param == "local":
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            fs.pipe(path, name.encode())

    return url, remember(options), put


def names(files, url):
    """The paths below the root."""
    return [file.url.split(url.removeprefix("memory://") + "/", 1)[1] for file in files]


def test_files_are_sorted_by_path_and_pinned(root):
    url, options, put = root
    put("d/b.parquet", "d/a.parquet", "d/sub/c.parquet", "d/a/z.parquet", "d/A.parquet")
    files = list_parquet(f"{url}/d", options)
    assert names(files, url) == [
        *("d/A.parquet", "d/a.parquet", "d/a/z.parquet", "d/b.parquet", "d/sub/c.parquet"),
    ]
    assert [file.size for file in files] == [11, 11, 13, 11, 15]
    assert all(isinstance(file, StoredFile) and file.version for file in files)
    assert list_parquet(f"{url}/d/", options) == files
    (one,) = list_parquet(files[1].url, options)
    assert (one.url, one.size) == (files[1].url, 11)


def test_hidden_files_and_other_suffixes_are_passed_over(root):
    url, options, put = root
    put("d/a.parquet", "d/b.parq", "d/c.PQ", "d/_SUCCESS", "d/.a.parquet.crc", "d/README.md")
    put("d/_temporary/0/x.parquet", "d/.hidden/y.parquet", "d/_metadata", "d/noname")
    put("d/_part=1/z.parquet")
    assert sorted(names(list_parquet(f"{url}/d", options), url)) == [
        *("d/_part=1/z.parquet", "d/a.parquet", "d/b.parq", "d/c.PQ"),
    ]


def test_files_without_a_suffix_count_where_there_are_no_others(root):
    url, options, put = root
    put("d/part-0", "d/part-1", "d/_SUCCESS", "d/notes.txt")
    assert names(list_parquet(f"{url}/d", options), url) == ["d/part-0", "d/part-1"]


def test_a_file_that_is_named_is_taken_whatever_its_name(root):
    url, options, put = root
    put("d/_hidden.data", "d/a.parquet")
    assert names(list_parquet(f"{url}/d/_hidden.data", options), url) == ["d/_hidden.data"]


def test_a_hidden_folder_that_is_named_is_read(root):
    url, options, put = root
    put("_private/d/a.parquet")
    assert names(list_parquet(f"{url}/_private/d", options), url) == ["_private/d/a.parquet"]


def test_globs_match_files_and_keep_their_partitions(root):
    url, options, put = root
    put("d/year=2023/a.parquet", "d/year=2024/a.parquet", "d/year=2024/b.parquet", "d/x/a.parquet")
    files = list_parquet(f"{url}/d/year=*/a.parquet", options)
    assert names(files, url) == ["d/year=2023/a.parquet", "d/year=2024/a.parquet"]
    assert [file.partition for file in files] == [(("year", "2023"),), (("year", "2024"),)]
    deep = list_parquet(f"{url}/d/**/b.parquet", options)
    assert names(deep, url) == ["d/year=2024/b.parquet"]


def test_a_glob_of_folders_reads_the_files_in_them(root):
    url, options, put = root
    put("d/2023-01/a.parquet", "d/2024-01/a.parquet", "d/2024-02/b.parquet", "d/2024-02/_SUCCESS")
    files = list_parquet(f"{url}/d/2024-*", options)
    assert names(files, url) == ["d/2024-01/a.parquet", "d/2024-02/b.parquet"]


def test_partitions_are_unquoted_and_null_is_told_from_text(root):
    url, options, put = root
    put("d/kind=a%2Fb%20c/day=__HIVE_DEFAULT_PARTITION__/a.parquet", "d/kind=/day=1/a.parquet")
    partitions = {file.partition for file in list_parquet(f"{url}/d", options)}
    assert (("kind", "a/b c"), ("day", None)) in partitions


def test_a_list_is_read_in_its_own_order_and_each_file_once(root):
    url, options, put = root
    put("d/a.parquet", "d/b.parquet", "e/c.parquet")
    asked = [f"{url}/e", f"{url}/d/b.parquet", f"{url}/d", f"{url}/e/*.parquet"]
    files = list_parquet(asked, options)
    assert names(files, url) == ["e/c.parquet", "d/b.parquet", "d/a.parquet"]


def test_what_was_listed_before_is_listed_anew(root):
    url, options, put = root
    put("d/a.parquet")
    assert len(list_parquet(f"{url}/d", options)) == 1
    put("d/b.parquet")
    assert len(list_parquet(f"{url}/d", options)) == 2


def test_another_content_is_another_version(tmp_path, s3, bucket):
    fs = fsspec.filesystem("s3", **s3)
    fs.pipe(f"{bucket[5:]}/a.parquet", b"first")
    (before,) = list_parquet(f"{bucket}/a.parquet", remember(s3))
    fs.pipe(f"{bucket[5:]}/a.parquet", b"other")
    (after,) = list_parquet(f"{bucket}/a.parquet", remember(s3))
    assert before.size == after.size
    assert before.version != after.version
    assert '"' not in before.version


def test_another_content_is_seen_by_the_version_of_one_file(tmp_path, s3, bucket):
    for url, options in ((str(tmp_path / "file"), {}), (f"{bucket}/file", s3)):
        fs = fsspec.filesystem("s3" if options else "file", **options)
        fs.pipe_file(url, b"one")
        first = version_at(url, remember(options))
        assert version_at(url, remember(options)) == first
        fs.pipe_file(url, b"two")
        assert version_at(url, remember(options)) != first
        fs.rm_file(url)
        with pytest.raises(MissingInput):
            version_at(url, remember(options))


def test_paths_with_letters_of_globs_are_found(tmp_path):
    folder = tmp_path / "odd [1] name"
    folder.mkdir()
    (folder / "a*b.parquet").write_bytes(b"x")
    assert len(list_parquet(str(folder))) == 1
    assert len(list_parquet(str(folder / "a*b.parquet"))) == 1


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.parquet").write_bytes(b"12345")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (file,) = list_parquet(str(tmp_path / "linked"))
    assert file.size == 5


def test_nothing_there_is_missing_input(root):
    url, options, put = root
    put("d/notes.txt")
    for asked in (f"{url}/nothing", f"{url}/d", f"{url}/d/*.parquet", []):
        with pytest.raises(MissingInput):
            list_parquet(asked, options)


@pytest.mark.parametrize("log", ["_delta_log/0.json", "metadata/v1.metadata.json"])
def test_tables_with_a_log_are_refused_but_their_listed_files_are_not(root, log):
    url, options, put = root
    put(f"d/{log}", "d/a.parquet", "d/b.parquet")
    with pytest.raises(InputRefused, match="pass the list of its current files"):
        list_parquet(f"{url}/d", options)
    assert len(list_parquet([f"{url}/d/a.parquet"], options)) == 1


def test_a_folder_called_metadata_is_no_iceberg_table(root):
    url, options, put = root
    put("d/metadata/notes.json", "d/a.parquet")
    assert len(list_parquet(f"{url}/d", options)) == 1


def test_many_files_keep_their_order(tmp_path):
    order = np.random.default_rng(0).permutation(300)
    for number in order:
        (tmp_path / f"part-{number:05d}.parquet").write_bytes(b"x")
    listed = [file.url.rpartition("-")[2] for file in list_parquet(str(tmp_path))]
    assert listed == [f"{number:05d}.parquet" for number in range(300)]
