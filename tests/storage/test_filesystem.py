"""From URLs to filesystems: secrets stay in the process, errors name the URL and hold none."""

import pickle

import pytest
import tblib.pickling_support

from dkmeans.errors import (
    ArgumentError,
    BadValues,
    DkmeansError,
    MissingInput,
    StoreUnreachable,
)
from dkmeans.storage.filesystem import (
    NO_OPTIONS,
    absolute,
    as_url,
    is_local,
    join,
    open_filesystem,
    recall,
    redact,
    remember,
    remember_as,
    store_errors,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/a/b.parquet", "s3://bucket/a/b.parquet"),
        ("s3://AKIA:secret@bucket/a", "s3://bucket/a"),
        ("https://user:p%40ss@host:8080/a?X-Amz-Signature=abc#frag", "https://host:8080/a"),
        ("az://container/a?sv=2024&sig=abc", "az://container/a"),
        ("/data/my folder/a@b?.parquet", "/data/my folder/a@b?.parquet"),
        ("relative/path", "relative/path"),
        ("memory:///a/b", "memory:///a/b"),
    ],
)
def test_urls_are_shown_without_user_password_and_query(url, shown):
    assert redact(url) == shown


def test_options_are_known_by_a_reference_that_tells_nothing():
    options = {"key": "canary-key", "secret": "canary-secret"}
    reference = remember(options)
    assert "canary" not in reference
    assert recall(reference) == options
    assert remember(dict(options)) == reference
    assert remember({**options, "anon": False}) != reference


def test_no_options_have_the_empty_reference():
    assert remember(None) == remember({}) == NO_OPTIONS
    assert recall(NO_OPTIONS) == {}


def test_options_that_the_caller_changes_later_stay_as_they_were():
    options = {"key": "first"}
    reference = remember(options)
    options["key"] = "second"
    assert recall(reference) == {"key": "first"}


def test_another_process_can_be_given_the_options():
    remember_as("reference-of-elsewhere", {"key": "value"})
    assert recall("reference-of-elsewhere") == {"key": "value"}


def test_unknown_references_are_an_error_with_a_remedy():
    with pytest.raises(StoreUnreachable, match="run the job again"):
        recall("never heard of")


def test_local_paths_take_no_options(tmp_path):
    fs, path = open_filesystem(str(tmp_path), remember({"key": "a", "secret": "b"}))
    assert is_local(fs)
    assert path == str(tmp_path)
    fs, path = open_filesystem(f"file://{tmp_path}/a")
    assert (is_local(fs), path) == (True, f"{tmp_path}/a")


def test_paths_and_urls_turn_into_each_other(tmp_path):
    for url in (f"{tmp_path}/a.parquet", "s3://bucket/a/b.parquet"):
        fs, path = open_filesystem(url)
        assert as_url(fs, path) == url
    fs, path = open_filesystem("memory://a/b")
    assert open_filesystem(as_url(fs, path)) == (fs, path)
    assert not is_local(fs)


def test_names_are_joined_with_one_slash():
    assert (
        join("s3://bucket/a/", "b", "c") == join("s3://bucket/a", "b", "c") == "s3://bucket/a/b/c"
    )
    assert join("/data", "x") == "/data/x"


def test_local_paths_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert absolute("a/b") == f"{tmp_path}/a/b"
    assert absolute("~/a") == "/home/someone/a"
    for url in ("s3://bucket/a", "/data/a", "simplecache::s3://bucket/a"):
        assert absolute(url) == url


@pytest.mark.parametrize("url", ["nosuchstore://a/b", "no+such://user:canary@a/b"])
def test_unknown_protocols_are_refused_without_secrets(url):
    with pytest.raises(ArgumentError, match=r"cannot open \S+://a/b") as caught:
        open_filesystem(url)
    assert "canary" not in str(caught.value)


def raised(error):
    """What `error` becomes on its way out of the store of a URL with a password."""
    with pytest.raises(DkmeansError) as caught, store_errors("s3://me:canary@bucket/a"):
        raise error
    assert str(caught.value).count("\n") == 0
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__
    tblib.pickling_support.install(caught.value)  # as Dask does before it sends an error
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (FileNotFoundError("x"), MissingInput, "s3://bucket/a does not exist; check the path"),
        (PermissionError("x"), StoreUnreachable, "access to s3://bucket/a is denied"),
        (IsADirectoryError("x"), ArgumentError, "s3://bucket/a is a folder"),
        (TimeoutError(), StoreUnreachable, "TimeoutError: no reason given"),
        (OSError("first line\nsecond"), StoreUnreachable, "the store of s3://bucket/a failed"),
        (ConnectionError("token=canary"), StoreUnreachable, "ConnectionError"),
        (OSError("aws_secret_access_key: canary"), StoreUnreachable, "OSError"),
        (OSError('{"password": "canary"}'), StoreUnreachable, "OSError"),
        (OSError("GET /a?X-Amz-Signature=canary&b=1"), StoreUnreachable, "OSError"),
        (OSError("at https://me:canary@host/a"), StoreUnreachable, "OSError"),
    ],
)
def test_errors_of_stores_name_the_url_and_hide_secrets(error, kind, words):
    found = raised(error)
    assert type(found) is kind
    assert words in str(found)


def test_errors_of_store_libraries_that_are_no_os_errors_are_store_errors():
    from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

    refused = ClientError(
        {"Error": {"Code": "SlowDown", "Message": "Reduce your rate"}}, "GetObject"
    )
    for error, words in [
        (refused, "SlowDown"),
        (EndpointConnectionError(endpoint_url="http://nowhere"), "http://nowhere"),
        (NoCredentialsError(), "credentials"),
    ]:
        found = raised(error)
        assert type(found) is StoreUnreachable
        assert words in str(found)


def test_other_errors_and_our_own_pass_unchanged():
    for error in (
        BadValues("as it was"),
        KeyError("a"),
        ZeroDivisionError("b"),
        KeyboardInterrupt(),
    ):
        with pytest.raises(type(error)) as caught, store_errors("s3://bucket/a"):
            raise error
        assert caught.value is error
